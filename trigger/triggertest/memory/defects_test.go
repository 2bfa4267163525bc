package memory

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

const defectEnv = "MYELIN_ENGINES_DEFECT"

// The suites fail a trigger with any of these defects; each names the check
// that has to find it.
func TestSuitesFindDefects(t *testing.T) {
	for _, d := range []struct{ suite, defect, check string }{
		{"Queue", "forgets unacked", "Cut"},
		{"Queue", "loses requeued", "StopLosesNothing"},
		{"Queue", "acks failures", "FailedComeAgain"},
		{"Queue", "runs twice", "Every"},
		{"Queue", "tries hopeless ones again", "Permanent"},
		{"Queue", "counts busy", "CrashAndBusy"},
		{"Queue", "no filter", "Filter"},
		{"Queue", "no batches", "Poison"},
		{"Queue", "leaves at once", "StopLosesNothing"},
		{"Queue", "says nothing", "Away"},
		{"Stream", "does not revoke", "Rebalance"},
		{"Stream", "loses at moves", "NotPassedOver"},
		{"Stream", "acks failures", "NotPassedOver"},
		{"Stream", "ends events", "StopLosesNothing"},
		{"Stream", "no order", "OrderPerShard"},
	} {
		t.Run(d.suite+" "+d.defect, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run", "^Test"+d.suite+"Suite$/^(requeues|group)$/^"+d.check+"$", "-test.timeout", "60s")
			cmd.Env = append(os.Environ(), defectEnv+"="+d.defect)
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("the check %s passed:\n%.2000s", d.check, out)
			}
		})
	}
}

type badQueue struct {
	*Queue
	defect string
}

func (b *badQueue) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	s = badSettings(s, b.defect)
	return &bad{engine: b.Queue.Trigger(t, s).(engine), defect: b.defect}
}

type badLog struct {
	*Log
	defect string
}

func (b *badLog) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	s = badSettings(s, b.defect)
	return &bad{engine: b.Log.Trigger(t, s).(engine), defect: b.defect}
}

func badSettings(s trigger.Settings, defect string) trigger.Settings {
	switch defect {
	case "no filter":
		s.Spec.Filter = ""
	case "no batches":
		s.Spec.Batch = nil
	case "no order":
		s.Spec.WorkersPerShard = 4
	}
	return s
}

type engine interface {
	trigger.Trigger
	trigger.Readier
	trigger.Settler
	trigger.Pauser
	trigger.Seeker
	trigger.Reporter
}

// bad is a trigger with a mistake between its engine and the handler.
type bad struct {
	engine
	defect string
}

func (b *bad) Report() trigger.Report {
	r := b.engine.Report()
	if b.defect == "says nothing" {
		r.Problem = ""
	}
	return r
}

func (b *bad) Run(ctx context.Context, h trigger.Handler) error {
	if b.defect == "leaves at once" {
		go func() { _ = b.engine.Run(ctx, h) }()
		<-ctx.Done()
		return nil
	}
	return b.engine.Run(ctx, trigger.HandlerFunc(func(c context.Context, ev *event.Event, resp *event.Response) error {
		if b.defect == "ends events" {
			c = ctx
		}
		err := h.Handle(c, ev, resp)
		switch {
		case b.defect == "acks failures":
			return nil
		case b.defect == "runs twice":
			return h.Handle(c, ev, resp)
		case b.defect == "tries hopeless ones again" && event.IsPermanent(err):
			return errors.New("hopeless")
		case b.defect == "counts busy" && errors.Is(err, event.ErrBusy):
			return errors.New("busy")
		}
		return err
	}))
}
