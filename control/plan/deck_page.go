package plan

import (
	"slices"
	"time"

	"github.com/myelin-run/myelin/function"
)

// JobPage is some of a job's items as they are stored. It never changes.
type JobPage struct {
	// First is the number of the first of them.
	First int64    `json:"first"`
	Items []string `json:"items"`
}

// JobRecords are the records of a page's items: of each one at most, in the
// order in which they were made.
type JobRecords struct {
	// Epoch is that of who wrote them last.
	Epoch int64       `json:"epoch"`
	Done  []JobRecord `json:"done,omitempty"`
	// Tries are those of the others that have failed, but not for good.
	Tries []JobTry `json:"tries,omitempty"`
}

// JobRecord is the record of one item.
type JobRecord struct {
	Index    int    `json:"i"` // in the page
	Attempts int    `json:"n"`
	At       int64  `json:"t"` // milliseconds since 1970
	Epoch    int64  `json:"e"`
	Failed   bool   `json:"f,omitempty"`
	Error    string `json:"why,omitempty"`
	Result   string `json:"r,omitempty"`
}

// JobTry is how often an item has failed that is to be tried again.
type JobTry struct {
	Index    int    `json:"i"`
	Attempts int    `json:"n"`
	Error    string `json:"why,omitempty"`
}

// List returns the items of a page with their records, in order.
func (p JobPage) List(r JobRecords) []function.JobItem {
	out := make([]function.JobItem, len(p.Items))
	for i, text := range p.Items {
		out[i] = function.JobItem{Number: p.First + int64(i), Item: text, State: function.ItemWaiting}
	}
	for _, t := range r.Tries {
		if t.Index >= 0 && t.Index < len(out) {
			out[t.Index].Attempts, out[t.Index].Error = t.Attempts, t.Error
		}
	}
	for _, d := range r.Done {
		if d.Index < 0 || d.Index >= len(out) {
			continue
		}
		o := &out[d.Index]
		o.State, o.Attempts, o.Error, o.Result, o.Epoch = function.ItemCompleted, d.Attempts, d.Error, d.Result, d.Epoch
		o.Finished = time.UnixMilli(d.At).UTC()
		if d.Failed {
			o.State = function.ItemFailed
		}
	}
	return out
}

// deckPage is a page that a deck has open.
type deckPage struct {
	at      int
	page    JobPage
	records JobRecords
	tries   map[int]JobTry
	settled []bool // by index: it has a record
	saved   int    // records that are stored
	retried int64  // tries that are not counted yet
	dirty   bool   // tries changed since they were stored
}

func openPage(at int, page JobPage, records JobRecords) *deckPage {
	p := &deckPage{at: at, page: page, tries: map[int]JobTry{}, settled: make([]bool, len(page.Items))}
	for _, d := range records.Done {
		if d.Index >= 0 && d.Index < len(p.settled) && !p.settled[d.Index] {
			p.settled[d.Index] = true
			p.records.Done = append(p.records.Done, d)
		}
	}
	p.saved = len(p.records.Done)
	for _, t := range records.Tries {
		if t.Index >= 0 && t.Index < len(p.settled) && !p.settled[t.Index] {
			p.tries[t.Index] = t
		}
	}
	return p
}

// full tells that each item has its record, stored.
func (p *deckPage) full() bool { return p.saved == len(p.page.Items) }

func (p *deckPage) unsaved() bool { return p.dirty || p.saved < len(p.records.Done) }

// change is the page as it is to be stored.
func (p *deckPage) change(epoch int64) JobPageChange {
	n := len(p.records.Done)
	c := JobPageChange{Page: p.at, Records: JobRecords{Epoch: epoch, Done: p.records.Done[:n:n]}, retried: p.retried, Full: n == len(p.page.Items)}
	for _, t := range p.tries {
		c.Records.Tries = append(c.Records.Tries, t)
	}
	slices.SortFunc(c.Records.Tries, func(a, b JobTry) int { return a.Index - b.Index })
	return c
}

// Tally counts the records behind the first so many.
func (r JobRecords) Tally(from int) (t JobTally) {
	for _, d := range r.Done[min(from, len(r.Done)):] {
		if d.Failed {
			t.Failed++
		} else {
			t.Completed++
		}
	}
	return t
}
