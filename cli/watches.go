package cli

import (
	"fmt"
	"log/slog"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// watches knows which sources can be watched while the functions that they feed
// sleep: those whose triggers say so.
type watches struct{ set *trigger.Set }

// Watch implements scaler.Watches.
func (w watches) Watch(name, of string, t function.Trigger) (trigger.Waiter, error) {
	d, ok := catalog.ParseDeployment(name)
	if !ok {
		return nil, fmt.Errorf("%q is no deployment", name)
	}
	f, err := w.set.Lookup(t.Kind)
	if err != nil {
		return nil, err
	}
	made, err := f.New(trigger.Settings{Name: of, Spec: t, Log: slog.New(slog.DiscardHandler), Namespace: d.Namespace, Function: d.Name.Name}, t.Attributes)
	if err != nil {
		return nil, err
	}
	watched, ok := made.(trigger.Watchable)
	if !ok {
		return nil, fmt.Errorf("the kind %s cannot wake a function that sleeps, so one replica stays", t.Kind)
	}
	return watched.Watch()
}
