package tap

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// session is one capture in one processor.
type session struct {
	id, instance string
	spec         Spec
	last         bool      // the last events are kept instead of the first
	red          *redactor // keep's own; nil: nothing is taken out
	stop         func()    // has it take no more
	until, alone *time.Timer

	copies        atomic.Int64 // bytes of events that are under way
	taken         atomic.Int64
	size          atomic.Int64 // bytes of what was taken
	seen, dropped atomic.Int64

	in   chan *Event // taken, with everything in them
	quit chan struct{}

	mu     sync.Mutex
	events []Event
	seq    int64
	weight int64
}

// mostCopies bounds the memory of copies of events that are under way, of which
// it is not known yet whether they are wanted.
const mostCopies = 8 << 20

// flight is an event on its way through the function; nil if it is not looked at.
type flight struct {
	s     *session
	began time.Time
	e     *Event // nil if there was no room for a copy
	size  int64
}

// begin copies an event before the function has it, which may change it.
func (s *session) begin(of string, ev *event.Event) *flight {
	if s.spec.Trigger != "" && of != s.spec.Trigger || s.spec.Fraction < 1 && rand.Float64() >= s.spec.Fraction {
		return nil
	}
	f := &flight{s: s, began: time.Now()}
	body := min(int64(len(ev.Body)), s.spec.EventSize.Bytes())
	f.size = body + 1024
	if !s.last && s.size.Load() >= s.spec.Size.Bytes() {
		return f
	}
	if s.copies.Add(f.size) > mostCopies {
		s.copies.Add(-f.size)
		return f
	}
	f.e = copied(of, ev, int(body))
	f.e.At = f.began.UTC()
	return f
}

// copied is what is kept of an event.
func copied(of string, ev *event.Event, body int) *Event {
	e := &Event{Trigger: of, Attempt: int(ev.Tries) + 1, Size: int64(len(ev.Body)), Cut: body < len(ev.Body), From: letter.Place{Topic: ev.Topic, Shard: ev.Token.Shard, Offset: ev.Token.Offset}}
	if ev.Source != nil {
		e.Kind, e.Class = ev.Source.Kind, ev.Source.Class
	}
	text := func(b []byte, most int) string {
		if len(b) > most {
			b, e.Cut = b[:most], true
		}
		return string(b)
	}
	e.Event = letter.Event{ID: text(ev.ID, mostText), Time: ev.Time, Method: text(ev.Method, 100), Path: text(ev.Path, mostHeaders/4), ContentType: text(ev.ContentType, mostText),
		Body: bytes.Clone(ev.Body[:body])}
	if ev.Key != nil {
		e.Event.Key = letter.Bytes(text(ev.Key, mostHeaders/4))
	}
	if url := text(ev.URL, mostHeaders/4); url != e.Event.Path {
		e.Event.URL = url
	}
	e.Event.Headers = pairsOf(ev.Headers, &e.Cut)
	e.Event.Fields = pairsOf(ev.Fields, &e.Cut)
	return e
}

func pairsOf(v event.Values, cut *bool) (out []letter.Header) {
	if v == nil {
		return nil
	}
	room := mostHeaders / 2
	for k, value := range v.All() {
		if room -= len(k) + len(value) + 64; room < 0 {
			*cut = true
			break
		}
		out = append(out, letter.Header{Key: string(k), Value: append(letter.Bytes{}, value...)})
	}
	return out
}

// end says what became of the event. resp is the caller's unless err is an
// abandoned one.
func (f *flight) end(resp *event.Response, err error) {
	if f == nil {
		return
	}
	s := f.s
	if f.e != nil {
		defer s.copies.Add(-f.size)
	}
	o, ran := Outcome(resp, err)
	if !ran && (f.e == nil || f.e.Class != "sync") {
		return // it comes again
	}
	s.seen.Add(1)
	if s.spec.Failed && o.Error == "" {
		return
	}
	if f.e == nil {
		s.dropped.Add(1)
		return
	}
	f.e.Status, f.e.Error, f.e.Ms = o.Status, o.Error, float64(time.Since(f.began).Microseconds())/1000
	if len(f.e.Error) > mostText {
		f.e.Error = f.e.Error[:mostText]
	}
	s.take(f)
}

// take keeps an event if there is room, and nobody waits.
func (s *session) take(f *flight) {
	if !s.last {
		if s.size.Add(f.size) > s.spec.Size.Bytes() {
			s.size.Add(-f.size)
			s.dropped.Add(1)
			return
		}
		n := s.taken.Add(1)
		if n >= int64(s.spec.Count) {
			s.stop()
		}
		if n > int64(s.spec.Count) {
			return
		}
	}
	select {
	case s.in <- f.e:
	default:
		s.dropped.Add(1)
		s.taken.Add(-1)
	}
}

// keep takes out of events what must not be seen, and keeps the rest.
func (s *session) keep() {
	for {
		select {
		case <-s.quit:
			return
		case e := <-s.in:
			if s.red != nil {
				s.red.event(e)
			}
			e.trim(int(s.spec.EventSize.Bytes()))
			s.add(e)
		}
	}
}

// trim cuts a body, of text between two signs: what was taken out may have made
// it longer.
func (e *Event) trim(most int) {
	b := e.Event.Body
	if len(b) > most {
		b, e.Cut = b[:most:most], true
	}
	for n := range utf8.UTFMax {
		if e.Cut && n < len(b) && utf8.Valid(b[:len(b)-n]) {
			b = b[:len(b)-n]
			break
		}
	}
	e.Event.Body = b
}

func (s *session) add(e *Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	e.Seq = s.seq
	s.events = append(s.events, *e)
	s.weight += e.Weight()
	for s.last && (len(s.events) > s.spec.Count || s.weight > s.spec.Size.Bytes() && len(s.events) > 1) {
		s.weight -= s.events[0].Weight()
		s.events = append([]Event(nil), s.events[1:]...)
	}
}

// report forgets the events that are known, and returns those behind them.
func (s *session) report(have int64) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.events) > 0 && s.events[0].Seq <= have {
		s.events[0] = Event{}
		s.events = s.events[1:]
	}
	out := Report{Instance: s.instance, Seen: s.seen.Load(), Dropped: s.dropped.Load(), Events: []Event{}}
	size := int64(0)
	for _, e := range s.events {
		if size += e.Weight(); size > reportSize && len(out.Events) > 0 {
			break
		}
		out.Events = append(out.Events, e)
	}
	return out
}
