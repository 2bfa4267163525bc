package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// RolloutStart returns the status of a rollout that begins, and where its alias
// is moved. The error says why it cannot.
func RolloutStart(spec function.RolloutSpec, from []function.Weighted, by string, now time.Time) (RolloutNext, error) {
	if len(replaced(from, spec.Version)) == 0 {
		return RolloutNext{}, fmt.Errorf("the alias leads to version %s already", spec.Version)
	}
	d := rollout{spec: spec, see: Seen{Now: now}}
	d.next.Status = function.RolloutStatus{State: function.RolloutProgressing, Step: 1, By: by, Started: now, From: from, To: from}
	d.say(fmt.Sprintf("started: from %s to version %s in %d steps", weights(from), spec.Version, len(spec.Steps)), by, false)
	d.enter()
	return d.next, nil
}

// The verbs of a rollout.
const (
	RolloutPause   = "pause"
	RolloutResume  = "resume"
	RolloutPromote = "promote"
	RolloutAbort   = "abort"
)

// RolloutVerbs are what people can do with a rollout.
func RolloutVerbs() []string {
	return []string{RolloutPause, RolloutResume, RolloutPromote, RolloutAbort}
}

// RolloutSteer does what somebody asks of a rollout. The error says why that is
// not possible in its state.
func RolloutSteer(spec function.RolloutSpec, st function.RolloutStatus, see Seen, verb, by, note string) (RolloutNext, error) {
	d := rollout{spec: spec, see: see, next: RolloutNext{Status: st}}
	d.next.Status.Events = slices.Clip(st.Events)
	allowed := map[string][]function.RolloutState{
		RolloutPause:   {function.RolloutProgressing},
		RolloutResume:  {function.RolloutPaused},
		RolloutPromote: {function.RolloutProgressing, function.RolloutPaused},
		RolloutAbort:   {function.RolloutProgressing, function.RolloutPaused, function.RolloutPromoting},
	}
	if !slices.Contains(allowed[verb], st.State) {
		return RolloutNext{}, fmt.Errorf("a rollout that is %s cannot be asked to %s", st.State, verb)
	}
	if why := stray(st, see.Alias); why != "" {
		return RolloutNext{}, errors.New(why)
	}
	d.steer(verb, by, strings.TrimSuffix(": "+note, ": "))
	return d.next, nil
}

func (d *rollout) steer(verb, by, note string) {
	st := d.status()
	switch verb {
	case RolloutPause:
		st.State, st.Message = function.RolloutPaused, "paused; go on with resume"
		if !st.Began.IsZero() {
			st.Left, st.Due = quantity.Duration(max(st.Due.Sub(d.see.Now), 0)), time.Time{}
		}
		d.say("paused"+note, by, false)
	case RolloutResume:
		st.State, st.Message = function.RolloutProgressing, ""
		if !st.Began.IsZero() {
			st.Due, st.Left = d.see.Now.Add(st.Left.Std()), 0
		}
		d.say("resumed"+note, by, false)
	case RolloutPromote:
		d.say("promoted"+note, by, st.New.Total() > 0)
		st.State, st.Message = function.RolloutPromoting, "promoted"
		st.Step, st.Weight, st.Moved, st.Due, st.Left = len(d.spec.Steps), 100, d.see.Now, time.Time{}, 0
		d.move(RolloutWeights(st.From, d.spec.Version, 100, false), "promoted"+note)
	case RolloutAbort:
		d.back("aborted"+note, by)
	}
}
