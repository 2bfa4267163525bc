package function

import (
	"time"

	"github.com/myelin-run/myelin/quantity"
)

// JobKind is the kind of jobs.
const JobKind = "Job"

// Job runs a function once for each item of a finite set, and keeps on record
// what became of each.
type Job struct {
	// myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Job.
	Kind string `json:"kind,omitempty"`
	// What the job is called, one name among the jobs of its function, and labelled.
	Metadata Metadata `json:"metadata"`
	// What runs, and how.
	Spec JobSpec `json:"spec"`
	// What is now. It is not the writer's to say.
	Status JobStatus `json:"status,omitzero"`
}

// JobSpec says what runs the items of a job, and how.
type JobSpec struct {
	// The function.
	Function string `json:"function,omitempty"`
	// The alias whose versions run the items, each item its own share. Default: the working copy.
	Alias string `json:"alias,omitempty"`
	// Number of the version that runs the items; an alias or a mapping has to name it, or it does not run. Default: the working copy.
	Version string `json:"version,omitempty" document:"scalar"`
	// Where the items come from, for those who read it.
	Source string `json:"source,omitempty"`
	// How many items run at once. Default: 10.
	Parallel int `json:"parallel,omitempty"`
	// How long the function may take for an item. Default: 5m.
	Timeout quantity.Duration `json:"timeout,omitempty"`
	// What is done about items that fail.
	Retry JobRetry `json:"retry,omitzero"`
	// Whether the first 256 bytes of what the function answers are kept with each item.
	KeepResults bool `json:"keepResults,omitempty"`
}

// JobRetry says how often an item is tried. What failed with a status of 400 to
// 499, but for 408, 425 and 429, is not tried again.
type JobRetry struct {
	// How often at most. Default: 5.
	Attempts int `json:"attempts,omitempty"`
	// How long to wait before the second attempt; before each further one twice as long. Default: 1s.
	Backoff quantity.Duration `json:"backoff,omitempty"`
	// How long to wait at most. Default: 1m.
	MaxBackoff quantity.Duration `json:"maxBackoff,omitempty"`
}

// JobState is how far a job is.
type JobState string

// The states of a job, the last three for good.
const (
	JobRunning    JobState = "running"
	JobPaused     JobState = "paused"
	JobCancelling JobState = "cancelling"
	JobSucceeded  JobState = "succeeded"
	JobFailed     JobState = "failed"
	JobCancelled  JobState = "cancelled"
)

// Ended tells whether nothing will change any more.
func (s JobState) Ended() bool {
	return s == JobSucceeded || s == JobFailed || s == JobCancelled
}

// JobStatus is how a job is now.
type JobStatus struct {
	// running, paused, cancelling; and then for good succeeded, failed (items have failed) or cancelled.
	State JobState `json:"state,omitempty"`
	// Whether more items may come: the job does not end before it is closed.
	Open bool `json:"open,omitempty"`
	// What is waited for, or what is wrong.
	Message string `json:"message,omitempty"`
	// Who began it.
	By string `json:"by,omitempty"`
	// When it was begun.
	Started time.Time `json:"started,omitzero"`
	// When it ended.
	Ended time.Time `json:"ended,omitzero"`
	// How many items there are.
	Items int64 `json:"items"`
	// How many have a record of having been done.
	Completed int64 `json:"completed"`
	// How many have a record of having failed for good.
	Failed int64 `json:"failed"`
	// How many were running when this was written.
	Running int `json:"running"`
	// How many attempts failed and were followed by another.
	Retries int64 `json:"retries"`
	// How many runs ended after the job had been taken from who ran them, and so were not put on record.
	Duplicates int64 `json:"duplicates"`
	// How often somebody took up the work. Records are written only by who did so last.
	Epoch int64 `json:"epoch"`
	// What happened, the newest last.
	Events []JobEvent `json:"events,omitempty"`
}

// Settled is how many items have a record.
func (s JobStatus) Settled() int64 { return s.Completed + s.Failed }

// JobEvent is something that happened.
type JobEvent struct {
	// When.
	At time.Time `json:"at"`
	// What, and why.
	Message string `json:"message"`
	// Who did it, if it was somebody.
	By string `json:"by,omitempty"`
}

// The states of an item of a job.
const (
	ItemWaiting   = "waiting"
	ItemCompleted = "completed"
	ItemFailed    = "failed"
)

// JobItem is an item of a job with its record.
type JobItem struct {
	// The item's number, from 1.
	Number int64 `json:"number"`
	// The item itself: a line, or the name of a file or object.
	Item string `json:"item"`
	// waiting, completed or failed.
	State string `json:"state"`
	// How often it was run; of those that wait, how often it failed.
	Attempts int `json:"attempts"`
	// When its record was made.
	Finished time.Time `json:"finished,omitzero"`
	// Why it failed, or failed last.
	Error string `json:"error,omitempty"`
	// What the function answered, if results are kept.
	Result string `json:"result,omitempty"`
	// Under which epoch of the job the record was made.
	Epoch int64 `json:"epoch,omitempty"`
}

// What a job may have.
const (
	MaxJobItem     = 64 << 10  // bytes of an item
	MaxJobItems    = 2_000_000 // items of a job
	MaxJobBytes    = 256 << 20 // bytes of all items of a job
	MaxJobParallel = 1000
	MaxJobEvents   = 50
)

// The defaults of a job.
const (
	defaultJobParallel   = 10
	defaultJobAttempts   = 5
	defaultJobTimeout    = quantity.Duration(5 * time.Minute)
	defaultJobBackoff    = quantity.Duration(time.Second)
	defaultJobMaxBackoff = quantity.Duration(time.Minute)
)

// JobDefaults fills in what j does not say.
func JobDefaults(j *Job) {
	fill(&j.APIVersion, APIVersion)
	fill(&j.Kind, JobKind)
	fill(&j.Spec.Parallel, defaultJobParallel)
	fill(&j.Spec.Timeout, defaultJobTimeout)
	fill(&j.Spec.Retry.Attempts, defaultJobAttempts)
	fill(&j.Spec.Retry.Backoff, defaultJobBackoff)
	fill(&j.Spec.Retry.MaxBackoff, max(defaultJobMaxBackoff, j.Spec.Retry.Backoff))
}
