package plan

import (
	"slices"
	"time"

	"github.com/myelin-run/myelin/function"
)

// JobTask is one run of an item.
type JobTask struct {
	Page, Index int
	Number      int64 // of the item
	Item        string
	Attempt     int // from 1
}

// JobVerdict is what became of a run.
type JobVerdict int

// The verdicts.
const (
	JobDone   JobVerdict = iota // the function did it
	JobAgain                    // it failed, and may not the next time
	JobBad                      // it failed, and would again
	JobNotRun                   // the function was not asked, or had no room
)

// JobOutcome is what became of a run, and what is to be told of it.
type JobOutcome struct {
	Verdict JobVerdict
	Text    string // what was answered, or what is wrong
}

// JobPageChange is a page of records to be stored in place of the one before.
type JobPageChange struct {
	Page    int
	Records JobRecords
	Full    bool // each item has its record
	retried int64
}

// JobTally counts records.
type JobTally struct{ Completed, Failed int64 }

// Deck is what a runner knows of the items of a job: which are to be run next,
// which wait, and what is to be put on record. Of a job of any size it has a few
// pages open. It has no clock and no goroutine: whoever has it tells it the time,
// and uses it from one goroutine.
type Deck struct {
	epoch   int64
	retry   function.JobRetry
	results bool

	pages   map[int]*deckPage
	fresh   []JobTask
	later   []laterTask // in no order
	running int
	down    int       // how many in a row could not be run
	until   time.Time // while so, when to try again
}

type laterTask struct {
	task JobTask
	due  time.Time
}

// NewDeck returns a deck without pages.
func NewDeck(spec function.JobSpec, epoch int64) *Deck {
	return &Deck{epoch: epoch, retry: spec.Retry, results: spec.KeepResults, pages: map[int]*deckPage{}}
}

// Open adds a page, of which those without a record are to be run.
func (d *Deck) Open(at int, page JobPage, records JobRecords) {
	p := openPage(at, page, records)
	if p.full() {
		return
	}
	d.pages[at] = p
	for i, text := range page.Items {
		if !p.settled[i] {
			d.fresh = append(d.fresh, JobTask{Page: at, Index: i, Number: page.First + int64(i), Item: text, Attempt: p.tries[i].Attempts + 1})
		}
	}
}

// Pages is how many pages are open.
func (d *Deck) Pages() int { return len(d.pages) }

// Fresh is how many items have not been dealt yet.
func (d *Deck) Fresh() int { return len(d.fresh) }

// Running is how many are dealt and have no outcome yet.
func (d *Deck) Running() int { return d.running }

// Next deals the next item: one whose time to be tried again has come, else the
// next one in order. While the function cannot be asked it deals one at a time,
// after a pause.
func (d *Deck) Next(now time.Time) (t JobTask, ok bool) {
	if d.down > 0 && (d.running > 0 || now.Before(d.until)) {
		return t, false
	}
	best := -1
	for i, l := range d.later {
		if !l.due.After(now) && (best < 0 || l.due.Before(d.later[best].due)) {
			best = i
		}
	}
	switch {
	case best >= 0:
		t = d.later[best].task
		d.later = slices.Delete(d.later, best, best+1)
	case len(d.fresh) > 0:
		t, d.fresh = d.fresh[0], d.fresh[1:]
	default:
		return t, false
	}
	d.running++
	return t, true
}

// Wake is when Next may have something that it does not have now, if nothing is
// settled before; zero: never.
func (d *Deck) Wake() (at time.Time) {
	if d.down > 0 {
		return d.until
	}
	for _, l := range d.later {
		if at.IsZero() || l.due.Before(at) {
			at = l.due
		}
	}
	return at
}

// Settle takes the outcome of what Next dealt.
func (d *Deck) Settle(t JobTask, o JobOutcome, now time.Time) {
	d.running--
	p := d.pages[t.Page]
	if o.Verdict == JobNotRun {
		d.down++
		d.until = now.Add(notRunPause(d.down))
		d.wait(t, now)
		return
	}
	d.down = 0
	switch {
	case o.Verdict == JobAgain && t.Attempt < d.retry.Attempts:
		p.tries[t.Index] = JobTry{Index: t.Index, Attempts: t.Attempt, Error: brief(o.Text, maxTry)}
		p.dirty, p.retried = true, p.retried+1
		pause := backoff(d.retry, t.Attempt)
		t.Attempt++
		d.wait(t, now.Add(spread(pause, t.Number)))
	default:
		r := JobRecord{Index: t.Index, Attempts: t.Attempt, At: now.UnixMilli(), Epoch: d.epoch, Failed: o.Verdict != JobDone}
		if r.Failed {
			r.Error = brief(o.Text, maxError)
		} else if d.results {
			r.Result = brief(o.Text, MaxResult)
		}
		p.settled[t.Index] = true
		p.records.Done = append(p.records.Done, r)
		delete(p.tries, t.Index)
	}
}

// Drop forgets an item that Next dealt and whose outcome nobody waits for. It is
// run again by whoever opens its page next.
func (d *Deck) Drop(JobTask) { d.running-- }

func (d *Deck) wait(t JobTask, due time.Time) { d.later = append(d.later, laterTask{t, due}) }

// Unsaved is how many records are not stored.
func (d *Deck) Unsaved() (n int) {
	for _, p := range d.pages {
		n += len(p.records.Done) - p.saved
	}
	return n
}

// Dirty tells that there is something to be stored.
func (d *Deck) Dirty() bool {
	for _, p := range d.pages {
		if p.unsaved() {
			return true
		}
	}
	return false
}

// Changes are what is to be stored, of at most so many pages. They stay as they
// are while the deck goes on.
func (d *Deck) Changes(most int) (out []JobPageChange) {
	for _, p := range d.pages {
		if p.unsaved() {
			out = append(out, p.change(d.epoch))
		}
	}
	slices.SortFunc(out, func(a, b JobPageChange) int { return a.Page - b.Page })
	return out[:min(most, len(out))]
}

// Saved says that changes are stored. Pages that are complete are closed.
func (d *Deck) Saved(changes []JobPageChange) {
	for _, c := range changes {
		p := d.pages[c.Page]
		p.saved = len(c.Records.Done)
		p.retried -= c.retried
		p.dirty = p.retried > 0
		if p.full() {
			delete(d.pages, c.Page)
		}
	}
}

// Retries is how many failures of changes were followed by another attempt.
func Retries(changes []JobPageChange) (n int64) {
	for _, c := range changes {
		n += c.retried
	}
	return n
}

const (
	maxTry   = 100 // bytes of why an item failed that is tried again
	maxError = 500 // bytes of why an item failed for good
	// MaxResult is the most bytes of an item's result that are kept.
	MaxResult = 256
)
