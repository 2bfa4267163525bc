// Package relay stands in, on this machine, for a container on another one: a process
// beside the control plane for each container. It has the function's listening socket,
// its admin socket and its logs here, as a processor has, and carries what
// comes in to the ports that the container's engine publishes, and what the container
// logs, and its dead letters, back. So who supervises processes supervises containers of
// other machines, and both go on while the control plane is away. It is
// how engines are reached, too. It knows nothing of functions.
package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/processor/handoff"
)

// Settings are what a relay is told. It runs in the directory of its replica.
type Settings struct {
	Host      Host   `json:"host"`
	Container string `json:"container"` // its id
	Began     string `json:"began"`     // when it was started, as its engine says
	// Target is where the engine published the function's port, "" if it has none.
	Target string `json:"target,omitempty"`
	// Admin is where the engine published the processor's admin port, and TokenFile a
	// file of the working directory with what it asks for.
	Admin     string `json:"admin"`
	TokenFile string `json:"tokenFile"`
	// AdminSocket is at which this machine asks the processor.
	AdminSocket string `json:"adminSocket"`
	// Function and Processor are files to which the container's outputs go.
	Function  string `json:"function"`
	Processor string `json:"processor"`
	// Letters is where its dead letters go, and LettersThere where they come from.
	Letters      string `json:"letters"`
	LettersThere string `json:"lettersThere"`
}

// readyFile says that connections are accepted, as one of a processor does.
const readyFile = "ready.json"

// EndFile is written to the working directory when the container has ended: how, as a
// [process.Exit].
const EndFile = "end.json"

// times of a relay.
const (
	retryEvery  = 250 * time.Millisecond // how often an engine that does not answer is asked again
	answerLimit = time.Minute            // for what takes an engine no time
	lastWords   = 4 * time.Second        // for logs and letters of a container that has ended
	lastBytes   = time.Second            // for its connections
)

// relay is one at work.
type relay struct {
	Settings
	engine *client.Client
	token  string

	over  context.Context // ends when the container has
	end   context.CancelFunc
	conns sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

// Run serves until the container has ended, which it is asked to when ctx is done. It
// returns an error if it cannot serve.
func Run(ctx context.Context, s Settings) error {
	sockets, err := handoff.Inherited(os.Getenv)
	if err != nil {
		return err
	}
	defer handoff.Close(sockets)
	engine, err := s.Host.Connect()
	if err != nil {
		return err
	}
	defer engine.Close()
	token, err := os.ReadFile(s.TokenFile)
	if err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	r := &relay{Settings: s, engine: engine, token: strings.TrimSpace(string(token)), open: map[net.Conn]bool{}}
	r.over, r.end = context.WithCancel(context.Background())
	defer r.end()
	return r.run(ctx, sockets)
}

func (r *relay) run(ctx context.Context, sockets []handoff.Socket) error {
	stop, err := r.serveHere(sockets)
	if err != nil {
		return err
	}
	defer stop()
	ended := make(chan process.Exit, 1)
	go func() { ended <- r.watch(); r.end() }()
	var following sync.WaitGroup
	following.Go(r.follow)
	following.Go(r.collect)
	served := make(chan error, 1)
	go func() { served <- r.serve(ctx, sockets) }()
	err = <-served           // before the container is told, so that none who came is turned away
	_ = os.Remove(readyFile) // no more are accepted
	if ctx.Err() != nil {
		r.tell(syscall.SIGTERM)
	} else if err != nil {
		return err
	}
	exit := <-ended
	within(lastWords, following.Wait)
	within(lastBytes, r.conns.Wait)
	r.closeAll()
	return errors.Join(err, saved(EndFile, exit))
}

// serve takes connections once the processor is ready, until ctx is done or the
// container has ended. All that it took are under way to the container when it returns.
func (r *relay) serve(ctx context.Context, sockets []handoff.Socket) error {
	if !r.becomeReady(ctx) {
		return nil
	}
	if err := saved(readyFile, map[string]int{"pid": os.Getpid()}); err != nil {
		return err
	}
	if len(sockets) == 0 {
		select {
		case <-ctx.Done():
		case <-r.over.Done():
		}
		return nil
	}
	return r.accept(ctx, sockets[0])
}

// becomeReady waits until the processor says that it is, and is reached where requests
// go.
func (r *relay) becomeReady(ctx context.Context) bool {
	c := http.Client{Timeout: answerLimit}
	defer c.CloseIdleConnections()
	for told := false; ctx.Err() == nil && r.over.Err() == nil; {
		if r.says(ctx, &c) {
			err := r.answers()
			if err == nil {
				return true
			}
			if !told && r.over.Err() == nil {
				fmt.Fprintf(os.Stderr, "relay: the container is ready, but its port for requests, %s, does not answer as it should: %v. A function that was built by an older Myelin has to be built anew\n", r.Target, err)
			}
			told = true
		}
		select {
		case <-ctx.Done():
		case <-r.over.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false
}

// says asks the processor whether it is ready.
func (r *relay) says(ctx context.Context, c *http.Client) bool {
	resp, err := c.Do(r.ask(ctx, http.MethodGet, "/ready"))
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// answers tries the way that requests go.
func (r *relay) answers() error {
	if r.Target == "" {
		return nil
	}
	c, err := r.reach()
	if err != nil {
		return err
	}
	return c.Close()
}

// watch waits for the end of the container. An engine that is away is waited for:
// containers live on without it.
func (r *relay) watch() process.Exit {
	for ; ; <-time.After(retryEvery) {
		if exit, over := r.look(); over {
			return exit
		}
		waits := r.engine.ContainerWait(context.Background(), r.Container, client.ContainerWaitOptions{})
		select {
		case <-waits.Result:
		case <-waits.Error: //nolint:errcheck // the next look sees what it is
		}
		if exit, over := r.look(); over {
			return exit
		}
	}
}

// look says how the container has ended, if it has.
func (r *relay) look() (exit process.Exit, over bool) {
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	c, err := r.engine.ContainerInspect(ctx, r.Container, client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return process.Exit{Known: true, Code: -1, Why: "its container was removed"}, true
	}
	if err != nil {
		return exit, false
	}
	s := c.Container.State
	switch {
	case s.StartedAt != r.Began: // its ports may be others now
		return process.Exit{Known: true, Code: -1, Why: "its container was started anew by somebody"}, true
	case s.Running, s.Restarting:
		return exit, false
	case s.OOMKilled:
		exit.Why = "out of memory: killed at its limit"
	case s.Error != "":
		exit.Why = s.Error
	}
	exit.Known, exit.Code = true, s.ExitCode
	if s.ExitCode > 128 && s.ExitCode < 128+65 {
		exit.Code, exit.Signal = -1, syscall.Signal(s.ExitCode-128)
	}
	return exit, true
}

// tell sends a signal to the container, until it has heard it or has ended.
func (r *relay) tell(sig syscall.Signal) {
	for r.over.Err() == nil {
		ctx, cancel := context.WithTimeout(r.over, answerLimit)
		_, err := r.engine.ContainerKill(ctx, r.Container, client.ContainerKillOptions{Signal: unix.SignalName(sig)})
		cancel()
		if err == nil || cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) { // it has ended
			return
		}
		select {
		case <-r.over.Done():
		case <-time.After(retryEvery):
		}
	}
}

// within waits for something that may last too long.
func within(limit time.Duration, wait func()) {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// saved writes a file of the working directory, whole or not at all.
func saved(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temp := "." + name
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Clean(name))
}
