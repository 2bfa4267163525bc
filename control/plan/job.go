package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/function"
)

// The verbs of a job.
const (
	JobPause  = "pause"
	JobResume = "resume"
	JobClose  = "close"
	JobCancel = "cancel"
)

// JobVerbs are what people can do with a job.
func JobVerbs() []string { return []string{JobPause, JobResume, JobClose, JobCancel} }

// JobStart is the status of a job that begins: open, and without items.
func JobStart(by string, now time.Time) function.JobStatus {
	st := function.JobStatus{State: function.JobRunning, Open: true, By: by, Started: now}
	return jobSaid(st, "begun", by, now)
}

// JobSteer does what somebody asks of a job. The error says why that is not
// possible in its state.
func JobSteer(st function.JobStatus, verb, by, note string, now time.Time) (function.JobStatus, error) {
	allowed := map[string][]function.JobState{
		JobPause:  {function.JobRunning},
		JobResume: {function.JobPaused},
		JobClose:  {function.JobRunning, function.JobPaused},
		JobCancel: {function.JobRunning, function.JobPaused},
	}
	note = strings.TrimSuffix(": "+note, ": ")
	switch {
	case !slices.Contains(allowed[verb], st.State):
		return st, fmt.Errorf("a job that is %s cannot be asked to %s", st.State, verb)
	case verb == JobClose && !st.Open:
		return st, fmt.Errorf("it is closed already")
	case verb == JobClose && st.Items == 0:
		return st, fmt.Errorf("it has no items: add some, or cancel it")
	}
	switch verb {
	case JobPause:
		st.State, st.Message = function.JobPaused, "paused; go on with resume"
		st = jobSaid(st, "paused"+note, by, now)
	case JobResume:
		st.State, st.Message = function.JobRunning, ""
		st = jobSaid(st, "resumed"+note, by, now)
	case JobClose:
		st.Open = false
		st = jobSaid(st, fmt.Sprintf("closed with %d items%s", st.Items, note), by, now)
	case JobCancel:
		st.State, st.Message, st.Open = function.JobCancelling, "what runs is waited for", false
		st = jobSaid(st, "cancelled"+note, by, now)
	}
	return JobSettle(st, now), nil
}

// JobTaken is the status of a job whose work somebody takes up: the records of
// whoever had it are refused from now on.
func JobTaken(st function.JobStatus, now time.Time) function.JobStatus {
	st.Epoch++
	st.Running = 0
	if st.Epoch > 1 {
		st = jobSaid(st, fmt.Sprintf("taken up again, under epoch %d, with %d of %d items on record", st.Epoch, st.Settled(), st.Items), "", now)
	}
	return JobSettle(st, now)
}

// JobSettle ends a job that is at its end.
func JobSettle(st function.JobStatus, now time.Time) function.JobStatus {
	switch {
	case st.State == function.JobCancelling && st.Running == 0:
		st.State, st.Message = function.JobCancelled, fmt.Sprintf("cancelled with %d of %d items on record", st.Settled(), st.Items)
	case st.State != function.JobRunning || st.Open || st.Settled() < st.Items:
		return st
	case st.Failed > 0:
		st.State, st.Message = function.JobFailed, fmt.Sprintf("%d of %d items failed", st.Failed, st.Items)
	default:
		st.State, st.Message = function.JobSucceeded, ""
	}
	st.Ended = now
	return jobSaid(st, strings.TrimSuffix(string(st.State)+": "+st.Message, ": "), "", now)
}

// jobSaid adds an event, and forgets the oldest but the first of too many.
func jobSaid(st function.JobStatus, what, by string, now time.Time) function.JobStatus {
	st.Events = append(slices.Clip(st.Events), function.JobEvent{At: now, Message: what, By: by})
	if len(st.Events) > function.MaxJobEvents {
		st.Events = slices.Delete(st.Events, 1, 2)
	}
	return st
}
