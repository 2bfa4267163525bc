// Package server is the dealer: it owns the tables, the clock and the goroutines
// that package dealer does without, keeps the tables in a store, and takes beats
// over HTTP. Of the servers of one store one deals; the others wait. It must not
// know what store it is, nor what a resource is.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/myelin-run/myelin/dealer"
)

// Store keeps pages by name.
type Store interface {
	// Load returns the pages whose names begin with prefix, and the revision of
	// the page [Record]: 0 if there is none.
	Load(ctx context.Context, prefix string) (pages map[string][]byte, rev int64, err error)
	// Save writes pages, and removes those that are nil, if the page Record is
	// at revision rev; it returns the revision of the new one, which is always
	// among the pages. [ErrConflict]: it is at another. After any other error
	// it is not known what was written.
	Save(ctx context.Context, pages map[string][]byte, rev int64) (int64, error)
}

// Record is the page that says who deals. It is part of every Save.
const Record = "record"

const tablePrefix = "table/"

// ErrConflict says that another has written since.
var ErrConflict = errors.New("another dealer has written")

// Options of a server.
type Options struct {
	Store Store
	// ID is another for each server of the store, and for each that is started,
	// unless the one before is known to be dead.
	ID string
	// TTL is how long a processor may be silent; default 3 s.
	TTL time.Duration
	// Patience is how long a processor may take to let go; default 1 min.
	Patience time.Duration
	// Reign is how long the server that deals may be silent in the store before
	// another takes over; default 3 s.
	Reign time.Duration
	// Tick is how often the tables look at the time; default 100 ms.
	Tick time.Duration
	// May says whether who sent a request may beat for a table; nil: anybody may.
	May func(r *http.Request, table string) bool
	Log *slog.Logger // default: none
}

// Server is a dealer. Its life: New, Run once; Handler serves from the start and
// answers 503 while another server deals, or none does.
type Server struct {
	o     Options
	begun time.Time
	in    chan heard
	asks  chan func()
	done  chan struct{} // Run has returned

	// Of Run's goroutine:
	reign  *dealer.Reign
	rev    int64
	tables map[string]*table // nil while it does not deal
	routes map[route]*stream
}

// route is where answers for a processor go.
type route struct{ table, processor string }

// heard is what came over a stream.
type heard struct {
	calls []dealer.Call
	from  *stream
}

// New fills in defaults; it opens nothing.
func New(o Options) *Server {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.TTL, 3 * time.Second}, {&o.Patience, time.Minute}, {&o.Reign, 3 * time.Second}, {&o.Tick, 100 * time.Millisecond}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o, begun: time.Now(), in: make(chan heard, 256), asks: make(chan func()), done: make(chan struct{}), reign: dealer.NewReign(o.ID, millis(o.Reign)), routes: map[route]*stream{}}
}

func millis(d time.Duration) dealer.Time { return dealer.Time(d.Milliseconds()) }

func (s *Server) now() dealer.Time { return millis(time.Since(s.begun)) }

// Run deals until ctx is done, whenever it is this server's turn. It then lets
// the next begin at once; the processors go on meanwhile.
func (s *Server) Run(ctx context.Context) error {
	defer close(s.done)
	tick := time.NewTicker(s.o.Tick)
	defer tick.Stop()
	s.turn(ctx, nil)
	for {
		select {
		case <-ctx.Done():
			return s.resign()
		case ask := <-s.asks:
			ask()
		case h := <-s.in:
			s.turn(ctx, s.gather(h))
		case <-tick.C:
			s.turn(ctx, nil)
		}
	}
}

const gathered = 4096

// gather takes along what else has come, so that it is saved at once.
func (s *Server) gather(h heard) []heard {
	all := []heard{h}
	for len(all) < gathered {
		select {
		case h := <-s.in:
			all = append(all, h)
		default:
			return all
		}
	}
	return all
}

// turn is one round: what was said goes into the tables, time passes, what has
// changed is saved, and only then is anybody answered.
func (s *Server) turn(ctx context.Context, said []heard) {
	if s.tables == nil && !s.takeOver(ctx) {
		return
	}
	now := s.now()
	if !s.reign.Reigns(now) {
		s.depose(errors.New("the store could not be written in time"))
		return
	}
	replies := map[*stream][]dealer.Reply{}
	for _, h := range said {
		s.hear(now, h, replies)
	}
	for _, t := range s.tables {
		t.Tick(now)
	}
	if err := s.save(ctx, now); err != nil {
		s.depose(err)
		return
	}
	if !s.reign.Reigns(s.now()) {
		return
	}
	s.news(replies)
	for to, rs := range replies {
		to.tell(rs)
	}
}

// hear puts the beats of one stream in.
func (s *Server) hear(now dealer.Time, h heard, replies map[*stream][]dealer.Reply) {
	for _, c := range h.calls {
		t := s.tables[c.Table]
		if t == nil {
			t = s.newTable(c.Table)
			t.Table = dealer.NewInTerm(t.options(), t, s.reign.Term())
		}
		if c.Resources != nil && c.Edition >= t.edition {
			t.edition = c.Edition
			t.Resources(now, c.Resources)
		}
		for _, l := range c.Seen {
			t.Seen(l)
		}
		a, ok := t.Beat(now, c.Beat)
		if !ok {
			continue
		}
		s.routes[route{c.Table, c.Beat.Processor}] = h.from
		replies[h.from] = append(replies[h.from], dealer.Reply{Table: c.Table, Answer: a})
	}
}

// news adds the answers that changed for processors that have not just beaten.
func (s *Server) news(replies map[*stream][]dealer.Reply) {
	for name, t := range s.tables {
		for _, a := range t.News() {
			if to := s.routes[route{name, a.Processor}]; to != nil {
				replies[to] = append(replies[to], dealer.Reply{Table: name, Answer: a})
			}
		}
	}
}

// save writes the record, and what has changed. It does nothing if nothing is
// due.
func (s *Server) save(ctx context.Context, now dealer.Time) error {
	pages := map[string][]byte{}
	for name, t := range s.tables {
		changes, err := t.Changes()
		if err != nil {
			return fmt.Errorf("save table %s: %w", name, err)
		}
		for page, b := range changes {
			pages[tablePrefix+name+"/"+page] = b
		}
	}
	if len(pages) == 0 && !s.reign.Due(now) {
		return nil
	}
	return s.write(ctx, pages)
}

// write saves pages with the next record.
func (s *Server) write(ctx context.Context, pages map[string][]byte) error {
	began := s.now()
	rec, ok := s.reign.Next(began)
	if !ok {
		return ErrConflict
	}
	b, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("save record: %w", err)
	}
	pages[Record] = b
	ctx, cancel := context.WithTimeout(ctx, s.o.Reign)
	defer cancel()
	rev, err := s.o.Store.Save(ctx, pages, s.rev)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	s.rev = rev
	s.reign.Wrote(began, rec)
	return nil
}

// depose ends a reign: what is in memory may be wrong.
func (s *Server) depose(why error) {
	s.o.Log.Warn("deals no more", "reason", why)
	s.tables = nil
	s.reign.Lost()
	for r, to := range s.routes {
		to.end()
		delete(s.routes, r)
	}
}

// takeOver looks whether this server should deal, and begins.
func (s *Server) takeOver(ctx context.Context) bool {
	err := s.look(ctx)
	if err != nil {
		s.reign.Lost()
		if ctx.Err() == nil && !errors.Is(err, ErrConflict) {
			s.o.Log.Warn("take over as dealer", "error", err)
		}
		return false
	}
	return s.tables != nil
}

func (s *Server) look(ctx context.Context) error {
	lctx, cancel := context.WithTimeout(ctx, s.o.Reign)
	defer cancel()
	pages, rev, err := s.o.Store.Load(lctx, Record)
	if err != nil {
		return fmt.Errorf("load record: %w", err)
	}
	var rec dealer.Record
	if b := pages[Record]; b != nil {
		if err := json.Unmarshal(b, &rec); err != nil {
			return fmt.Errorf("read record: %w", err)
		}
	}
	s.reign.Saw(s.now(), rec)
	if _, ok := s.reign.Next(s.now()); !ok {
		return nil
	}
	s.rev = rev
	if err := s.write(ctx, map[string][]byte{}); err != nil {
		return err
	}
	return s.load(ctx)
}

// resign lets the next server deal at once.
func (s *Server) resign() error {
	for r, to := range s.routes {
		to.end()
		delete(s.routes, r)
	}
	rec, ok := s.reign.Resign()
	if s.tables == nil || !ok {
		return nil
	}
	s.tables = nil
	b, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("resign: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Reign)
	defer cancel()
	if _, err := s.o.Store.Save(ctx, map[string][]byte{Record: b}, s.rev); err != nil && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("resign: %w", err)
	}
	return nil
}

// ask runs f in Run's goroutine; it reports whether it did.
func (s *Server) ask(ctx context.Context, f func()) bool {
	ran := make(chan struct{})
	select {
	case s.asks <- func() { f(); close(ran) }:
		<-ran
		return true
	case <-s.done:
	case <-ctx.Done():
	}
	return false
}

// Handler takes beats at [dealer.Path] and tells of tables at [dealer.TablesPath].
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+dealer.Path, s.beats)
	mux.HandleFunc("GET "+dealer.TablesPath, s.listTables)
	mux.HandleFunc("GET "+dealer.TablesPath+"/{name...}", s.oneTable)
	return mux
}
