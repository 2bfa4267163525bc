package cli

import (
	"errors"
	"fmt"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// checkSource says what is wrong with the source of an event mapping, before a
// processor is started with it. Making a trigger opens nothing.
func (a *app) checkSource(name string, t function.Trigger) error {
	f, err := a.parts.Triggers.Lookup(t.Kind)
	if err != nil {
		return document.Errors{{Path: "kind", Msg: err.Error()}}
	}
	_, err = f.New(trigger.Settings{Name: name, Spec: t, Function: "f", Namespace: "default"}, t.Attributes)
	if own := (*trigger.SpecError)(nil); errors.As(err, &own) {
		return fmt.Errorf("%w", own.Err)
	}
	return document.Under("attributes", err)
}
