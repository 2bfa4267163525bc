package plan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

func deckOf(attempts int) *Deck {
	return NewDeck(function.JobSpec{KeepResults: true, Retry: function.JobRetry{Attempts: attempts, Backoff: quantity.Duration(time.Second), MaxBackoff: quantity.Duration(3 * time.Second)}}, 7)
}

var noon = time.UnixMilli(1_700_000_000_000).UTC()

// What fails is tried again after a pause that grows, and has one record in the
// end; what would fail again is not tried.
func TestDeckTriesAgain(t *testing.T) {
	d := deckOf(3)
	d.Open(0, JobPage{First: 1, Items: []string{"a", "b"}}, JobRecords{})
	now := noon
	a, _ := d.Next(now)
	b, _ := d.Next(now)
	if _, ok := d.Next(now); ok || a.Number != 1 || b.Item != "b" || d.Running() != 2 {
		t.Fatalf("dealt %+v and %+v", a, b)
	}
	d.Settle(b, JobOutcome{JobBad, "400: no"}, now)
	var pauses []time.Duration
	for range 2 {
		d.Settle(a, JobOutcome{JobAgain, "500: oh"}, now)
		if _, ok := d.Next(now); ok {
			t.Fatal("tried again at once")
		}
		pauses = append(pauses, d.Wake().Sub(now))
		now = d.Wake()
		var ok bool
		if a, ok = d.Next(now); !ok {
			t.Fatal("not tried again")
		}
	}
	if a.Attempt != 3 || pauses[0] < 750*time.Millisecond || pauses[0] > 1250*time.Millisecond || pauses[1] != 2*pauses[0] {
		t.Errorf("attempt %d after %v", a.Attempt, pauses)
	}
	d.Settle(a, JobOutcome{JobAgain, "500: oh"}, now)
	ch := d.Changes(9)
	want := fmt.Sprintf(`{"epoch":7,"done":[{"i":1,"n":1,"t":%d,"e":7,"f":true,"why":"400: no"},{"i":0,"n":3,"t":%d,"e":7,"f":true,"why":"500: oh"}]}`, noon.UnixMilli(), now.UnixMilli())
	got, err := json.Marshal(ch[0].Records)
	if err != nil || string(got) != want || !ch[0].Full || Retries(ch) != 2 {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	d.Saved(ch)
	if d.Pages() != 0 || d.Dirty() {
		t.Error("a page stays open that is complete")
	}
}

// While the function cannot be asked one item at a time is dealt, later and
// later, and none of them has an attempt more.
func TestDeckWaitsForTheFunction(t *testing.T) {
	d := deckOf(1)
	d.Open(3, JobPage{First: 100, Items: []string{"a", "b", "c"}}, JobRecords{})
	now := noon
	for i := range 8 {
		task, ok := d.Next(now)
		if !ok {
			t.Fatalf("nothing is dealt in round %d", i)
		}
		if _, ok := d.Next(now); ok && i > 0 {
			t.Fatal("a second one is dealt")
		} else if ok {
			d.Drop(JobTask{})
		}
		d.Settle(task, JobOutcome{JobNotRun, "it is building"}, now)
		if d.Wake().Sub(now) <= 0 || d.Wake().Sub(now) > mostWait {
			t.Fatalf("tried again after %v", d.Wake().Sub(now))
		}
		now = d.Wake()
	}
	task, _ := d.Next(now)
	if d.Settle(task, JobOutcome{JobDone, "ok"}, now); task.Attempt != 1 || d.Unsaved() != 1 {
		t.Errorf("%+v", task)
	}
	if _, ok := d.Next(now); !ok {
		t.Error("it is not dealt on")
	}
}

// Pages that were stored are gone on with: what has a record is not run again,
// and attempts are counted on.
func TestDeckGoesOn(t *testing.T) {
	d := deckOf(5)
	d.Open(0, JobPage{First: 1, Items: []string{"a", "b", "c"}}, JobRecords{Epoch: 6, Done: []JobRecord{{Index: 1, Attempts: 1, Epoch: 6}, {Index: 1}, {Index: 9}}, Tries: []JobTry{{Index: 2, Attempts: 4}, {Index: 1, Attempts: 9}}})
	a, _ := d.Next(noon)
	c, _ := d.Next(noon)
	if _, ok := d.Next(noon); ok || a.Item != "a" || c.Item != "c" || c.Attempt != 5 {
		t.Errorf("%+v, %+v", a, c)
	}
	d.Settle(a, JobOutcome{JobDone, strings.Repeat("é", 300)}, noon)
	ch := d.Changes(9)
	if r := ch[0].Records; len(r.Done) != 2 || r.Done[0].Epoch != 6 || r.Done[1].Result != strings.Repeat("é", MaxResult/2) || len(r.Tries) != 1 || r.Tally(1) != (JobTally{Completed: 1}) {
		t.Errorf("%+v", r)
	}
}

// Whatever fails, is slow or is not stored: in the end each item has exactly one
// record, in what is stored as well as in the sum of what was counted.
func TestDeckInRandomWorlds(t *testing.T) {
	for seed := range uint64(300) {
		chance := rand.New(rand.NewPCG(seed, 1))
		stored := map[int]JobRecords{}
		pages := []JobPage{}
		items := int64(0)
		for range 1 + chance.IntN(6) {
			p := JobPage{First: items + 1, Items: make([]string, 1+chance.IntN(8))}
			items += int64(len(p.Items))
			pages = append(pages, p)
		}
		now, counted := noon, int64(0)
		for epoch := int64(1); counted < items; epoch++ {
			if epoch > 1000 {
				t.Fatalf("seed %d: never done", seed)
			}
			d := deckOf(1 + chance.IntN(4))
			d.epoch = epoch
			for i, p := range pages {
				d.Open(i, p, stored[i])
			}
			for steps := chance.IntN(60); steps > 0; steps-- { // and then it is killed
				now = now.Add(time.Duration(chance.IntN(900)) * time.Millisecond)
				if task, ok := d.Next(now); ok {
					d.Settle(task, JobOutcome{JobVerdict(chance.IntN(4)), "x"}, now)
				}
				if chance.IntN(4) > 0 {
					continue
				}
				ch := d.Changes(2)
				for _, c := range ch {
					tally := c.Records.Tally(len(stored[c.Page].Done))
					counted += tally.Completed + tally.Failed
					stored[c.Page] = c.Records
				}
				d.Saved(ch)
			}
		}
		for i, p := range pages {
			seen := map[int]bool{}
			for _, r := range stored[i].Done {
				if seen[r.Index] {
					t.Fatalf("seed %d: item %d of page %d has two records", seed, r.Index, i)
				}
				seen[r.Index] = true
			}
			if len(seen) != len(p.Items) || counted != items {
				t.Fatalf("seed %d: %d records of %d items, %d counted of %d", seed, len(seen), len(p.Items), counted, items)
			}
		}
	}
}

// A job ends when it is closed and each item has its record, and is steered as
// its state allows.
func TestJobStates(t *testing.T) {
	st := JobStart("ada", noon)
	steer := func(verb, want string) {
		t.Helper()
		next, err := JobSteer(st, verb, "bob", "", noon)
		if got := fmt.Sprint(next.State, " ", err); got != want {
			t.Errorf("%s: %s, want %s", verb, got, want)
		}
		if err == nil {
			st = next
		}
	}
	steer(JobClose, "running it has no items: add some, or cancel it")
	st.Items = 2
	steer(JobResume, "running a job that is running cannot be asked to resume")
	steer(JobPause, "paused <nil>")
	steer(JobClose, "paused <nil>")
	st.Completed, st.Failed = 1, 1
	steer(JobClose, "paused it is closed already")
	steer(JobResume, "failed <nil>")
	steer(JobCancel, "failed a job that is failed cannot be asked to cancel")
	if st.Message != "1 of 2 items failed" || st.Ended != noon {
		t.Errorf("%+v", st)
	}
	st = JobTaken(JobStart("ada", noon), noon)
	st.Running = 3
	steer(JobCancel, "cancelling <nil>")
	if st = JobTaken(st, noon); st.State != function.JobCancelled || st.Epoch != 2 {
		t.Errorf("%+v", st)
	}
	for range 200 {
		st = jobSaid(st, "x", "", noon)
	}
	if len(st.Events) != function.MaxJobEvents || st.Events[0].Message != "begun" {
		t.Errorf("%d events, the first %v", len(st.Events), st.Events[0])
	}
}
