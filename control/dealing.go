package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/dealer"
	"github.com/myelin-run/myelin/dealer/server"
)

// dealing keeps the dealer's pages in the control plane's store. One goroutine
// uses it. A rotation of the store's key writes the record anew as it is, and so
// gives it another revision: a record that still says what this dealer read or
// wrote last was written by no other dealer.
type dealing struct {
	s    store.Store
	last []byte // the record as it was read or written last
}

const (
	dealerKeys = "dealer/"
	// What one commit may hold; a page is smaller.
	mostOps   = 64
	mostBytes = 1 << 20
)

// Load implements [server.Store]. The record is read after the pages: if it is
// at the revision that the reader knows, nobody has written in between.
func (d *dealing) Load(ctx context.Context, prefix string) (map[string][]byte, int64, error) {
	entries, _, err := d.s.List(ctx, dealerKeys+prefix)
	if err != nil {
		return nil, 0, err
	}
	pages := make(map[string][]byte, len(entries))
	for _, e := range entries {
		pages[e.Key[len(dealerKeys):]] = e.Value
	}
	rec, err := store.Get(ctx, d.s, dealerKeys+server.Record)
	if errors.Is(err, store.ErrNotFound) {
		return pages, 0, nil
	}
	d.last = rec.Value
	return pages, int64(rec.Revision), err
}

// Save implements [server.Store]. More than fits into one commit goes in several,
// each of which checks and writes the record: pages do not depend on each other,
// and nobody is told of any before all are saved.
func (d *dealing) Save(ctx context.Context, pages map[string][]byte, rev int64) (int64, error) {
	rec := store.Op{Key: dealerKeys + server.Record, Value: pages[server.Record], Check: true}
	ops, size := []store.Op{rec}, 0
	commit := func() error {
		got, err := d.commit(ctx, ops, store.Revision(rev))
		if err != nil {
			return err
		}
		rev, ops, size = int64(got), []store.Op{rec}, 0
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		if name == server.Record {
			continue
		}
		value := pages[name]
		if len(ops) > 1 && (len(ops) == mostOps || size+len(value) > mostBytes) {
			if err := commit(); err != nil {
				return 0, err
			}
		}
		ops, size = append(ops, store.Op{Key: dealerKeys + name, Value: value}), size+len(value)
	}
	if err := commit(); err != nil {
		return 0, err
	}
	return rev, nil
}

// rotations bounds how often a save is tried again for a rotation's sake.
const rotations = 3

// commit writes ops, the first of which is the record, if that is at revision
// at, or at a later one with the same content.
func (d *dealing) commit(ctx context.Context, ops []store.Op, at store.Revision) (store.Revision, error) {
	for range rotations {
		ops[0].If = at
		got, err := d.s.Commit(ctx, ops...)
		if err == nil {
			d.last = ops[0].Value
			return got, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
		rec, err := store.Get(ctx, d.s, ops[0].Key)
		if errors.Is(err, store.ErrNotFound) || err == nil && (at == 0 || !bytes.Equal(rec.Value, d.last)) {
			break
		}
		if err != nil {
			return 0, err
		}
		at = rec.Revision
	}
	return 0, server.ErrConflict
}

// dealers is the dealer of the control plane. It deals from when somebody first
// beats: where no shards are dealt, nothing is written for it.
type dealers struct {
	*server.Server
	once   sync.Once
	needed chan struct{}
}

// need has the dealer begin, if it has not.
func (d *dealers) need() { d.once.Do(func() { close(d.needed) }) }

// run deals from when that is needed, until ctx is done.
func (d *dealers) run(ctx context.Context) error {
	select {
	case <-d.needed:
		return d.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// Tables says how all tables are; none if none was needed.
func (d *dealers) Tables(ctx context.Context) ([]server.TableReport, bool) {
	if !d.deals() {
		return nil, true
	}
	return d.Server.Tables(ctx)
}

// Table says how one table is.
func (d *dealers) Table(ctx context.Context, name string) (t server.TableReport, found, dealing bool) {
	if !d.deals() {
		return t, false, true
	}
	return d.Server.Table(ctx, name)
}

func (d *dealers) deals() bool {
	select {
	case <-d.needed:
		return true
	default:
		return false
	}
}

// ServeHTTP takes beats; the first has the dealer begin.
func (d *dealers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == dealer.Path {
		d.need()
	} else if u, ok := callerOf(r); !ok || !ours(u) {
		http.Error(w, "this is told by the API", http.StatusForbidden)
		return
	} else if !d.deals() {
		_, _ = w.Write([]byte("[]\n"))
		return
	}
	d.Handler().ServeHTTP(w, r)
}

// deal starts the dealer and what takes beats for it. The store is one process's
// at a time, so the dealer before is known to be dead, and nobody has to wait
// for the end of its reign. It begins at once if it is told to, or if something
// was dealt before.
func (c *Control) deal(ctx context.Context, run *floors, s store.Store, functionOf func(user int) (string, bool)) (*dealers, error) {
	beats, err := listenDealer(c.o.DataDir)
	if err != nil {
		return nil, err
	}
	d := &dealers{needed: make(chan struct{}), Server: server.New(server.Options{Store: &dealing{s: s}, ID: "control plane", Reign: 15 * time.Second, Log: c.o.Log, May: mayBeat(functionOf)})}
	before, _, err := s.List(ctx, dealerKeys)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start dealer: %w", err), beats.Close())
	}
	if c.o.Dealer || len(before) > 0 {
		d.need()
	}
	run.start("dealer", d.run)
	run.start("dealer socket", serveAPI(callers{beats}, nil, d, c.o.Log))
	return d, nil
}

// DealerSocket is where the dealer takes beats, in the data directory: a link to the
// socket, which lies in a directory that containers see.
const DealerSocket = "dealer.sock"

// beatsDir is that directory, and there is nothing else in it.
const beatsDir = "beats"

// listenDealer opens the socket for every processor of this machine, whatever
// its user.
func listenDealer(dir string) (net.Listener, error) {
	l, err := listenBeats(filepath.Join(dir, beatsDir))
	if err == nil {
		err = linkSocket(filepath.Join(beatsDir, DealerSocket), filepath.Join(dir, DealerSocket))
		if err != nil {
			_ = l.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for processors: %w", err)
	}
	return l, nil
}

func listenBeats(dir string) (net.Listener, error) {
	if err := errors.Join(os.MkdirAll(dir, 0o711), os.Chmod(dir, 0o711)); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, DealerSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // functions run as users of their own
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// linkSocket has a name lead to a socket, in one step: processors that run look for it
// there all the time.
func linkSocket(to, name string) error {
	fresh := name + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return errors.Join(os.Symlink(to, fresh), os.Rename(fresh, name))
}
