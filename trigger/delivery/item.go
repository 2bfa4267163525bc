package delivery

import (
	"strings"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Item is one event on its way through an engine. It is used again for other
// events after Reset.
type Item struct {
	// Orig is the event as it came. Its slices alias the source's memory, which
	// nobody writes to.
	Orig event.Event
	Err  error // the last outcome
	// Attempts counts the runs that failed.
	Attempts int
	First    time.Time // when it failed for the first time
	Last     time.Time // when it failed last

	// Place is where the event lies, for a sink.
	Place trigger.Place
	// Held says that a function which still runs may read what Orig aliases,
	// headers at least: the source must not use that memory again.
	Held bool

	busies int
	old    bool
	work   *work
}

// work is what the handler is lent: a copy, so that an attempt that writes on
// its event, or never returns, spoils neither another attempt nor a letter.
type work struct {
	ev   event.Event
	resp event.Response
	mem  []byte
}

// keepMem is the most memory that an Item keeps for its next event.
const keepMem = 256 << 10

// Reset makes an Item ready for another event.
func (it *Item) Reset() {
	w := it.work
	if w != nil && cap(w.mem) > keepMem {
		w.mem = nil
	}
	if w != nil && cap(w.resp.Body) > keepMem {
		w.resp.Body = nil
	}
	if it.Err != nil || it.Attempts != 0 || it.Held || it.busies != 0 || it.old {
		*it = Item{work: w}
		return
	}
	assign(&it.Orig, &event.Event{}) // an event that went well has left nothing else
}

// prepare copies the event for an attempt. Of an event for a sealed handler the
// slices are lent as they are.
func (it *Item) prepare(sealed bool) {
	if it.work == nil {
		it.work = new(work)
	}
	w, o := it.work, &it.Orig
	assign(&w.ev, o)
	w.ev.Tries = int32(it.Attempts) //nolint:gosec // nobody tries so often
	if used(&w.resp) {
		w.resp.Reset()
	}
	if sealed {
		return
	}
	n := len(o.ID) + len(o.Key) + len(o.Body) + len(o.Method) + len(o.Path) + len(o.URL) + len(o.ContentType)
	if cap(w.mem) < n {
		w.mem = make([]byte, 0, n+n/4+64)
	}
	m := w.mem[:0]
	m = place(m, o.ID, &w.ev.ID)
	m = place(m, o.Key, &w.ev.Key)
	m = place(m, o.Body, &w.ev.Body)
	m = place(m, o.Method, &w.ev.Method)
	m = place(m, o.Path, &w.ev.Path)
	m = place(m, o.URL, &w.ev.URL)
	place(m, o.ContentType, &w.ev.ContentType)
}

// assign is *to = *from. It leaves alone what is nil in both, which is most of
// an event: a copy of the whole costs several times as much while the garbage
// collector runs.
func assign(to, from *event.Event) {
	to.Token, to.Time, to.Shards, to.Tries = from.Token, from.Time, from.Shards, from.Tries
	to.LogLevel, to.LogAsked = from.LogLevel, from.LogAsked
	if to.Source != from.Source {
		to.Source = from.Source
	}
	if to.Topic != from.Topic {
		to.Topic = from.Topic
	}
	assignSlice(&to.ID, from.ID)
	assignSlice(&to.Method, from.Method)
	assignSlice(&to.Path, from.Path)
	assignSlice(&to.URL, from.URL)
	assignSlice(&to.ContentType, from.ContentType)
	assignSlice(&to.Body, from.Body)
	assignSlice(&to.Key, from.Key)
	if to.Headers != nil || from.Headers != nil {
		to.Headers = from.Headers
	}
	if to.Fields != nil || from.Fields != nil {
		to.Fields = from.Fields
	}
	if to.Brought != nil || from.Brought != nil {
		to.Brought = from.Brought
	}
	if to.Loan != nil || from.Loan != nil {
		to.Loan = from.Loan
	}
}

func assignSlice(to *[]byte, from []byte) {
	if *to != nil || from != nil {
		*to = from
	}
}

// used spares most batches the cost of resetting responses that nobody wrote to.
func used(r *event.Response) bool {
	return r.Status != 0 || len(r.Body) != 0 || len(r.Header) != 0 || r.ContentType != "" || len(r.Logs) != 0 || r.Stream != nil || r.Owner != nil || r.View != nil || r.Worker != nil
}

// place copies from behind m, which has the room, and lets to alias it; nil
// stays nil.
func place(m, from []byte, to *[]byte) []byte {
	if from == nil {
		return m
	}
	k := len(m)
	m = append(m, from...)
	*to = m[k:len(m):len(m)]
	return m
}

// Answer is what the function answered; lent until the Item is used again, and
// only there if Err is nil.
func (it *Item) Answer() *event.Response {
	if it.work == nil {
		return &event.Response{}
	}
	return &it.work.resp
}

// noAck is the header by which functions written for Nuclio say that they will
// acknowledge later.
const noAck = "X-Nuclio-Stream-No-Ack"

// keepsToken reports whether the answer says that the token stays open.
func (it *Item) keepsToken() bool {
	for _, f := range it.Answer().Header {
		if strings.EqualFold(f.Key, noAck) {
			return true
		}
	}
	return false
}

// settle takes an outcome.
func (it *Item) settle(err error) {
	it.Err = err
	if err != nil && event.Abandoned(err) {
		it.work, it.Held = nil, true
		return
	}
	if s := it.work.resp.Stream; s != nil {
		_ = s.Close() // nobody will read it
		it.work.resp.Stream = nil
	}
}
