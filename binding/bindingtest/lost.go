package bindingtest

import (
	"errors"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// Server is one that a test pauses, kills and starts again.
type Server interface {
	Pause() error
	Resume() error
	Kill() error
	Start() error
}

// KVLost has a server of keys stand still, which costs a call its time, go, and
// come back, after which it serves the same binding again. A watch hears of that.
func KVLost(t *testing.T, s Server, b binding.Binding) {
	keys := Opened(t, b).(data.KeyStore)
	kv := data.NewKV(keys, &data.Guard{Name: "lost", Timeout: 500 * time.Millisecond})
	patient := data.NewKV(keys, guard())
	_, err := patient.Put(t.Context(), "before", []byte("v"))
	ok(t, err)
	var w *watched
	if _, tells := keys.(data.KeyWatcher); tells {
		w = watch(t, patient, "")
		w.until("")
	}
	ok(t, s.Pause())
	if _, err := kv.Get(t.Context(), "before"); !errors.Is(err, data.Timeout) && !errors.Is(err, data.Away) {
		t.Errorf("paused: %v", err)
	}
	ok(t, s.Resume())
	ok(t, s.Kill())
	if _, err := kv.Add(t.Context(), "n", 1); !errors.Is(err, data.Away) && !errors.Is(err, data.Timeout) {
		t.Errorf("gone: %v", err)
	}
	if w != nil {
		select {
		case err := <-w.end:
			want(t, err, data.Away)
		case <-time.After(60 * time.Second):
			t.Error("the watch does not hear that the server is gone")
		}
	}
	ok(t, s.Start())
	eventually(t, "it serves again", func() bool {
		v, err := patient.Get(t.Context(), "before")
		return err == nil && string(v.Data) == "v"
	})
}
