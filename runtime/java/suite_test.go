package java

import (
	"log/slog"
	"testing"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

// functions of the suite, as classes of testdata/functions.
var functions = map[string]string{
	runtimetest.Echo: "Echo", runtimetest.Keep: "Keep", runtimetest.Fail: "Fail", runtimetest.Panic: "Panic", runtimetest.Exit: "Exit",
	runtimetest.Hang: "Hang", runtimetest.Big: "Big", runtimetest.Headers: "Headers", runtimetest.Status: "Status",
	runtimetest.UserData: "UserData", runtimetest.BadInit: "BadInit", runtimetest.Leave: "Leave", runtimetest.Logs: "Logs", runtimetest.Empty: "Empty", runtimetest.Stream: "Stream",
	runtimetest.Batch: "Batch", runtimetest.Call: "Call", runtimetest.CallMany: "CallMany", runtimetest.CallBatch: "CallBatch",
	runtimetest.Bind: "Bind",
}

// The suite's functions in Myelin's form, in Nuclio's, with answers that come
// later, and in several threads.
func TestSuite(t *testing.T) {
	for _, form := range []struct {
		name, classes string
		attrs         map[string]any
		own           bool // it has what only Myelin's form can
	}{
		{"plain", "Plain", nil, true},
		{"nuclio", "Nuclios", nil, false},
		{"later", "Later", nil, true},
		{"threads", "Plain", map[string]any{"threads": 8}, true},
		{"spinning", "Plain", map[string]any{"spin": true}, true},
	} {
		t.Run(form.name, func(t *testing.T) {
			handler := func(function string) string {
				class, ok := functions[function]
				if !ok {
					panic("the suite has a new function: " + function)
				}
				return form.classes + "$" + class
			}
			f := runtimetest.Fixture{Streams: form.own, Batches: form.own, Leaves: form.own, Binds: form.own, New: func(t testing.TB, function string, logs *slog.Logger) runtime.Runtime {
				r, _ := fixture{handler: handler(function), attrs: form.attrs, log: logs}.make(t)
				return r
			}}
			if form.own {
				f.Calls = func(t testing.TB, function string, caller runtime.Caller) runtime.Runtime {
					r, _ := fixture{handler: handler(function), attrs: form.attrs, calls: caller}.make(t)
					return r
				}
			}
			runtimetest.Run(t, f)
		})
	}
}
