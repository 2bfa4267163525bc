package api

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

const (
	// heartbeat keeps proxies from taking a quiet stream for a dead one.
	heartbeat = 15 * time.Second
	// A watch hears of so many changes a second at once, and of more in pieces, so
	// long apart: of hundreds a second, each alone would cost a write here and a
	// wake-up there.
	atOnce = 20
	lull   = 50 * time.Millisecond
)

// The events of a watch.
const (
	EventPut    = "put"    // data: an object as it is now
	EventDelete = "delete" // data: an object with its name only
	EventSynced = "synced" // everything that was there has been sent
	EventReset  = "reset"  // changes were missed: watch again from the start
)

// watching sends every object, then every change, as server-sent events. The
// id of an event is the revision to go on from; what was there before the
// watch has none until all of it has been sent.
func watching[T any](s *server, res resource[T], want func(*T) bool, w http.ResponseWriter, r *http.Request) error {
	from, resumed, err := since(r)
	if err != nil {
		return err
	}
	var items []T
	if !resumed {
		if items, from, err = res.list(r.Context(), everywhere(namespace(r))); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := &events{w: w, push: http.NewResponseController(w).Flush}
	if resumed && partial(r) {
		// What is gone has no project any more: whom its name may be told is
		// known only to a watch that has told it before.
		out.send(EventReset, 0, struct{}{})
		out.flush()
		return nil
	}
	f := follower[T]{res: res, want: want, seen: map[string]bool{}, resumed: resumed, out: out}
	for i := range items {
		if want(&items[i]) {
			f.seen[keyOf(res.meta(&items[i]))] = true
			out.send(EventPut, 0, items[i])
		}
	}
	out.send(EventSynced, from, struct{}{})
	out.flush()
	f.follow(r, s.o.Catalog.WatchKeys(r.Context(), from, res.keys...), cmp.Or(s.o.Heartbeat, heartbeat))
	return nil
}

func since(r *http.Request) (store.Revision, bool, error) {
	text, where := r.Header.Get("Last-Event-ID"), "Last-Event-ID"
	if q := r.URL.Query().Get("resourceVersion"); q != "" {
		text, where = q, "resourceVersion"
	}
	if text == "" {
		return 0, false, nil
	}
	rev, err := strconv.ParseInt(text, 10, 64)
	if err != nil || rev < 0 {
		return 0, false, badQuery(where, "%q is not a number", text)
	}
	return store.Revision(rev), true, nil
}

// follower sends the changes of what is wanted.
type follower[T any] struct {
	res     resource[T]
	want    func(*T) bool
	seen    map[string]bool // what the client has been told is there
	resumed bool            // the client may know more than that
	out     *events
}

func (f *follower[T]) follow(r *http.Request, changes <-chan catalog.KeyChange, every time.Duration) {
	ctx, ns := r.Context(), everywhere(namespace(r))
	beat := time.NewTicker(every)
	defer beat.Stop()
	var held []catalog.KeyChange
	var due <-chan time.Time // nil while nothing is held
	var pace pace
	for f.out.err == nil {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			f.out.comment()
		case <-due:
			f.tell(r, held)
			held, due = held[:0], nil
		case c, ok := <-changes:
			if !ok {
				f.out.send(EventReset, 0, struct{}{})
				f.out.flush()
				return
			}
			if f.res.own != nil {
				if c, ok = f.res.own(c); !ok {
					continue
				}
			}
			if ns != "" && ns != c.Namespace {
				continue
			}
			held = append(held, c)
			wait := pace.next(time.Now())
			switch {
			case wait == 0:
				f.tell(r, held)
				held, due = held[:0], nil
			case due == nil:
				due = time.After(wait)
			}
		}
	}
}

// pace tells how long a change may be held back.
type pace struct {
	second time.Time // when it began
	count  int       // of changes in it
}

func (p *pace) next(now time.Time) time.Duration {
	if now.Sub(p.second) >= time.Second {
		p.second, p.count = now, 0
	}
	if p.count++; p.count <= atOnce {
		return 0
	}
	return lull
}

// tell sends what changed, of an object that changed several times the last
// change: whoever resumes after any of what was sent has missed nothing.
func (f *follower[T]) tell(r *http.Request, changes []catalog.KeyChange) {
	last := make(map[string]int, len(changes))
	for i, c := range changes {
		last[c.Namespace+"/"+c.Name] = i
	}
	for i, c := range changes {
		if last[c.Namespace+"/"+c.Name] == i {
			f.change(r, c)
		}
	}
	f.out.flush()
}

// change sends the object as it is now, which may be newer than the change.
// What is not wanted any more is gone for this client.
func (f *follower[T]) change(r *http.Request, c catalog.KeyChange) {
	object, err := f.res.get(r.Context(), catalog.Name{Namespace: c.Namespace, Name: c.Name})
	key := c.Namespace + "/" + c.Name
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		f.out.err = err
	case err == nil && f.want(&object):
		f.seen[key] = true
		f.out.send(EventPut, c.Revision, object)
	case f.seen[key] || f.resumed:
		delete(f.seen, key)
		var gone T
		*f.res.meta(&gone) = function.Metadata{Name: c.Name, Namespace: c.Namespace}
		if f.res.gone != nil {
			f.res.gone(&gone)
		}
		f.out.send(EventDelete, c.Revision, gone)
	}
}

// events writes server-sent events until the first error.
type events struct {
	w    http.ResponseWriter
	push func() error // what was written, to the client
	err  error
}

// send writes an event, which flush passes on; id 0 is none.
func (e *events) send(kind string, id store.Revision, v any) {
	b, err := hidden(v)
	if err != nil {
		e.err = err
		return
	}
	at := ""
	if id > 0 {
		at = fmt.Sprintf("id: %d\n", id)
	}
	e.write(fmt.Sprintf("event: %s\n%sdata: %s\n\n", kind, at, b))
}

// comment tells the client that the stream lives.
func (e *events) comment() {
	e.write(":\n\n")
	e.flush()
}

func (e *events) write(text string) {
	if e.err == nil {
		_, e.err = e.w.Write([]byte(text))
	}
}

// flush passes on what was written.
func (e *events) flush() {
	if e.err == nil {
		e.err = e.push()
	}
}
