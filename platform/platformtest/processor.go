package platformtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/local/graceful"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/processor/parked"
	"github.com/myelin-run/myelin/quantity"
)

// ProcessorName is the name under which a copy of the test binary acts as a
// processor: its TestMain calls [Processor] if os.Args[0] ends so.
const ProcessorName = "testprocessor"

// config is the part of processor.yaml that the test processor needs.
type config struct {
	Function     function.Config   `json:"function"`
	Dir          string            `json:"dir"`
	Scratch      string            `json:"scratch"`
	Admin        admin             `json:"admin"`
	Letters      any               `json:"letters"`
	Bindings     any               `json:"bindings"`
	Functions    any               `json:"functions"`
	Shares       function.Shares   `json:"shares"`
	DrainTimeout quantity.Duration `json:"drainTimeout"`
	Logs         struct {
		Processor any  `json:"processor"`
		Function  sink `json:"function"`
	} `json:"logs"`
}

type admin struct {
	Listen     string `json:"listen"`
	Token      string `json:"token"`
	OpenHealth bool   `json:"openHealth"`
}

type sink struct {
	File   string `json:"file"`
	Level  string `json:"level"`
	Format string `json:"format"`
}

func (s sink) open() (io.WriteCloser, error) {
	switch {
	case s.Format == "json":
		return lines{slog.New(slog.NewJSONHandler(os.Stdout, nil))}, nil
	case s.File == "stdout":
		return os.Stdout, nil
	}
	return os.OpenFile(s.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// lines logs what is written as one line of JSON.
type lines struct{ log *slog.Logger }

func (l lines) Write(text []byte) (int, error) {
	if line := strings.TrimSpace(string(text)); line != "" {
		l.log.Info(line)
	}
	return len(text), nil
}

func (lines) Close() error { return nil }

func (c config) env(name string) string {
	for _, e := range c.Function.Spec.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// Processor is a small processor that keeps to the protocol between platform
// and processor. Its function answers with what it is and with the request's
// body; the variable MODE of its configuration makes it misbehave.
func Processor() int {
	if err := processor(); err != nil {
		fmt.Fprintln(os.Stderr, "test processor:", err)
		return 1
	}
	return 0
}

// load reads the configuration where the platform put it.
func load() (c config, err error) {
	path := "processor.yaml"
	if len(os.Args) > 2 && os.Args[1] == "-config" {
		path = os.Args[2]
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	doc, err := document.Parse(path, text)
	if err != nil {
		return c, err
	}
	return c, doc.Decode(&c)
}

func processor() error {
	c, err := load()
	if err != nil {
		return err
	}
	if c.env("MODE") == "deaf" { // as if it listened by itself
		if err := announce(); err != nil {
			return err
		}
		time.Sleep(time.Hour)
	}
	sockets, err := handoff.Inherited(os.Getenv)
	if err != nil {
		return err
	}
	if err := wait(); err != nil {
		if errors.Is(err, parked.ErrNotNeeded) {
			return nil
		}
		return err
	}
	switch c.env("MODE") {
	case "fail":
		return fmt.Errorf("cannot import module %q", "numpyy")
	case "stubborn": // not ready, and in no hurry to go
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(3 * time.Second)
		return errors.New("waited in vain")
	case "hang":
		fmt.Println("waiting for a database that is not there")
		time.Sleep(time.Hour)
	}
	return serve(c, sockets)
}

// wait waits to be told to serve if this processor is parked.
func wait() error {
	if len(os.Args) < 3 || os.Args[1] != "-"+parked.Flag {
		return nil
	}
	fd, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return err
	}
	gate, err := parked.Open(fd)
	if err != nil {
		return err
	}
	defer gate.Close()
	_, err = gate.Await(context.Background())
	return err
}

func serve(c config, sockets []handoff.Socket) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log, err := c.Logs.Function.open()
	if err != nil {
		return err
	}
	defer log.Close()
	l, err := listener(c, sockets)
	if err != nil {
		return err
	}
	shares := &shares{now: c.Shares, tally: &tally{started: time.Now()}}
	server := graceful.New(shares.tally.count(handler(c, log, shares)))
	failed, served := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	hctx, end := context.WithCancel(context.Background())
	defer end()
	if len(sockets) > 0 {
		offer, err := handoff.OfferAt(filepath.Join(c.Scratch, handoff.File))
		if err != nil {
			return err
		}
		go func() { failed <- handoff.Serve(hctx, offer, sockets) }()
	}
	if err := shares.serve(hctx, c.Admin); err != nil {
		return err
	}
	if err := announce(); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	if c.env("MODE") == "lingering" { // hands nothing over any more, and has the socket
		end()
		time.Sleep(time.Second)
	}
	go func() {
		<-server.Closed()
		_ = os.Remove("ready.json") // says that it accepts no more, before anybody has to assume it
	}()
	dctx, cancel := context.WithTimeout(context.Background(), c.DrainTimeout.Std())
	defer cancel()
	if server.Drain(dctx, time.Second) != nil {
		os.Exit(3)
	}
	return nil
}

// listener is the socket that was passed, or where none is passed, one at the port
// that the configuration names.
func listener(c config, sockets []handoff.Socket) (net.Listener, error) {
	if len(sockets) == 1 {
		return sockets[0].Listener()
	}
	var at struct {
		Port int `json:"port"`
	}
	if t, ok := c.Function.Spec.Triggers[function.DefaultHTTPTrigger]; ok && c.Admin.OpenHealth {
		if err := json.Unmarshal(t.Attributes, &at); err != nil {
			return nil, err
		}
	}
	if at.Port == 0 {
		return nil, fmt.Errorf("got %d sockets, want 1", len(sockets))
	}
	return net.Listen("tcp", fmt.Sprintf(":%d", at.Port))
}

// announce says that the processor is ready, once the handoff is served.
func announce() error {
	if err := os.WriteFile(".ready", fmt.Appendf(nil, `{"pid":%d}`, os.Getpid()), 0o600); err != nil {
		return err
	}
	return os.Rename(".ready", "ready.json")
}

// life names this process.
var life = rand.Text()

// Answer is what the test processor's function answers.
type Answer struct {
	Version string
	PID     int    // as it knows itself
	Life    string // which process it is, of all that ever were
	UID     int
	Dir     string
	Env     []string
	FDs     int
	Path    string
	Body    string
	Shares  function.Shares // that it was started with, or told since
	Told    int             // how often it was
}

func handler(c config, log io.Writer, shares *shares) http.Handler {
	mux := http.NewServeMux()
	var asked atomic.Int64
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch mode := c.env("MODE"); {
		case mode == "flaky" && asked.Add(1)%5 == 0:
			http.Error(w, "every fifth request fails", http.StatusInternalServerError)
			return
		case mode == "tired":
			time.Sleep(20 * time.Millisecond)
		case mode == "slow":
			time.Sleep(1500 * time.Millisecond)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		dir, _ := os.Getwd()
		fds, _ := os.ReadDir("/proc/self/fd")
		_ = json.NewEncoder(w).Encode(Answer{Version: c.env("VERSION"), PID: os.Getpid(), Life: life, UID: os.Getuid(), Dir: dir, Env: os.Environ(), FDs: len(fds), Path: r.URL.Path, Body: string(body), Shares: shares.see(), Told: shares.told()})
	})
	mux.HandleFunc("/log", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(log, r.Body)
		_, _ = io.WriteString(log, "\n")
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.URL.Query().Get("for"))
		if r.URL.Query().Get("begin") != "" { // the head says that it is under way
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		time.Sleep(d)
		_, _ = io.WriteString(w, c.env("VERSION"))
	})
	mux.HandleFunc("/grow", func(w http.ResponseWriter, _ *http.Request) {
		var kept [][]byte
		for range 1 << 10 {
			kept = append(kept, []byte(strings.Repeat("x", 1<<20)))
		}
		fmt.Fprintln(w, len(kept))
	})
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	return mux
}
