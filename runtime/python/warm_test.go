package python

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm"
)

var web = runtime.Worker{TriggerKind: "http", TriggerName: "web"}

// begin begins a worker ahead and returns its process.
func begin(t *testing.T, f fixture) (r *Runtime, logs *logbook) {
	t.Helper()
	made, logs := f.make(t)
	r = made.(*Runtime)
	if err := r.Warm(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Cool)
	return r, logs
}

func bodyOf(t *testing.T, in *shm.Instance) string {
	t.Helper()
	var resp event.Response
	if err := in.Invoke(t.Context(), &event.Event{}, &resp); err != nil {
		t.Fatal(err)
	}
	return string(resp.Body)
}

// Until it is opened nothing of the function runs; then it is as any other.
func TestAWorkerBegunAheadServes(t *testing.T) {
	const code = "import os, time\nbegun = time.time_ns()\ndef handler(context, event):\n    return '%s %d' % (os.environ['WORD'], begun)\n"
	r, _ := begin(t, fixture{code: code, env: []function.EnvVar{{Name: "WORD", Value: "own"}}})
	opened := time.Now().UnixNano()
	in, err := r.Open(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, in) })
	word, text, _ := strings.Cut(bodyOf(t, in.(*shm.Instance)), " ")
	begun, err := strconv.ParseInt(text, 10, 64)
	if word != "own" || err != nil || begun < opened {
		t.Errorf("got %q, %d, %v; it was opened at %d", word, begun, err, opened)
	}
	if took := r.Loading(); took < 0 || took > time.Minute {
		t.Errorf("loading took %v", took)
	}
}

func TestAWorkerBegunAheadThatDied(t *testing.T) {
	r, logs := begin(t, fixture{code: trivial})
	pid := r.Pids()[0]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	in, err := r.Open(t.Context(), web)
	if err != nil {
		t.Fatalf("open: %v\n%s", err, logs)
	}
	t.Cleanup(func() { closeNow(t, in) })
	if got := bodyOf(t, in.(*shm.Instance)); got != "ok" || in.(*shm.Instance).Pid() == pid {
		t.Errorf("got %q from process %d", got, in.(*shm.Instance).Pid())
	}
}

func TestAWorkerBegunAheadWithAWrongHandler(t *testing.T) {
	r, _ := begin(t, fixture{code: "import no_such_module\n"})
	in, err := r.Open(t.Context(), web)
	if err == nil {
		closeNow(t, in)
	}
	if err == nil || !strings.Contains(err.Error(), "no_such_module") {
		t.Errorf("got %v", err)
	}
}

func TestWorkersBegunAheadAreEnded(t *testing.T) {
	r, _ := begin(t, fixture{code: trivial})
	pid := r.Pids()[0]
	r.Cool()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is there: %v", pid, err)
	}
}
