package runtime

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/event"
)

// Binding is a data binding that a function may use by calls of the kind
// CallBinding.
type Binding struct {
	Name  string
	Class string // "kv", "object", "table", "stream" or "file"
}

// Scope is one event in a function, as its calls have it. Scopes are told
// apart by their addresses. A call is ended when its scope ends, which is when
// the event is answered, or its worker dies. Calls that belong to no event have
// the scope of the worker, which ends with it.
type Scope struct {
	// Event says that it ends with an event, not with its worker.
	Event bool
	// Brought is what was fetched for the event; nil if nothing was.
	Brought event.Brought
}

// Ender is implemented by callers that keep something between the calls of a
// scope, as a transaction. Done is called once for each scope that had calls,
// after all of them have returned; what is still open then is undone. The event
// is answered when Done has returned, and fails with its error.
type Ender interface{ Done(s *Scope) error }

// Unwritten is the failure of an event whose writes were not made; nil if they
// were.
func Unwritten(err error) error {
	if err == nil {
		return nil
	}
	status := int(data.ReasonOf(err))
	if status == 0 {
		status = http.StatusInternalServerError
	}
	return event.Errorf(status, "what the function wrote is not kept: %s", err.Error())
}

// TellBindings says which bindings there are, as a worker process is told:
// "class:name" for each, with commas between. Names hold neither.
func TellBindings(all []Binding) string {
	var b strings.Builder
	for i, one := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s:%s", one.Class, one.Name)
	}
	return b.String()
}
