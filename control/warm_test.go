package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
)

// parked waits for the parked processor of a function.
func (w *world) parked(name string) (pid int) {
	w.Helper()
	w.await("a parked processor of "+name, func(context.Context) error {
		paths, err := filepath.Glob(filepath.Join(w.dir, "run", "default."+name, "*.json"))
		if err != nil {
			return err
		}
		for _, path := range paths {
			var r struct {
				PID    int  `json:"pid"`
				Parked bool `json:"parked"`
			}
			if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &r) == nil && r.Parked {
				pid = r.PID
				return nil
			}
		}
		return errors.New("there is none")
	})
	return pid
}

// A parked processor ends with a control plane that is killed, and the next one
// has its own.
func TestParkedProcessorsOfAKilledControlPlane(t *testing.T) {
	t.Setenv(warmEnv, "1")
	w := newWorld(t)
	w.start()
	cfg := sleeper("hello", 1)
	cfg.Spec.Runtime = "shell"
	f := w.deploy(cfg, function.Ready)
	w.asleep("hello")
	pid := w.parked("hello")
	w.kill()
	w.await("the end of the parked processor", func(context.Context) error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") { // nobody may collect it
			return fmt.Errorf("process %d is there: %s", pid, stat)
		}
		return nil
	})
	w.start()
	w.asleep("hello")
	if next := w.parked("hello"); next == pid {
		t.Errorf("process %d is still the one", next)
	}
	if err := burst(20, f.Status.URL); err != nil {
		t.Error(err)
	}
}
