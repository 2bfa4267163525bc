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

// heartbeat keeps proxies from taking a quiet stream for a dead one.
const heartbeat = 15 * time.Second

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
	out := &events{w: w, flush: http.NewResponseController(w).Flush}
	if resumed && partial(r) {
		// What is gone has no project any more: whom its name may be told is
		// known only to a watch that has told it before.
		out.send(EventReset, 0, struct{}{})
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
	for f.out.err == nil {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			f.out.comment()
		case c, ok := <-changes:
			if !ok {
				f.out.send(EventReset, 0, struct{}{})
				return
			}
			if f.res.own != nil {
				if c, ok = f.res.own(c); !ok {
					continue
				}
			}
			if ns == "" || ns == c.Namespace {
				f.change(r, c)
			}
		}
	}
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
	w     http.ResponseWriter
	flush func() error
	err   error
}

// send writes an event; id 0 is none.
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

func (e *events) comment() { e.write(":\n\n") }

func (e *events) write(text string) {
	if e.err != nil {
		return
	}
	if _, e.err = e.w.Write([]byte(text)); e.err == nil {
		e.err = e.flush()
	}
}
