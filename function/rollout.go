package function

import (
	"time"

	"github.com/myelin-run/myelin/quantity"
)

// RolloutKind is the kind of rollouts.
const RolloutKind = "Rollout"

// Rollout moves an alias from where it leads to a version, step by step, as long
// as the version keeps to the criteria, and else back. It has the name of its
// alias, and so an alias has one at most.
type Rollout struct {
	// myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Rollout.
	Kind string `json:"kind,omitempty"`
	// The name is that of the alias.
	Metadata Metadata `json:"metadata"`
	// Where to, in which steps, and what is expected.
	Spec RolloutSpec `json:"spec"`
	// What is now. It is not the writer's to say.
	Status RolloutStatus `json:"status,omitzero"`
}

// RolloutSpec says where an alias is to lead, and on what conditions.
type RolloutSpec struct {
	// The function.
	Function string `json:"function,omitempty"`
	// Number of the version that is to have all traffic.
	Version string `json:"version" document:"scalar"`
	// The steps, their weights growing, the last 100.
	Steps []RolloutStep `json:"steps"`
	// What the version has to keep to.
	Criteria RolloutCriteria `json:"criteria,omitzero"`
	// How long a step may wait for the version to serve. Later it is taken back. Default: 2m.
	ReadyTimeout quantity.Duration `json:"readyTimeout,omitempty"`
}

// RolloutStep is a part of the traffic, for a while.
type RolloutStep struct {
	// Share of the version in percent, decimals allowed.
	Weight float64 `json:"weight"`
	// How long the step lasts at least, from when the alias leads there. Default: until there were enough requests.
	Pause quantity.Duration `json:"pause,omitempty"`
}

// RolloutCriteria are what a version has to keep to in each step. Requests are
// those that came by the alias.
type RolloutCriteria struct {
	// How many requests and events the version has had in a step before it is judged, and before the next step. Default: 100.
	MinRequests *int64 `json:"minRequests,omitempty"`
	// Most errors of the version, in percent of its requests and events.
	MaxErrorRate *float64 `json:"maxErrorRate,omitempty"`
	// By how many percentage points its errors may be more than those of what it replaces, at the same time. Where nothing of it is known they have none. Default: 1, if nothing else is said.
	MaxErrorRateIncrease *float64 `json:"maxErrorRateIncrease,omitempty"`
	// How many times as long as those of what it replaces its slowest requests may take, by the 99th percentile.
	MaxP99Factor *float64 `json:"maxP99Factor,omitempty"`
	// A difference of the 99th percentiles that does not count. Default: 5ms.
	P99Slack quantity.Duration `json:"p99Slack,omitempty"`
}

// RolloutState is how far a rollout is.
type RolloutState string

// The states of a rollout, the last three for good.
const (
	RolloutProgressing RolloutState = "progressing"
	RolloutPaused      RolloutState = "paused"
	RolloutPromoting   RolloutState = "promoting"
	RolloutRollingBack RolloutState = "rollingBack"
	RolloutSucceeded   RolloutState = "succeeded"
	RolloutRolledBack  RolloutState = "rolledBack"
	RolloutSuperseded  RolloutState = "superseded"
)

// Ended tells whether nothing will change any more.
func (s RolloutState) Ended() bool {
	return s == RolloutSucceeded || s == RolloutRolledBack || s == RolloutSuperseded
}

// RolloutStatus is how a rollout is now.
type RolloutStatus struct {
	// progressing, paused, promoting, rollingBack; and then for good succeeded, rolledBack or superseded.
	State RolloutState `json:"state,omitempty"`
	// Number of the present step, from 1.
	Step int `json:"step,omitempty"`
	// Share of the version that the alias was given.
	Weight float64 `json:"weight"`
	// What is waited for, or why it ended.
	Message string `json:"message,omitempty"`
	// Who started it.
	By string `json:"by,omitempty"`
	// When it was started.
	Started time.Time `json:"started,omitzero"`
	// When it ended.
	Ended time.Time `json:"ended,omitzero"`
	// When the alias was moved last.
	Moved time.Time `json:"moved,omitzero"`
	// When the alias led where the present step says; unset until it does.
	Began time.Time `json:"began,omitzero"`
	// When the present step has lasted long enough.
	Due time.Time `json:"due,omitzero"`
	// While it is paused: how much of the present step is left.
	Left quantity.Duration `json:"left,omitempty"`
	// Where the alias led before, and leads again if the rollout is taken back.
	From []Weighted `json:"from,omitempty"`
	// Where the rollout moved the alias last.
	To []Weighted `json:"to,omitempty"`
	// What the version has done in the present step.
	New RolloutFigures `json:"new,omitzero"`
	// What those that it replaces have done in the same time.
	Old RolloutFigures `json:"old,omitzero"`
	// What those that it replaces did in the last step in which they were asked often enough.
	Baseline RolloutFigures `json:"baseline,omitzero"`
	// What happened, the newest last.
	Events []RolloutEvent `json:"events,omitempty"`
}

// RolloutFigures are what versions did in a step.
type RolloutFigures struct {
	// Requests that came by the alias through the gateway and were answered.
	Requests int64 `json:"requests"`
	// Those of them whose answer was 500 or more, or that were not answered by the function.
	Errors int64 `json:"errors"`
	// The time within which 99 of 100 were answered, in microseconds, to within a quarter.
	P99 int64 `json:"p99Micros"`
	// Events of triggers that follow the alias, each time that they ran.
	Events int64 `json:"events,omitempty"`
	// Those of them that failed, timed out or ended their worker.
	EventErrors int64 `json:"eventErrors,omitempty"`
}

// RolloutEvent is something that happened.
type RolloutEvent struct {
	// When.
	At time.Time `json:"at"`
	// In which step.
	Step int `json:"step,omitempty"`
	// What, and why.
	Message string `json:"message"`
	// Who did it, if it was somebody.
	By string `json:"by,omitempty"`
	// What the version had done in the step until then.
	New *RolloutFigures `json:"new,omitempty"`
	// What those that it replaces had done.
	Old *RolloutFigures `json:"old,omitempty"`
}

// MaxRolloutEvents is how many events a rollout remembers.
const MaxRolloutEvents = 100

// Total is how often versions ran.
func (f RolloutFigures) Total() int64 { return f.Requests + f.Events }

// ErrorRate is the share of what failed, in percent.
func (f RolloutFigures) ErrorRate() float64 {
	if f.Total() <= 0 {
		return 0
	}
	return 100 * float64(f.Errors+f.EventErrors) / float64(f.Total())
}

// The defaults of a rollout.
const (
	defaultMinRequests       = 100
	defaultErrorRateIncrease = 1.0
	defaultP99Slack          = quantity.Duration(5 * time.Millisecond)
	defaultReadyTimeout      = quantity.Duration(2 * time.Minute)
)

// RolloutDefaults fills in what r does not say.
func RolloutDefaults(r *Rollout) {
	fill(&r.APIVersion, APIVersion)
	fill(&r.Kind, RolloutKind)
	fill(&r.Spec.ReadyTimeout, defaultReadyTimeout)
	c := &r.Spec.Criteria
	fill(&c.P99Slack, defaultP99Slack)
	if c.MinRequests == nil {
		c.MinRequests = new(int64(defaultMinRequests))
	}
	if c.MaxErrorRate == nil && c.MaxErrorRateIncrease == nil && c.MaxP99Factor == nil {
		c.MaxErrorRateIncrease = new(defaultErrorRateIncrease)
	}
}
