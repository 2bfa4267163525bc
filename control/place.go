package control

import (
	"context"

	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/local"
)

// place is a platform with what the control plane needs of it. What some have besides
// is found out: [platform.Stopper], [platform.Letters], [owners].
type place interface {
	platform.Platform
	platform.Runner
	platform.Notifier
	platform.Logs
	platform.Processors
	platform.Sharer
}

// owners is implemented by platforms whose functions are users of this machine.
type owners interface {
	// FunctionOf says whose processors a user runs.
	FunctionOf(user int) (name string, ok bool)
}

// place is what functions run on.
func (c *Control) place(o local.Options) (place, error) {
	switch {
	case c.o.Kubernetes != nil:
		return c.kubernetes(o)
	case c.o.Docker != nil:
		return c.docker(o)
	}
	return local.New(o), nil
}

// stopPlace ends what runs, where functions end with the control plane.
func stopPlace(ctx context.Context, p place) error {
	if s, ok := p.(platform.Stopper); ok {
		return s.Stop(ctx)
	}
	return nil
}

// lettersOf are the dead letters that a platform keeps; nil: it keeps none.
func lettersOf(p place) platform.Letters {
	l, _ := p.(platform.Letters)
	return l
}

// functionOf says of a platform whose processors a user of this machine runs.
func functionOf(p place) func(user int) (string, bool) {
	if o, ok := p.(owners); ok {
		return o.FunctionOf
	}
	return func(int) (string, bool) { return "", false }
}
