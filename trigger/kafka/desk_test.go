package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come within %v", what, patience)
}

// fake starts brokers in this process.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100 * time.Millisecond),
		kfake.BrokerConfigs(map[string]string{"group.consumer.heartbeat.interval.ms": "100"})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var shared servers.Pool

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

// cluster is where a test's topics are.
type cluster struct {
	brokers []string
	cl      *kgo.Client
}

var marks atomic.Int64

// name makes a topic's or group's name that no other test has.
func name(what string) string { return fmt.Sprintf("%s-%d", what, marks.Add(1)) }

// each runs a test against the brokers in this process and against Kafka.
func each(t *testing.T, test func(t *testing.T, c *cluster)) {
	t.Run("kfake", func(t *testing.T) {
		addrs := fake(t).ListenAddrs()
		test(t, &cluster{addrs, client(t, addrs)})
	})
	t.Run("kafka", func(t *testing.T) {
		if testing.Short() {
			t.Skip("Kafka takes a while to start")
		}
		addrs := []string{shared.Kafka(t).Addr}
		test(t, &cluster{addrs, client(t, addrs)})
	})
}

// topic makes a topic.
func (c *cluster) topic(t *testing.T, shards int32) string {
	t.Helper()
	n := name("in")
	makeTopic(t, c.cl, n, shards)
	return n
}

// source is a source of topic, in a group named after it.
func (c *cluster) source(t *testing.T, topic, more string, spec ...func(*function.Trigger)) *Source {
	t.Helper()
	return source(t, c.brokers, fmt.Sprintf(`{"topics": [%q], "consumerGroup": %q %s}`, topic, "group-"+topic, more), spec...)
}

func (c *cluster) committed(t *testing.T, topic string, shard int32) int64 {
	t.Helper()
	return committed(t, c.cl, "group-"+topic, topic, shard)
}

// source builds the trigger's source as its factory does. Attributes are JSON.
func source(t *testing.T, brokers []string, attributes string, spec ...func(*function.Trigger)) *Source {
	t.Helper()
	cfg := defaults()
	cfg.Brokers, cfg.ConsumerGroup = brokers, "g"
	cfg.SessionTimeout, cfg.HeartbeatInterval = span(6*time.Second), span(100*time.Millisecond)
	if err := json.Unmarshal([]byte(attributes), &cfg); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	var s trigger.Settings
	for _, f := range spec {
		f(&s.Spec)
	}
	src, err := newSource(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

// client is the test's own.
func client(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(100 * time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func makeTopic(t *testing.T, cl *kgo.Client, name string, shards int32) {
	t.Helper()
	admin := kadm.NewClient(cl)
	if _, err := admin.CreateTopic(t.Context(), shards, 1, nil, name); err != nil {
		t.Fatal(err)
	}
	// A busy broker answers before it knows the topic itself.
	eventually(t, name, func() bool {
		there, err := admin.ListTopics(t.Context(), name)
		return err == nil && there.Error() == nil && len(there[name].Partitions) == int(shards)
	})
}

func produce(t *testing.T, cl *kgo.Client, rs ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(context.Background(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// numbered makes n records of one shard whose values are from, from+1, ...
func numbered(topic string, shard int32, from, n int) []*kgo.Record {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = &kgo.Record{Topic: topic, Partition: shard, Value: fmt.Append(nil, from+i)}
	}
	return rs
}

// desk stands in for the engine: it takes what comes, commits on revoke, and
// remembers all.
type desk struct {
	t       *testing.T
	s       stream.Session
	commits bool   // on revoke
	tell    string // the topic to answer to, in transactions
	telling sync.Mutex

	mu       sync.Mutex
	held     map[shard]stream.Lease
	next     map[shard]int64
	got      map[shard][]string
	told     map[shard]int // how many of got have answers
	ends     map[shard]int64
	lost     int
	problem  error
	stop     context.CancelFunc
	finished chan struct{}
}

func newDesk(t *testing.T) *desk {
	return &desk{t: t, commits: true, held: map[shard]stream.Lease{}, next: map[shard]int64{}, got: map[shard][]string{}, told: map[shard]int{},
		ends: map[shard]int64{}, finished: make(chan struct{})}
}

func (d *desk) Assigned(ls ...stream.Lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range ls {
		if old, ok := d.held[of(l)]; ok {
			d.t.Errorf("%v was granted while it was held: %+v", of(l), old)
		}
		d.held[of(l)] = l
		delete(d.next, of(l))
	}
}

func (d *desk) Revoked(ctx context.Context, ls ...stream.Lease) {
	if d.tell != "" {
		d.answer(ctx)
	}
	d.mu.Lock()
	ps := d.positions(ls)
	for _, l := range ls {
		delete(d.held, of(l))
	}
	d.mu.Unlock()
	if d.commits && len(ps) > 0 {
		if err := d.s.Commit(ctx, ps); err != nil {
			d.t.Errorf("commit from within Revoked: %v", err)
		}
	}
}

func (d *desk) Lost(ls ...stream.Lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range ls {
		delete(d.held, of(l))
	}
	d.lost += len(ls)
}

// answer sends the answers of all that was taken and has none.
func (d *desk) answer(ctx context.Context) {
	d.telling.Lock()
	defer d.telling.Unlock()
	ps := d.all()
	d.mu.Lock()
	var outs []stream.Output
	for _, p := range ps {
		s := shard{p.Topic, p.Shard}
		outs = append(outs, answers(d.tell, d.got[s][d.told[s]:]...)...)
		d.told[s] = len(d.got[s])
	}
	d.mu.Unlock()
	if len(outs) == 0 {
		return
	}
	if err := d.s.(stream.Transactor).Transact(ctx, outs, ps); err != nil {
		d.t.Errorf("transact: %v", err)
	}
}

// positions is what is done of shards; d.mu is held.
func (d *desk) positions(ls []stream.Lease) []trigger.Position {
	var ps []trigger.Position
	for _, l := range ls {
		if next, ok := d.next[of(l)]; ok {
			ps = append(ps, trigger.Position{Topic: l.Topic, Shard: l.Shard, Epoch: l.Epoch, Next: next})
		}
	}
	return ps
}

func (d *desk) all() []trigger.Position {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ls []stream.Lease
	for _, l := range d.held {
		ls = append(ls, l)
	}
	return d.positions(ls)
}

func (d *desk) take(b stream.Batch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer b.Records.Release()
	s := of(b.Lease)
	if d.held[s] != b.Lease {
		return
	}
	for i := range b.Records.Len() {
		var ev event.Event
		b.Records.Read(i, &ev)
		off, _ := b.Records.At(i)
		d.next[s] = off + 1
		d.got[s] = append(d.got[s], string(ev.Body))
	}
	d.ends[s] = b.End
}

// lease is that of a shard, and end is where the shard was last known to end.
func (d *desk) lease(s shard) stream.Lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held[s]
}

func (d *desk) end(s shard) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ends[s]
}

func (d *desk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, g := range d.got {
		n += len(g)
	}
	return n
}

// of is what came of a shard so far.
func (d *desk) of(s shard) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got[s])
}

func (d *desk) shards() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.held)
}

func (d *desk) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.problem
}

// sit connects and reads until leave.
func (d *desk) sit(src *Source, w stream.Want) *desk {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	shs := &late{desk: d, ready: make(chan struct{})}
	d.s, err = src.Connect(ctx, w, shs)
	if err != nil {
		d.t.Fatal(err)
	}
	close(shs.ready)
	run, stop := context.WithCancel(context.Background())
	d.stop = stop
	go func() {
		defer close(d.finished)
		for run.Err() == nil {
			if err := d.s.Fetch(run, d.take); err != nil && !errors.Is(err, context.Canceled) {
				d.mu.Lock()
				d.problem = err
				d.mu.Unlock()
				return
			}
			if d.tell != "" {
				d.answer(context.Background())
			}
		}
	}()
	d.t.Cleanup(func() { d.leave(false) })
	return d
}

// late keeps calls back until the session is known to the desk.
type late struct {
	*desk
	ready chan struct{}
}

func (d *desk) From(context.Context, stream.Lease) (int64, bool, error) { return 0, false, nil }

func (l *late) Assigned(ls ...stream.Lease) { <-l.ready; l.desk.Assigned(ls...) }
func (l *late) Lost(ls ...stream.Lease)     { <-l.ready; l.desk.Lost(ls...) }
func (l *late) Revoked(ctx context.Context, ls ...stream.Lease) {
	<-l.ready
	l.desk.Revoked(ctx, ls...)
}

// leave stops reading, commits if asked, and closes, as the engine does.
func (d *desk) leave(commit bool) {
	if d.s == nil {
		return
	}
	d.stop()
	<-d.finished
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if commit {
		if err := d.s.Commit(ctx, d.all()); err != nil {
			d.t.Errorf("commit at the end: %v", err)
		}
	}
	if err := d.s.Close(ctx); err != nil {
		d.t.Logf("close: %v", err)
	}
	d.s = nil
}

// committed asks the broker for the group's checkpoint.
func committed(t *testing.T, cl *kgo.Client, group, topic string, shard int32) int64 {
	t.Helper()
	os, err := kadm.NewClient(cl).FetchOffsets(context.Background(), group)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := os.Lookup(topic, shard)
	if !ok {
		return -1
	}
	return o.At
}
