package reconcile

import (
	"testing"
	"testing/synctest"
	"time"
)

// taken returns the name that is handed out now, "" if none is.
func taken(q *queue) string {
	synctest.Wait()
	select {
	case name := <-q.ready:
		return name
	default:
		return ""
	}
}

func TestOneWorkerPerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.add("a", false)
		q.add("a", true)
		if taken(q) != "a" || taken(q) != "" {
			t.Fatal("a name was not handed out exactly once")
		}
		ctx := q.begin(t.Context(), "a")
		q.add("a", false)
		if taken(q) != "" || ctx.Err() != nil {
			t.Error("a name was handed out while it was worked on")
		}
		q.end("a", false)
		if taken(q) != "a" {
			t.Error("a change during the work was forgotten")
		}
	})
}

func TestBackOffGrowsAndUrgencyEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		defer q.close()
		q.add("a", false)
		for _, delay := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			if taken(q) != "a" {
				t.Fatal("nothing was handed out")
			}
			q.begin(t.Context(), "a")
			q.add("a", false) // what a failing start itself brings about
			q.end("a", true)
			q.add("a", false)
			time.Sleep(delay*time.Second - time.Millisecond)
			if taken(q) != "" {
				t.Fatalf("handed out before %d s", delay)
			}
			time.Sleep(time.Millisecond)
		}
		taken(q)
		q.begin(t.Context(), "a")
		q.end("a", true)
		q.add("a", true)
		if taken(q) != "a" {
			t.Error("an urgent change waited")
		}
		ctx := q.begin(t.Context(), "a")
		q.add("a", true)
		if ctx.Err() == nil {
			t.Error("work on what is no longer wanted goes on")
		}
		q.end("a", true)
		if taken(q) != "a" {
			t.Error("stopped work was not taken up again")
		}
	})
}
