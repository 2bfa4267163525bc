package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/function"
)

// Seen is what there is to decide a rollout by.
type Seen struct {
	Now time.Time
	// Since is when who decides began to look. What could not happen before is
	// not held against the version.
	Since time.Time
	// Alias is the alias as it is written, nil if there is none any more.
	Alias *function.Alias
	// Effective tells that requests follow the alias as it is written.
	Effective bool
	// Figures are what versions did since the present step began; nil if that
	// is not known now.
	Figures *RolloutFigures
	// Blind is why the figures are not known.
	Blind string
}

// RolloutFigures are those of the version that comes and of all that go.
type RolloutFigures struct{ New, Old function.RolloutFigures }

// RolloutNext is what is to be done about a rollout.
type RolloutNext struct {
	// Status is the rollout's from now on.
	Status function.RolloutStatus
	// Move is where the alias is to be moved, in the same breath; nil: it stays.
	Move []function.Weighted
	// Note says why, in the alias's history.
	Note string
	// Mark tells that a step begins: what is counted from now on is its own.
	Mark bool
	// News tells that something happened, and not only time and requests went by.
	News bool
}

// Rollout decides what is next of a rollout. It is asked again and again, and
// what it says is done whole or not at all.
func Rollout(spec function.RolloutSpec, st function.RolloutStatus, see Seen) RolloutNext {
	d := rollout{spec: spec, see: see, next: RolloutNext{Status: st}}
	d.next.Status.Events = slices.Clip(st.Events)
	switch {
	case st.State.Ended():
	case stray(st, see.Alias) != "":
		d.end(function.RolloutSuperseded, stray(st, see.Alias))
	case !see.Effective:
		d.wait()
	default:
		d.effective()
	}
	return d.next
}

type rollout struct {
	spec function.RolloutSpec
	see  Seen
	next RolloutNext
}

func (d *rollout) status() *function.RolloutStatus { return &d.next.Status }

// wait is for versions to serve. A rollout that does not come to it is taken back.
func (d *rollout) wait() {
	st := d.status()
	why := strings.Join(d.see.Alias.Status.Waiting, ", ")
	st.Message = cmp.Or(why, "waiting until the alias leads to "+weights(st.To))
	moving := st.State == function.RolloutProgressing || st.State == function.RolloutPaused
	from := st.Moved
	if d.see.Since.After(from) {
		from = d.see.Since
	}
	if moving && st.Began.IsZero() && d.see.Now.Sub(from) > d.spec.ReadyTimeout.Std() {
		d.back(fmt.Sprintf("not in effect after %s: %s", d.spec.ReadyTimeout, st.Message), "")
	}
}

// effective decides once the alias leads where it was moved to.
func (d *rollout) effective() {
	st := d.status()
	switch {
	case st.State == function.RolloutRollingBack:
		d.end(function.RolloutRolledBack, st.Message)
	case st.State == function.RolloutPromoting:
		d.end(function.RolloutSucceeded, "promoted: all goes to version "+d.spec.Version)
	case st.Began.IsZero():
		d.begin()
	default:
		d.judge()
	}
}

// begin begins the present step, whose clock runs from here on.
func (d *rollout) begin() {
	st, step := d.status(), d.step()
	if d.last() && step.Pause == 0 && st.State == function.RolloutProgressing {
		d.end(function.RolloutSucceeded, "all goes to version "+d.spec.Version)
		return
	}
	st.Began, st.Left, st.Message = d.see.Now, 0, ""
	st.Due = d.see.Now.Add(step.Pause.Std())
	st.New, st.Old = function.RolloutFigures{}, function.RolloutFigures{}
	if st.State == function.RolloutPaused {
		st.Due, st.Left = time.Time{}, step.Pause
	}
	d.next.Mark = true
	d.say(fmt.Sprintf("%s of the traffic goes to version %s", share(step.Weight), d.spec.Version), "", false)
}

// judge looks at the figures of a step that has begun: back, on, or neither yet.
func (d *rollout) judge() {
	st := d.status()
	if d.see.Figures == nil {
		st.Message = "the figures are not known: " + d.see.Blind
		return
	}
	st.New, st.Old = d.see.Figures.New, d.see.Figures.Old
	if why := Criteria(d.spec.Criteria, st.New, st.Old, st.Baseline); why != "" {
		d.back(why, "")
		return
	}
	least := minRequests(d.spec.Criteria)
	enough := st.New.Total() >= least || d.last()
	switch {
	case st.State == function.RolloutPaused:
		st.Message = "paused; go on with resume"
	case d.see.Now.Before(st.Due):
		st.Message = fmt.Sprintf("step %d of %d lasts until %s", st.Step, len(d.spec.Steps), st.Due.UTC().Format(time.RFC3339))
	case !enough:
		st.Message = fmt.Sprintf("waiting for requests: version %s had %d of %d", d.spec.Version, st.New.Total(), least)
	default:
		d.on()
	}
}

// on goes to the next step, or ends the last.
func (d *rollout) on() {
	st := d.status()
	if st.Old.Total() >= max(minRequests(d.spec.Criteria), 1) {
		st.Baseline = st.Old
	}
	if d.last() {
		d.move(RolloutWeights(st.From, d.spec.Version, 100, false), "done")
		d.end(function.RolloutSucceeded, "all goes to version "+d.spec.Version)
		return
	}
	d.say("passed", "", true)
	st.Step++
	d.enter()
}

// enter moves the alias to the present step.
func (d *rollout) enter() {
	st, step := d.status(), d.step()
	st.Weight, st.Moved, st.Began, st.Due = step.Weight, d.see.Now, time.Time{}, time.Time{}
	st.Message = fmt.Sprintf("step %d of %d begins", st.Step, len(d.spec.Steps))
	keep := step.Weight < 100 || step.Pause > 0
	d.move(RolloutWeights(st.From, d.spec.Version, step.Weight, keep), fmt.Sprintf("step %d of %d", st.Step, len(d.spec.Steps)))
}

// back takes the rollout back.
func (d *rollout) back(why, by string) {
	st := d.status()
	d.say("rolled back: "+why, by, st.New.Total() > 0)
	st.State, st.Message, st.Weight, st.Moved = function.RolloutRollingBack, why, 0, d.see.Now
	d.move(st.From, "rolled back: "+why)
}

func (d *rollout) move(to []function.Weighted, note string) {
	st := d.status()
	if !sameWeights(st.To, to) {
		d.next.Move, d.next.Note = to, "rollout to "+d.spec.Version+": "+note
	}
	st.To = to
}

// end ends the rollout.
func (d *rollout) end(s function.RolloutState, why string) {
	st := d.status()
	st.State, st.Message, st.Ended, st.Due, st.Left = s, why, d.see.Now, time.Time{}, 0
	text := string(s)
	switch s {
	case function.RolloutRolledBack:
		text = "the alias leads to " + weights(st.From) + " again"
	case function.RolloutSucceeded:
		st.Weight = 100
		text = "succeeded: " + why
	case function.RolloutSuperseded:
		text = "superseded: " + why
	}
	d.say(text, "", s == function.RolloutSucceeded && st.New.Total() > 0)
}

func (d *rollout) step() function.RolloutStep { return d.spec.Steps[d.at()] }
func (d *rollout) last() bool                 { return d.at() == len(d.spec.Steps)-1 }
func (d *rollout) at() int {
	return min(max(d.status().Step-1, 0), len(d.spec.Steps)-1)
}

// say notes an event, with the figures of the step if they say something.
func (d *rollout) say(text, by string, figures bool) {
	st := d.status()
	e := function.RolloutEvent{At: d.see.Now, Step: st.Step, Message: text, By: by}
	if figures {
		e.New, e.Old = new(st.New), new(st.Old)
	}
	st.Events = append(st.Events, e)
	st.Events = st.Events[max(len(st.Events)-function.MaxRolloutEvents, 0):]
	d.next.News = true
}

// stray says how somebody else moved the alias, "" if nobody did.
func stray(st function.RolloutStatus, a *function.Alias) string {
	switch {
	case a == nil:
		return "the alias was deleted"
	case sameWeights(a.Spec.Versions, st.To):
		return ""
	}
	who := "somebody else"
	if h := a.Status.History; len(h) > 0 && h[0].By != "" {
		who = h[0].By
	}
	return "the alias was moved to " + weights(a.Spec.Versions) + " by " + who
}
