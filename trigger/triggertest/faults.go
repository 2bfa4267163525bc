package triggertest

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

// cut: the connection is lost again and again while events run; all are run.
func cut(b *bench) {
	k, ok := b.Broker.(Cutter)
	if !ok || b.g.Forgets {
		b.t.Skip("the connections of this source cannot be cut, or it forgets")
	}
	const n, cuts = 300, 4
	c := b.start(function.Trigger{}, b.seeing(0, func(*event.Event) error {
		<-time.After(time.Millisecond)
		return nil
	}))
	for i := range cuts {
		b.produce(i*n/cuts, (i+1)*n/cuts)
		b.until("half of what is there", func() bool { return len(b.counts()) > i*n/cuts+n/cuts/2 })
		k.Cut(b.t)
	}
	b.all(0, n)
	b.until("the reconnection", func() bool { return c.report().State == trigger.Running })
	if len(b.letters.all()) != 0 {
		b.t.Errorf("letters: %+v", b.letters.all())
	}
	b.t.Logf("%d runs of %d events over %d cuts", len(b.sightings()), n, cuts)
}

// away: the source is not there at the start, and goes away later.
func away(b *bench) {
	s, ok := b.Broker.(Switch)
	if !ok {
		b.t.Skip("this source cannot be away")
	}
	if !b.g.Forgets {
		b.produce(0, 5)
	}
	s.Away(b.t)
	c := b.run(b.Trigger(b.t, b.settings(function.Trigger{})), b.seeing(0, nil))
	b.waits(c, "")
	s.Back(b.t)
	c.ready()
	if b.g.Forgets {
		b.produce(0, 5)
	}
	b.all(0, 5)
	b.until("the run", func() bool { return c.report().State == trigger.Running && c.report().Problem == "" })
	s.Away(b.t)
	b.waits(c, "")
	s.Back(b.t)
	b.until("the reconnection", func() bool { return c.report().State == trigger.Running })
	b.produce(5, 10)
	b.all(5, 10)
}

// waits asks that the report says that it connects, and why not.
func (b *bench) waits(c *consumer, says string) {
	b.t.Helper()
	b.until("a report of the problem "+says, func() bool {
		r := c.report()
		return r.State == trigger.Connecting && r.Problem != "" && r.Problem != "not started" && strings.Contains(strings.ToLower(r.Problem), strings.ToLower(says))
	})
	select {
	case err := <-c.done:
		b.t.Fatalf("Run gave up: %v", err)
	default:
	}
}

// broken: a trigger that is not let in, or finds no topic, waits and says why.
func broken(b *bench) {
	k, ok := b.Broker.(Breaker)
	if !ok {
		b.t.Skip("this source cannot be wrong")
	}
	for name, x := range k.Broken(b.t, b.settings(function.Trigger{})) {
		c := b.run(x.Trigger, b.seeing(0, nil))
		b.waits(c, x.Says)
		if r, ok := x.Trigger.(trigger.Readier); ok {
			select {
			case <-r.Ready():
				b.t.Errorf("%s: the trigger is ready", name)
			default:
			}
		}
		if x.Mend != nil {
			x.Mend()
			c.ready()
		}
		c.end()
	}
}

// explicit: an event whose token is open is not done; it is when the token is
// settled, fails if it is settled so, and comes again to a successor if it is
// not settled.
func explicit(b *bench) {
	var mu sync.Mutex
	tokens := map[string]event.Token{}
	spec := function.Trigger{ExplicitAckMode: "enable", WaitExplicitAckDuringRebalanceTimeout: quantity.Duration(50 * time.Millisecond)}
	c := b.start(spec, b.seeing(0, func(ev *event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		tokens[string(ev.Body)] = ev.Token
		return event.ErrLater
	}))
	s, ok := c.Trigger.(trigger.Settler)
	if !ok {
		b.t.Fatal("the trigger is no Settler")
	}
	b.produce(0, 4)
	b.all(0, 4)
	token := func(body string) event.Token {
		mu.Lock()
		defer mu.Unlock()
		return tokens[body]
	}
	b.settle(s, token("0"), nil)
	b.settle(s, token("1"), nil)
	b.until("2 to be done", func() bool { return c.report().Done == 2 })
	if !b.g.Forgets {
		b.settle(s, token("2"), errors.New("failed after all"))
		b.until("the failed one to come again", func() bool { return b.counts()["2"] >= 2 })
		b.until("it to be done", func() bool { return s.Settle(token("2"), nil) == nil })
		b.until("3 to be done", func() bool { return c.report().Done == 3 })
	}
	if err := s.Settle(token("0"), nil); err == nil {
		b.t.Error("a token was settled twice")
	}
	c.end()
	if b.g.Forgets {
		return
	}
	before := b.counts()
	b.start(function.Trigger{}, b.seeing(1, nil))
	b.until("the open one to come again", func() bool { return b.counts()["3"] > before["3"] })
}

// settle settles a token as soon as its handler has returned.
func (b *bench) settle(s trigger.Settler, tok event.Token, err error) {
	b.t.Helper()
	if e := s.Settle(tok, err); e != nil {
		b.t.Errorf("settle %+v: %v", tok, e)
	}
}
