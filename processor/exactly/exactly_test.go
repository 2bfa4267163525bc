package exactly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/table/mysql"
	"github.com/myelin-run/myelin/binding/table/postgresql"
	"github.com/myelin-run/myelin/binding/table/sqlite"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/exactly"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/triggertest"
	"github.com/myelin-run/myelin/trigger/triggertest/memory"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

// database is one that several processors share: open opens it for one of them.
type database struct {
	kind string
	open func(t *testing.T) *data.Table
}

// each runs a test on every kind of table.
func each(t *testing.T, f func(t *testing.T, d database)) {
	t.Run("sqlite", func(t *testing.T) {
		dir := t.TempDir()
		f(t, database{"sqlite", func(t *testing.T) *data.Table {
			return opened(t, sqlite.Factory(), binding.Settings{Name: "orders", Dir: dir})
		}})
	})
	t.Run("postgresql", func(t *testing.T) {
		s := pool.PostgreSQL(t)
		own := opened(t, postgresql.Factory(), binding.Settings{Name: "all", Spec: function.DataBinding{URL: "postgres://postgres@" + s.Addr + "/postgres"}})
		name := "exactly_" + strconv.FormatInt(time.Now().UnixNano(), 36)
		must(t, own, "CREATE DATABASE "+name)
		f(t, database{"postgresql", func(t *testing.T) *data.Table {
			return opened(t, postgresql.Factory(), binding.Settings{Name: "orders", Spec: function.DataBinding{URL: "postgres://postgres@" + s.Addr + "/" + name}})
		}})
	})
	t.Run("mariadb", func(t *testing.T) {
		s := pool.MariaDB(t)
		own := opened(t, mysql.Factory(), binding.Settings{Name: "all", Spec: function.DataBinding{URL: "mysql://root@" + s.Addr + "/test"}})
		name := "exactly_" + strconv.FormatInt(time.Now().UnixNano(), 36)
		must(t, own, "CREATE DATABASE "+name)
		f(t, database{"mariadb", func(t *testing.T) *data.Table {
			return opened(t, mysql.Factory(), binding.Settings{Name: "orders", Spec: function.DataBinding{URL: "mysql://root@" + s.Addr + "/" + name}})
		}})
	})
}

func opened(t *testing.T, f binding.Factory, s binding.Settings) *data.Table {
	t.Helper()
	s.Log = slog.New(slog.DiscardHandler)
	b, err := f.New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return data.NewTable(bindingtest.Opened(t, b).(data.Database), &data.Guard{Name: s.Name, Timeout: 30 * time.Second, Wait: 30 * time.Second, Slots: make(chan struct{}, 10)})
}

func must(t *testing.T, db *data.Table, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, db *data.Table, sql string, args ...any) int64 {
	t.Helper()
	r, err := db.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := r.Rows[0][0].(int64)
	return n
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// write is what the function of these tests does.
func write(ctx context.Context, db *data.Table, body []byte) error {
	_, err := db.Exec(ctx, "INSERT INTO effects (body) VALUES (?)", string(body))
	return err
}

// start runs a processor's trigger on l, whose function writes to its own
// connection to d.
func start(t *testing.T, l *memory.Log, d database, s trigger.Settings, f func(ctx context.Context, db *data.Table, ev *event.Event) error) (stop func()) {
	t.Helper()
	db := d.open(t)
	sink := exactly.New(db, d.kind, "shop/orders", "in")
	s.Name, s.Sink, s.Checkpoints, s.Function = "in", sink, sink, "orders"
	trig := l.Trigger(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- trig.Run(ctx, handler(func(ctx context.Context, ev *event.Event) error { return f(ctx, db, ev) }))
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// handler takes single events and batches.
type handler func(ctx context.Context, ev *event.Event) error

func (h handler) Handle(ctx context.Context, ev *event.Event, _ *event.Response) error {
	return h(ctx, ev)
}

func (h handler) HandleBatch(ctx context.Context, evs []*event.Event, _ []*event.Response, errs []error) {
	for i, ev := range evs {
		errs[i] = h(ctx, ev)
	}
}

var settings = map[string]trigger.Settings{
	"alone": {Spec: function.Trigger{Delivery: function.Delivery{CheckpointInterval: quantity.Duration(20 * time.Millisecond),
		Retry: &function.Retry{Attempts: -1, Backoff: &function.Backoff{Initial: quantity.Duration(time.Millisecond), Max: quantity.Duration(5 * time.Millisecond)}}}}},
	"batches": {Spec: function.Trigger{Batch: &function.Batch{Mode: "enable", BatchSize: 16, Timeout: quantity.Duration(2 * time.Millisecond)},
		Delivery: function.Delivery{CheckpointInterval: quantity.Duration(20 * time.Millisecond),
			Retry: &function.Retry{Attempts: -1, Backoff: &function.Backoff{Initial: quantity.Duration(time.Millisecond), Max: quantity.Duration(5 * time.Millisecond)}}}}},
}

// Two processors share a log whose connections break all the time, and their
// function fails after it has written: each event has its effect once, in the
// order of its key.
func TestEffectsOnce(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		for name, s := range settings {
			t.Run(name, func(t *testing.T) { effectsOnce(t, d, s) })
		}
	})
}

func effectsOnce(t *testing.T, d database, s trigger.Settings) {
	db := d.open(t)
	must(t, db, "DROP TABLE IF EXISTS effects")
	must(t, db, "DROP TABLE IF EXISTS myelin_positions")
	column := map[string]string{"sqlite": "INTEGER PRIMARY KEY", "postgresql": "SERIAL", "mariadb": "INTEGER AUTO_INCREMENT PRIMARY KEY"}[d.kind]
	must(t, db, "CREATE TABLE effects (n "+column+", body VARCHAR(20))")
	const events, rounds = 200, 4
	l := memory.NewLog(3)
	l.Options.Restores = true
	var runs atomic.Int64
	f := func(ctx context.Context, db *data.Table, ev *event.Event) error {
		if err := write(ctx, db, ev.Body); err != nil {
			return err
		}
		if runs.Add(1)%13 == 0 {
			return errors.New("failed after it wrote")
		}
		return nil
	}
	stops := []func(){start(t, l, d, s, f), start(t, l, d, s, f)}
	for i := range rounds {
		var rs []triggertest.Record
		for n := i * events / rounds; n < (i+1)*events/rounds; n++ {
			rs = append(rs, triggertest.Record{Key: fmt.Sprint("k", n%7), Body: strconv.Itoa(n)})
		}
		l.Produce(t, rs...)
		until(t, "some effects", func() bool { return number(t, db, "SELECT COUNT(*) FROM effects") > int64(i*events/rounds) })
		l.Cut(t)
	}
	until(t, "all effects", func() bool { return number(t, db, "SELECT COUNT(*) FROM effects") >= events })
	for _, stop := range stops {
		stop()
	}
	r, err := db.Query(t.Context(), "SELECT body FROM effects ORDER BY n")
	if err != nil {
		t.Fatal(err)
	}
	last := map[int]int{}
	for _, row := range r.Rows {
		text, _ := row[0].(string)
		n, err := strconv.Atoi(text)
		if before, ok := last[n%7]; err != nil || ok && before >= n {
			t.Errorf("%q came after %d", text, before)
		}
		last[n%7] = n
	}
	if len(r.Rows) != events {
		t.Errorf("%d effects of %d events", len(r.Rows), events)
	}
	t.Logf("%d runs of %d events", runs.Load(), events)
}

func place(offset int64, epoch uint32) []trigger.Place {
	return []trigger.Place{{Topic: "in", Shard: 1, Epoch: epoch, Offset: offset}}
}

// Who has loaded a position last has the shard: a processor that had it before
// and does not know finds its effects undone.
func TestZombie(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		must(t, db, "CREATE TABLE effects (body VARCHAR(20))")
		one, other := exactly.New(db, d.kind, "f", "in"), d.open(t)
		two := exactly.New(other, d.kind, "f", "in")
		load := func(s *exactly.Sink, epoch uint32) int64 {
			next, ok, err := s.Load(t.Context(), "in", trigger.Place{Topic: "in", Shard: 1, Epoch: epoch})
			if err != nil || ok != (next >= 0) {
				t.Fatalf("%d, %v, %v", next, ok, err)
			}
			return next
		}
		do := func(s *exactly.Sink, offset int64, epoch uint32) error {
			own := db
			if s == two {
				own = other
			}
			return s.Do(t.Context(), place(offset, epoch), func(ctx context.Context) error { return write(ctx, own, []byte(strconv.Itoa(int(offset)))) })
		}
		if next := load(one, 1); next != -1 {
			t.Errorf("a shard of which nothing is done begins at %d", next)
		}
		if err := do(one, 4, 1); err != nil {
			t.Error(err)
		}
		var already *trigger.Already
		if err := do(one, 4, 1); !errors.As(err, &already) || !already.Done[0] {
			t.Errorf("the same again: %v", err)
		}
		next := func() {
			if next := load(two, 2); next != 5 {
				t.Errorf("the next owner begins at %d", next)
			}
		}
		meanwhile := d.kind != "sqlite" // which has one writer at a time
		if !meanwhile {
			next()
		}
		err := one.Do(t.Context(), place(5, 1), func(ctx context.Context) error {
			if meanwhile {
				next()
			}
			return write(ctx, db, []byte("zombie"))
		})
		if !errors.Is(err, trigger.ErrMoved) {
			t.Errorf("the old owner: %v", err)
		}
		if err := one.Store(t.Context(), "in", []trigger.Position{{Topic: "in", Shard: 1, Epoch: 1, Next: 9}}); !errors.Is(err, trigger.ErrMoved) {
			t.Errorf("the old owner's position: %v", err)
		}
		if err := do(one, 5, 7); !errors.Is(err, trigger.ErrMoved) {
			t.Errorf("a lease that was never loaded: %v", err)
		}
		if err := do(two, 5, 2); err != nil {
			t.Error(err)
		}
		if n := number(t, db, "SELECT COUNT(*) FROM effects"); n != 2 {
			t.Errorf("%d effects", n)
		}
	})
}

// An event that is given up: that its shard passes it and that its letter is
// kept is one step, and the letter is sent though its processor has gone.
func TestLetterIsKept(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		must(t, db, "CREATE TABLE effects (body VARCHAR(20))")
		l := memory.NewLog(1)
		l.Options.Restores = true
		for n := range 10 {
			l.Produce(t, triggertest.Record{Key: "k", Body: strconv.Itoa(n)})
		}
		f := func(ctx context.Context, db *data.Table, ev *event.Event) error {
			if err := write(ctx, db, ev.Body); err != nil {
				return err
			}
			if string(ev.Body) == "4" {
				return event.Permanent(errors.New("poison"))
			}
			return nil
		}
		s := settings["batches"]
		box := &letters{}
		box.away.Store(true)
		s.Letters = box
		stop := start(t, l, d, s, f)
		until(t, "the letter to be kept", func() bool { return box.tried.Load() > 0 })
		if n := number(t, db, "SELECT position FROM myelin_positions"); n != 5 {
			t.Errorf("the letter is kept, and the position is %d", n)
		}
		stop()
		box.away.Store(false)
		start(t, l, d, s, f)
		until(t, "the letter, and what is behind it", func() bool {
			return box.got.Load() > 0 && number(t, db, "SELECT COUNT(*) FROM effects") == 9 && number(t, db, "SELECT COUNT(*) FROM myelin_letters") == 0
		})
		if n := number(t, db, "SELECT COUNT(*) FROM effects WHERE body = '4'"); n != 0 {
			t.Errorf("%d effects of the event that was given up", n)
		}
	})
}

type letters struct {
	away       atomic.Bool
	tried, got atomic.Int64
}

func (l *letters) Send(_ context.Context, x *letter.Letter) error {
	l.tried.Add(1)
	if l.away.Load() {
		return errors.New("away")
	}
	if string(x.Event.Body) == "4" {
		l.got.Add(1)
	}
	return nil
}

// What is done in any order is known by its number, also when the note was
// trimmed; a source that was made anew counts anew.
func TestNumbers(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		must(t, db, "CREATE TABLE effects (body VARCHAR(20))")
		s := exactly.New(db, d.kind, "f", "in")
		do := func(source string, numbers ...int64) error {
			var ps []trigger.Place
			for _, n := range numbers {
				ps = append(ps, trigger.Place{Topic: "IN", Source: source, Shard: trigger.Unordered, Offset: n})
			}
			return s.Do(t.Context(), ps, func(ctx context.Context) error { return write(ctx, db, fmt.Append(nil, source, numbers)) })
		}
		done := func(err error) []bool {
			var already *trigger.Already
			if !errors.As(err, &already) {
				t.Fatalf("%v, want that some are done", err)
			}
			return already.Done
		}
		if err := errors.Join(do("a", 3, 1), do("a", 2), do("b", 1)); err != nil {
			t.Fatal(err)
		}
		if was := done(do("a", 1, 7)); !was[0] || was[1] {
			t.Errorf("%v", was)
		}
		at := trigger.Place{Topic: "IN", Source: "a", Shard: trigger.Unordered, Offset: 2}
		if err := errors.Join(s.Trim(t.Context(), at), s.Trim(t.Context(), at)); err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, "SELECT COUNT(*) FROM myelin_done"); n != 2 {
			t.Errorf("%d notes are left", n)
		}
		for _, n := range []int64{1, 2, 3} {
			done(do("a", n))
		}
		if err := do("a", 7); err != nil {
			t.Error(err)
		}
		if n := number(t, db, "SELECT COUNT(*) FROM effects"); n != 4 {
			t.Errorf("%d effects", n)
		}
	})
}

// A transaction that the function begins is a part of the event's: it can be
// undone by itself, and is undone with it. A statement that fails leaves nothing
// of the event.
func TestTransactionsWithin(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		db := d.open(t)
		must(t, db, "CREATE TABLE effects (body VARCHAR(20) PRIMARY KEY)")
		s := exactly.New(db, d.kind, "f", "in")
		if _, _, err := s.Load(t.Context(), "in", trigger.Place{Topic: "in", Shard: 1, Epoch: 1}); err != nil {
			t.Fatal(err)
		}
		failed := errors.New("failed")
		err := s.Do(t.Context(), place(0, 1), func(ctx context.Context) error {
			if err := write(ctx, db, []byte("a")); err != nil {
				return err
			}
			if err := db.Transact(ctx, func(tx *data.Tx) error {
				if _, err := tx.Exec(ctx, "INSERT INTO effects VALUES ('b')"); err != nil {
					return err
				}
				return failed
			}); !errors.Is(err, failed) {
				return fmt.Errorf("the part: %w", err)
			}
			if err := db.Transact(ctx, func(tx *data.Tx) error { // breaks a rule, and only the part is lost
				_, err := tx.Exec(ctx, "INSERT INTO effects VALUES ('a')")
				return err
			}); !errors.Is(err, data.Conflict) {
				return fmt.Errorf("twice: %w", err)
			}
			return db.Transact(ctx, func(tx *data.Tx) error {
				_, err := tx.Insert(ctx, "effects", []string{"body"}, [][]any{{"c"}, {"d"}})
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Do(t.Context(), place(1, 1), func(ctx context.Context) error {
			if err := write(ctx, db, []byte("e")); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Errorf("%v", err)
		}
		if n := number(t, db, "SELECT COUNT(*) FROM effects WHERE body IN ('a', 'c', 'd')"); n != 3 {
			t.Errorf("%d of the effects", n)
		}
		if n := number(t, db, "SELECT COUNT(*) FROM effects"); n != 3 {
			t.Errorf("%d effects", n)
		}
	})
}
