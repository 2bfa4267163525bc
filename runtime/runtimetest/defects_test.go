package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// toy is a runtime in this process; with a defect, it has one mistake.
type toy struct {
	function string
	defect   string
	logs     *slog.Logger
}

func (r toy) Open(context.Context, runtime.Worker) (runtime.Instance, error) {
	if r.function == BadInit && r.defect != "init failure passed over" {
		return nil, errors.New("deliberate init failure")
	}
	if r.defect == "goroutine left" {
		go func() { select {} }()
	}
	if r.defect == "file left" {
		if _, err := os.Open("/dev/null"); err != nil {
			return nil, err
		}
	}
	return &toyInstance{toy: r, gone: make(chan struct{})}, nil
}

type toyInstance struct {
	toy
	mu   sync.Mutex
	kept []byte

	wanted, made int // parts of a stream

	gone chan struct{}
	once sync.Once
}

func (in *toyInstance) Broken() <-chan struct{} { return in.gone }
func (in *toyInstance) Close(context.Context) error {
	if in.defect == "close fails" {
		return errors.New("cannot close")
	}
	return nil
}

func (in *toyInstance) Kill() error {
	in.once.Do(func() { close(in.gone) })
	return nil
}

func (in *toyInstance) Invoke(_ context.Context, ev *event.Event, resp *event.Response) error {
	select {
	case <-in.gone:
		if in.defect == "lives after death" {
			return nil
		}
		return event.ErrNotRun
	default:
	}
	resp.Status = 200
	switch in.function {
	case Echo:
		if resp.Body = append(resp.Body, ev.Body...); in.defect == "answer lies in the event" {
			resp.Body = ev.Body
		}
	case Keep:
		in.mu.Lock()
		defer in.mu.Unlock()
		resp.Body = append(resp.Body, in.kept...)
		if in.kept = append([]byte(nil), ev.Body...); in.defect == "event kept" {
			in.kept = ev.Body
		}
	case Fail, Panic:
		if in.defect == "failure passed over" {
			return nil
		}
		return event.Errorf(500, "deliberate failure, deliberate panic")
	case Hang:
		if len(ev.Body) == 0 {
			resp.Body = append(resp.Body, "ok"...)
			return nil
		}
		<-in.gone
		if in.defect == "death unreported" {
			return nil
		}
		return event.ErrCrashed
	case Big:
		n, err := strconv.Atoi(string(ev.Body))
		if in.defect == "cut short" {
			n = min(n, 1<<20)
		}
		resp.Body = []byte(strings.Repeat("x", n))
		return err
	case Stream:
		return in.stream(ev, resp)
	case Status:
		resp.Status, resp.Body = 418, append(resp.Body, "teapot"...)
	case Headers:
		resp.SetHeader("X-Reply", string(ev.Header("X-Ask")))
	case UserData:
		resp.Body = append(resp.Body, "ready"...)
	case Logs:
		in.log(ev, resp, slog.LevelDebug, "a debug line")
		in.log(ev, resp, slog.LevelInfo, "an info line", slog.Int("answer", 42))
	}
	return nil
}

// parts makes one part at each Read.
type parts struct {
	in   *toyInstance
	next int
	left []byte
}

func (p *parts) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		if p.next == p.in.wanted {
			return 0, io.EOF
		}
		p.left = fmt.Appendf(nil, "%d;", p.next)
		p.next++
		p.in.made = p.next
		if p.in.defect == "stream runs ahead" {
			p.in.made = p.in.wanted
		}
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}

func (p *parts) Close() error { return nil }

func (in *toyInstance) stream(ev *event.Event, resp *event.Response) error {
	if string(ev.Body) == "made" {
		resp.Body = strconv.AppendInt(resp.Body, int64(in.made), 10)
		return nil
	}
	var err error
	in.wanted, err = strconv.Atoi(string(ev.Body))
	p := &parts{in: in}
	resp.ContentType = "text/event-stream"
	if resp.Takes&event.TakesStreams != 0 {
		if resp.Stream = p; in.defect == "stream cut short" {
			in.wanted /= 2
		}
		return err
	}
	resp.Body, err = io.ReadAll(p)
	return err
}

func (in *toyInstance) log(ev *event.Event, resp *event.Response, level slog.Level, text string, with ...slog.Attr) {
	in.logs.LogAttrs(context.Background(), level, text, append(with, slog.String("event", string(ev.ID)))...)
	if ev.LogAsked && (level >= ev.LogLevel || in.defect == "level ignored") {
		resp.Logs = append(resp.Logs, event.LogRecord{Time: time.Now(), Level: level, Message: text, With: with})
	}
}

// The suite passes a toy without defects, and this same test, run again with
// one, fails.
func TestToy(t *testing.T) {
	defect := os.Getenv("RUNTIMETEST_DEFECT")
	Run(t, Fixture{Streams: true, New: func(_ testing.TB, function string, logs *slog.Logger) runtime.Runtime {
		if function == Exit { // there is no process to end
			return nil
		}
		return toy{function, defect, logs}
	}})
}

func TestDefectsAreFound(t *testing.T) {
	for defect, finder := range map[string]string{
		"answer lies in the event": "EventsAreLent", "event kept": "NothingIsKept", "failure passed over": "Failures/fail",
		"init failure passed over": "InitFailure", "cut short": "Big", "level ignored": "LogsAsked", "death unreported": "Kill",
		"lives after death": "KillIdle", "goroutine left": "NoLeaks", "file left": "NoLeaks", "close fails": "Status",
		"stream runs ahead": "Stream", "stream cut short": "Stream",
	} {
		t.Run(defect, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestToy$", "-test.timeout=2m")
			cmd.Env = append(os.Environ(), "RUNTIMETEST_DEFECT="+defect)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestToy/"+finder+" ") {
				t.Errorf("the suite did not find it by %s: %v\n%s", finder, err, out)
			}
		})
	}
}
