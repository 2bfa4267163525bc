// Package mortal runs a trigger in a process of its own, which a test kills again
// and again: what was run is counted by what the process says. It knows no kind of
// trigger.
package mortal

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

const env = "MYELIN_MORTAL"

// Main runs the trigger that build makes, if this process is one that Run has
// started; else it returns false at once. It is called by TestMain.
func Main(build func(arg string) (trigger.Trigger, error)) bool {
	arg, ok := os.LookupEnv(env)
	if !ok {
		return false
	}
	if err := run(build, arg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func run(build func(arg string) (trigger.Trigger, error), arg string) error {
	trg, err := build(arg)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
		fmt.Printf("ran %s\n", ev.Body) // one write: it is there, or it is not
		return nil
	}))
}

// Beside has more tests run beside each other than there are processors, for suites
// that wait more than they work. It is called by TestMain.
func Beside() {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // there is such a flag in every test
}

// patience bounds each wait for an event.
const patience = 60 * time.Second

// Run starts processes one after another, kills each once it has run so many events
// more, and ends the last one in order when n different events have run. It returns
// how often each did.
func Run(t *testing.T, arg string, kills, each, n int) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for i := range kills + 1 {
		want := n
		if i < kills {
			want = min(n, len(seen)+each)
		}
		life(t, arg, seen, want, i < kills)
	}
	return seen
}

// life is that of one process.
func life(t *testing.T, arg string, seen map[string]int, want int, killed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env+"="+arg)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	ended := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var body string
		if k, _ := fmt.Sscanf(lines.Text(), "ran %s", &body); k == 1 {
			seen[body]++
		}
		if len(seen) >= want && !ended {
			ended = true
			if killed {
				_ = cmd.Process.Kill()
			} else {
				_ = cmd.Process.Signal(syscall.SIGTERM)
			}
		}
	}
	err = cmd.Wait()
	if !ended {
		t.Fatalf("a process ended, or was waited for in vain, with %d of %d events: %v", len(seen), want, err)
	}
	if !killed && err != nil {
		t.Errorf("the last process: %v", err)
	}
}
