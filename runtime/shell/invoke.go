package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/exec"
)

// Invoke starts the command for ev and waits for its end. A command that takes
// lists gets a list of one.
func (in *instance) Invoke(ctx context.Context, ev *event.Event, resp *event.Response) error {
	if in.cfg.Batch != "" {
		errs := []error{nil}
		in.runList(ctx, []*event.Event{ev}, []*event.Response{resp}, errs)
		return errs[0]
	}
	args := in.args
	if h := ev.Header("X-Nuclio-Arguments"); len(h) > 0 {
		var err error
		if args, err = split(string(h)); err != nil {
			return event.Errorf(http.StatusBadRequest, "split X-Nuclio-Arguments: %v", err)
		}
	}
	r := run{in: in, env: eventEnv(ev), evs: []*event.Event{ev}, resps: []*event.Response{resp}, out: resp.Body}
	r.feed = func(w io.Writer) { _, _ = w.Write(ev.Body) } // a program need not read its input
	err := r.with(ctx, placeholders(ev), args)
	resp.Body = r.out
	if err != nil {
		resp.Body = resp.Body[:0]
		return err
	}
	in.succeed(resp)
	return nil
}

// succeed fills in what every answer has.
func (in *instance) succeed(resp *event.Response) {
	resp.Status, resp.ContentType = http.StatusOK, "text/plain"
	resp.Header = append(resp.Header, in.header...)
}

// run is one process and its three streams. What it prints is added to out.
type run struct {
	in      *instance
	env     []string // describes the events
	feed    func(io.Writer)
	evs     []*event.Event
	resps   []*event.Response // for what it logs
	out     []byte
	proc    *exec.Process
	files   []*os.File
	stdin   *os.File
	stdout  *os.File
	stderr  *os.File
	tooLong bool
}

// do runs the process to its end.
func (r *run) do(args []string) error {
	defer r.close()
	if err := r.start(args); err != nil {
		return err
	}
	err := r.wait()
	r.in.mu.Lock()
	r.in.running = nil
	killed := r.in.killed
	r.in.mu.Unlock()
	if killed {
		return event.ErrCrashed
	}
	return r.outcome(err)
}

func (r *run) close() {
	for _, f := range r.files {
		_ = f.Close()
	}
}

func (r *run) pipe() (rd, wr *os.File, err error) {
	if rd, wr, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("create pipe: %w", err)
	}
	r.files = append(r.files, rd, wr)
	return rd, wr, nil
}

func (r *run) start(args []string) error {
	childIn, stdin, err := r.pipe()
	if err != nil {
		return err
	}
	stdout, childOut, err := r.pipe()
	if err != nil {
		return err
	}
	stderr, childErr, err := r.pipe()
	if err != nil {
		return err
	}
	r.stdin, r.stdout, r.stderr = stdin, stdout, stderr
	spec := exec.Spec{Path: r.in.cmd.path, Dir: r.in.source, Stdin: childIn, Stdout: childOut, Stderr: childErr,
		Args: append(append([]string(nil), r.in.cmd.args...), args...), Env: append(r.env, r.in.env...)}
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if r.in.killed {
		return event.ErrNotRun
	}
	if r.proc, err = exec.Start(spec); err != nil {
		return event.Errorf(http.StatusInternalServerError, failureForm, err, "")
	}
	r.in.running = r.proc
	for _, f := range []*os.File{childIn, childOut, childErr} {
		_ = f.Close()
	}
	return nil
}

// wait feeds and reads the process until it has ended. What it left running in
// its group is killed then, so the pipes end too; the deadline is for what
// left the group.
func (r *run) wait() error {
	var tasks sync.WaitGroup
	tasks.Go(func() {
		r.feed(r.stdin)
		_ = r.stdin.Close()
	})
	tasks.Go(func() {
		exec.Lines(r.stderr, func(line string) { r.log(line) })
	})
	tasks.Go(r.readOutput)
	<-r.proc.Done()
	soon := time.Now().Add(time.Second)
	for _, f := range []*os.File{r.stdin, r.stdout, r.stderr} {
		_ = f.SetDeadline(soon)
	}
	tasks.Wait()
	return r.proc.Err()
}

func (r *run) readOutput() {
	_, err := io.Copy(&limited{r: r, left: int64(r.in.cfg.MaxOutput)}, r.stdout)
	if errors.Is(err, errTooLong) {
		r.tooLong = true
		_ = r.proc.Kill()
	}
}

var errTooLong = errors.New("output is above the limit")

// limited appends to a run's output up to a limit.
type limited struct {
	r    *run
	left int64
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, errTooLong
	}
	l.left -= int64(len(p))
	l.r.out = append(l.r.out, p...)
	return len(p), nil
}

// log takes a line of the standard error. What is said of many events belongs to
// none, and everybody who asked gets it.
func (r *run) log(line string) {
	var of []slog.Attr
	if len(r.evs) == 1 {
		of = append(of, slog.String("event", string(r.evs[0].ID)))
	}
	r.in.log.LogAttrs(context.Background(), slog.LevelError, line, of...)
	for k, ev := range r.evs {
		if ev.LogAsked && ev.LogLevel <= slog.LevelError {
			r.resps[k].Logs = append(r.resps[k].Logs, event.LogRecord{Time: time.Now(), Level: slog.LevelError, Message: line})
		}
	}
}

// failureForm is Nuclio's.
const failureForm = "Failed to run shell command.\nError: %s\nOutput:%s"

func (r *run) outcome(err error) error {
	switch {
	case r.tooLong:
		return event.Errorf(http.StatusInternalServerError, "output of the command is above the limit of %d bytes", int64(r.in.cfg.MaxOutput))
	case err != nil:
		return event.Errorf(http.StatusInternalServerError, failureForm, err, string(r.out))
	}
	return nil
}

// eventEnv describes the event to the program, in Nuclio's names.
func eventEnv(ev *event.Event) []string {
	src := ev.Source
	if src == nil {
		src = &event.Source{}
	}
	shard := int64(-1)
	if ev.Shards > 0 {
		shard = int64(ev.Token.Shard)
	}
	env := make([]string, 0, 64)
	for _, v := range [...][2]string{
		{"NUCLIO_EVENT_ID", string(ev.ID)}, {"NUCLIO_TRIGGER_CLASS", src.Class}, {"NUCLIO_TRIGGER_KIND", src.Kind},
		{"NUCLIO_TRIGGER_NAME", src.Name}, {"NUCLIO_EVENT_CONTENT_TYPE", string(ev.ContentType)},
		{"NUCLIO_EVENT_TIMESTAMP", ev.Time.UTC().Format(time.RFC3339)}, {"NUCLIO_EVENT_PATH", string(ev.Path)},
		{"NUCLIO_EVENT_URL", string(ev.URL)}, {"NUCLIO_EVENT_METHOD", string(ev.Method)},
		{"NUCLIO_EVENT_SHARD_ID", strconv.FormatInt(shard, 10)},
		{"NUCLIO_EVENT_NUM_SHARDS", strconv.FormatInt(int64(ev.Shards), 10)}, {"NUCLIO_EVENT_TYPE", ""},
		{"NUCLIO_EVENT_TYPE_VERSION", ""}, {"NUCLIO_EVENT_VERSION", ""}, {"NUCLIO_EVENT_TOPIC", ev.Topic},
		{"NUCLIO_EVENT_OFFSET", strconv.FormatInt(ev.Token.Offset, 10)},
	} {
		env = append(env, v[0]+"="+exec.NoNUL(v[1]))
	}
	return env
}
