package poll_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

func TestMain(m *testing.M) {
	mortal.Beside()
	os.Exit(m.Run())
}

// list is a source in memory: items that are only ever added. A cursor is how many
// were read.
type list struct {
	mu       sync.Mutex
	items    []triggertest.Record
	place    poll.Place
	revision int
	saves    int
	away     bool
	broken   bool
	sessions []*listSession
	changed  chan struct{}
}

func newList() *list { return &list{changed: make(chan struct{}, 1)} }

type listSession struct {
	*list
	lost bool
}

var errAway = errors.New("the list is away")

func (l *list) Check(at trigger.Start) error { return poll.NoOffset(at) }

func (l *list) Connect(context.Context) (poll.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return nil, errors.New("there is no list")
	}
	if l.away {
		return nil, errAway
	}
	s := &listSession{list: l}
	l.sessions = append(l.sessions, s)
	return s, nil
}

// at locks the list, for a session that is not lost.
func (s *listSession) at() (unlock func(), err error) {
	s.mu.Lock()
	if s.lost {
		s.mu.Unlock()
		return nil, errAway
	}
	return s.mu.Unlock, nil
}

func (s *listSession) Begin(_ context.Context, at trigger.Start) (string, error) {
	unlock, err := s.at()
	if err != nil {
		return "", err
	}
	defer unlock()
	if at.Where == trigger.Latest {
		return strconv.Itoa(len(s.items)), nil
	}
	return "", nil
}

func (s *listSession) Poll(_ context.Context, after string, limit int) (page poll.Page, err error) {
	unlock, err := s.at()
	if err != nil {
		return page, err
	}
	defer unlock()
	from, _ := strconv.Atoi(after)
	for i := from; i < len(s.items) && len(page.Items) < limit; i++ {
		r := s.items[i]
		var headers event.Pairs
		for k, v := range r.Headers {
			headers = append(headers, event.Pair{Key: k, Value: []byte(v)})
		}
		page.Items = append(page.Items, poll.Item{Cursor: strconv.Itoa(i + 1),
			Event: event.Event{Body: []byte(r.Body), Key: []byte(r.Key), Headers: headers, Time: time.Now()}})
	}
	page.More = len(page.Items) == limit
	return page, nil
}

func (s *listSession) Lag(_ context.Context, after string) (int64, error) {
	unlock, err := s.at()
	if err != nil {
		return 0, err
	}
	defer unlock()
	from, _ := strconv.Atoi(after)
	return int64(len(s.items) - from), nil
}

func (s *listSession) Load(context.Context) (poll.Place, string, error) {
	unlock, err := s.at()
	if err != nil {
		return poll.Place{}, "", err
	}
	defer unlock()
	if s.revision == 0 {
		return poll.Place{}, "", nil
	}
	return s.place, strconv.Itoa(s.revision), nil
}

func (s *listSession) Save(_ context.Context, p poll.Place, revision string) (string, error) {
	unlock, err := s.at()
	if err != nil {
		return "", err
	}
	defer unlock()
	if revision == "" {
		revision = "0"
	}
	if revision != strconv.Itoa(s.revision) {
		return "", poll.ErrWritten
	}
	s.place = p
	s.revision++
	s.saves++
	return strconv.Itoa(s.revision), nil
}

func (s *listSession) Changed() <-chan struct{} { return s.changed }

func (s *listSession) Close(context.Context) error { return nil }

// Produce implements triggertest.Broker.
func (l *list) Produce(_ testing.TB, rs ...triggertest.Record) {
	l.mu.Lock()
	l.items = append(l.items, rs...)
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Trigger implements triggertest.Broker.
func (l *list) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	e, err := poll.New(s, poll.Options{Config: config(7), Kind: "list", Topic: "list"}, l)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func config(page int) poll.Config {
	return poll.Config{Interval: quantity.Duration(10 * time.Millisecond), Jitter: new(quantity.Duration), PageSize: page}
}

// Cut implements triggertest.Cutter.
func (l *list) Cut(testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		s.lost = true
	}
	l.sessions = nil
}

// Away implements triggertest.Switch.
func (l *list) Away(t testing.TB) {
	l.mu.Lock()
	l.away = true
	l.mu.Unlock()
	l.Cut(t)
}

// Back implements triggertest.Switch.
func (l *list) Back(testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = false
}

// Broken implements triggertest.Breaker.
func (l *list) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	l.broken = true
	return map[string]triggertest.Broken{"no list": {Trigger: l.Trigger(t, s), Says: "there is no list", Mend: func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.broken = false
	}}}
}

// TestSuite: without a dealer, one processor takes the source from the other.
func TestSuite(t *testing.T) {
	triggertest.PollSuite(t, triggertest.Guarantees{Sole: true, Parallel: true, New: func(testing.TB) triggertest.Broker { return newList() }})
}

func start(t *testing.T, l *list, c poll.Config, spec function.Trigger, h trigger.HandlerFunc) (e *poll.Engine, stop func()) {
	t.Helper()
	e, err := poll.New(trigger.Settings{Name: "in", Function: "f", Spec: spec, Workers: 1}, poll.Options{Config: c, Kind: "list", Topic: "list"}, l)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// TestChangeSignal: what is signalled is found long before the interval is over.
func TestChangeSignal(t *testing.T) {
	t.Parallel()
	l, c := newList(), config(10)
	c.Interval = quantity.Duration(time.Hour)
	came := make(chan struct{}, 10)
	e, _ := start(t, l, c, function.Trigger{}, func(context.Context, *event.Event, *event.Response) error {
		came <- struct{}{}
		return nil
	})
	<-e.Ready()
	for i := range 3 {
		l.Produce(t, triggertest.Record{Body: fmt.Sprint(i)})
		select {
		case <-came:
		case <-time.After(30 * time.Second):
			t.Fatal("a change was not heard")
		}
	}
}

// TestPlaceIsFenced: who was overtaken under a greater epoch stores no place any
// more, and reads no more.
func TestPlaceIsFenced(t *testing.T) {
	t.Parallel()
	l := newList()
	e, _ := start(t, l, config(10), function.Trigger{Delivery: function.Delivery{CheckpointInterval: quantity.Duration(10 * time.Millisecond)}},
		func(context.Context, *event.Event, *event.Response) error { return nil })
	l.Produce(t, triggertest.Record{Body: "0"})
	until(t, "the place", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.place.Cursor == "1" })
	l.mu.Lock()
	l.place.Epoch += 1000
	l.revision++
	kept := l.place
	l.mu.Unlock()
	l.Produce(t, triggertest.Record{Body: "1"})
	until(t, "the shard to be let go of", func() bool { return len(e.Report().Shards) == 0 })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.place != kept {
		t.Errorf("the place is %+v, want %+v", l.place, kept)
	}
}

// TestStart: an offset is refused before anything runs, latest skips what is there.
func TestStart(t *testing.T) {
	t.Parallel()
	l := newList()
	for _, at := range []string{"17", "somewhere"} {
		_, err := poll.New(trigger.Settings{Name: "in", Spec: function.Trigger{Delivery: function.Delivery{StartAt: at}}}, poll.Options{Config: config(10), Kind: "list", Topic: "list"}, l)
		if spec := (*trigger.SpecError)(nil); !errors.As(err, &spec) {
			t.Errorf("startAt %s: %v", at, err)
		}
	}
	l.Produce(t, triggertest.Record{Body: "old"})
	seen := make(chan string, 10)
	e, _ := start(t, l, config(10), function.Trigger{Delivery: function.Delivery{StartAt: "latest"}}, func(_ context.Context, ev *event.Event, _ *event.Response) error {
		if ev.Source.Class != string(trigger.Poll) {
			t.Errorf("class %s", ev.Source.Class)
		}
		seen <- string(ev.Body)
		return nil
	})
	until(t, "the claim", func() bool { return len(e.Report().Shards) == 1 })
	l.Produce(t, triggertest.Record{Body: "new"})
	select {
	case got := <-seen:
		if got != "new" {
			t.Errorf("got %q", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	if err := e.Seek(t.Context(), "5"); err == nil {
		t.Error("sought an offset")
	}
	until(t, "the lag", func() bool { return e.Report().Done == 1 })
}
