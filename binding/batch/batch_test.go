package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding/batch"
	"github.com/myelin-run/myelin/binding/data"
)

// log is a store that remembers what was written, and in how many writes.
type log struct {
	mu    sync.Mutex
	keys  map[string]string
	lots  []int
	away  bool
	gate  chan struct{} // lots wait for it, if it is set
	began chan struct{}
}

func (l *log) PutAll(_ context.Context, all []data.Pair) []error {
	if l.gate != nil {
		l.began <- struct{}{}
		<-l.gate
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lots = append(l.lots, len(all))
	errs := make([]error, len(all))
	for i, p := range all {
		switch {
		case l.away:
			errs[i] = data.Away
		case string(p.Value) == "bad":
			errs[i] = data.Misuse
		default:
			l.keys[p.Key] = string(p.Value)
		}
	}
	return errs
}

func (l *log) Get(_ context.Context, key string) (data.Value, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.keys[key]
	if !ok {
		return data.Value{}, data.NotFound
	}
	return data.Value{Data: []byte(v)}, nil
}

func (l *log) Put(_ context.Context, key string, value []byte, _ data.Put) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[key] = string(value)
	return "v", nil
}

func (l *log) Delete(_ context.Context, key string, _ *string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
	return nil
}

func gathered(t *testing.T, o batch.Options) (*log, *batch.Keys, *data.KV) {
	t.Helper()
	l := &log{keys: map[string]string{}, began: make(chan struct{}, 100)}
	k := batch.ForKeys(l, o, l.PutAll)
	t.Cleanup(k.Close)
	return l, k, data.NewKV(k, &data.Guard{Name: "k"})
}

// forever lets writes wait until there are enough.
const forever = time.Hour

// Writes of many events are made together; each event learns of its own.
func TestEvents(t *testing.T) {
	l, k, kv := gathered(t, batch.Options{Count: 4, Bytes: 1 << 20, Wait: forever})
	events := make([]*data.Pending, 4)
	for i, value := range []string{"a", "bad", "c", "d"} {
		events[i] = &data.Pending{}
		if _, err := kv.Put(data.WithPending(context.Background(), events[i]), fmt.Sprint("k", i), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range events {
		if err := e.Wait(context.Background()); (i == 1) != errors.Is(err, data.Misuse) || i != 1 && err != nil {
			t.Errorf("event %d: %v", i, err)
		}
	}
	if s := k.Stats(); len(l.lots) != 1 || s.Writes != 4 || s.Flushes != 1 || s.Failed != 1 || s.Waiting != 0 {
		t.Errorf("lots %v, %+v", l.lots, s)
	}
}

// The last of several writes of a key counts; a read sees it, and a write without
// an event is made before it returns.
func TestOrder(t *testing.T) {
	l, _, kv := gathered(t, batch.Options{Count: 100, Bytes: 1 << 20, Wait: forever})
	ctx := data.WithPending(context.Background(), &data.Pending{})
	value := []byte("0")
	for i := range 5 {
		value[0] = byte('0' + i)
		if _, err := kv.Put(ctx, "a", value); err != nil {
			t.Fatal(err)
		}
	}
	value[0] = 'X'
	if v, err := kv.Get(context.Background(), "a"); err != nil || string(v.Data) != "4" {
		t.Errorf("%q, %v", v.Data, err)
	}
	if _, err := kv.Put(ctx, "b", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(context.Background(), "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(ctx, "b"); !errors.Is(err, data.NotFound) {
		t.Errorf("a key that was deleted: %v", err)
	}
	if _, err := kv.Put(ctx, "c", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if v, err := kv.Put(ctx, "c", []byte("2"), data.IfVersion("1")); err != nil || v != "v" || l.keys["c"] != "2" {
		t.Errorf("%q, %v: a condition is of what is there", v, err)
	}
}

// Without an event there is nobody to tell later.
func TestAlone(t *testing.T) {
	l, _, kv := gathered(t, batch.Options{Count: 100, Bytes: 1 << 20, Wait: time.Millisecond})
	if _, err := kv.Put(context.Background(), "a", []byte("1")); err != nil || l.keys["a"] != "1" {
		t.Errorf("%v, %v", err, l.keys)
	}
	if _, err := kv.Put(context.Background(), "a", []byte("bad")); !errors.Is(err, data.Misuse) {
		t.Error(err)
	}
}

// While a lot is made the next gathers, and who finds it full waits no longer
// than it has time.
func TestFull(t *testing.T) {
	l, k, kv := gathered(t, batch.Options{Count: 2, Bytes: 1 << 20, Wait: forever})
	l.gate = make(chan struct{})
	p := &data.Pending{}
	ctx := data.WithPending(context.Background(), p)
	for i := range 4 {
		if _, err := kv.Put(ctx, fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			<-l.began // so that these two are on their way
		}
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := kv.Put(short, "late", nil); data.ReasonOf(err) != data.Timeout {
		t.Errorf("no room: %v", err)
	}
	close(l.gate)
	if err := p.Wait(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := kv.Get(ctx, "late"); !errors.Is(err, data.NotFound) {
		t.Errorf("what was not taken: %v", err)
	}
	if s := k.Stats(); s.Flushes != 2 || s.Writes != 4 {
		t.Errorf("%+v", s)
	}
}

// insert is one insertion that a database was asked for.
type inserts struct {
	data.Database
	mu  sync.Mutex
	all []string
}

func (i *inserts) insert(_ context.Context, table string, columns []string, rows [][]any) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all = append(i.all, fmt.Sprint(table, columns, rows))
	for _, row := range rows {
		if row[0] == "bad" {
			return data.Conflict
		}
		if row[0] == "away" {
			return data.Away
		}
	}
	return nil
}

func (i *inserts) Query(context.Context, data.Bounds, string, []any) (*data.Result, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return &data.Result{Rows: [][]any{{len(i.all)}}}, nil
}

// Inserts that are alike are one; if it is refused, that whose rows are wrong fails
// and no other. A query sees what its event has inserted.
func TestTables(t *testing.T) {
	db := &inserts{}
	b := batch.ForTables(db, batch.Options{Count: 4, Bytes: 1 << 20, Wait: forever}, db.insert)
	t.Cleanup(b.Close)
	table := data.NewTable(b, nil)
	insert := func(p *data.Pending, into, column string, value any) {
		t.Helper()
		if n, err := table.Insert(data.WithPending(context.Background(), p), into, []string{column}, [][]any{{value}}); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	var events [4]data.Pending
	insert(&events[0], "t", "a", 1)
	insert(&events[1], "t", "a", "bad")
	insert(&events[2], "t", "b", 2)
	insert(&events[3], "t", "a", 3)
	for i := range events {
		if err := events[i].Wait(context.Background()); (err != nil) != (i == 1) {
			t.Errorf("event %d: %v", i, err)
		}
	}
	want := "[t[a] [[1] [bad] [3]] t[a] [[1]] t[a] [[bad]] t[a] [[3]] t[b] [[2]]]"
	if got := fmt.Sprint(db.all); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	db.all = nil
	var p, other data.Pending
	insert(&p, "t", "a", "away")
	insert(&other, "t", "a", 5)
	r, err := table.Query(data.WithPending(context.Background(), &p), "SELECT 1")
	if err != nil || r.Rows[0][0] != 1 {
		t.Errorf("%v, %v: the event's insert came first", r, err)
	}
	for _, p := range []*data.Pending{&p, &other} {
		if err := p.Wait(context.Background()); !errors.Is(err, data.Away) {
			t.Errorf("%v: nobody knows what was written", err)
		}
	}
}
