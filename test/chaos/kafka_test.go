package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

// kafka is a topic of six shards, behind a proxy.
type kafka struct {
	t      *testing.T
	server *servers.Server
	proxy  *fault.Proxy
	cl     *kgo.Client
	more   string // of the trigger's spec
}

func newKafka(t *testing.T, more string, topics ...string) *kafka {
	k := &kafka{t: t, more: more}
	k.server = servers.Kafka(t, servers.Advertise(func(addr string) string {
		var err error
		if k.proxy, err = fault.Listen(addr); err != nil {
			t.Fatal(err)
		}
		return k.proxy.Addr()
	}))
	t.Cleanup(func() { _ = k.proxy.Close() })
	k.cl = k.client(kgo.ProducerLinger(5 * time.Millisecond))
	for _, topic := range topics {
		if _, err := kadm.NewClient(k.cl).CreateTopic(context.Background(), 6, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *kafka) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(k.proxy.Addr()), kgo.MetadataMinAge(250*time.Millisecond))...)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(cl.Close)
	return cl
}

func (k *kafka) Trigger(string) string {
	return fmt.Sprintf(`{kind: kafka, url: %q, numWorkers: 4, checkpointInterval: 200ms, %s
        retry: {attempts: -1, backoff: {initial: 50ms, max: 1s}},
        attributes: {topics: [in], consumerGroup: g, sessionTimeout: 3s, heartbeatInterval: 300ms, transactionTimeout: 5s, dialTimeout: 2s}}`,
		k.proxy.Addr(), k.more)
}

func (k *kafka) Send(e ledger.Event, done func(error)) {
	k.cl.Produce(context.Background(), &kgo.Record{Topic: "in", Key: []byte(e.Key), Value: e.Body}, func(_ *kgo.Record, err error) { done(err) })
}

// Copies implements [Copier]: it reads the topic to the end of now.
func (k *kafka) Copies(ctx context.Context) (copies int, err error) {
	in := k.client(kgo.ConsumeTopics("in"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer in.Close()
	ends, err := kadm.NewClient(in).ListEndOffsets(ctx, "in")
	if err != nil {
		return 0, err
	}
	left := 0
	ends.Each(func(o kadm.ListedOffset) { left += int(o.Offset) })
	first := map[string]*kgo.Record{}
	for left > 0 && ctx.Err() == nil {
		for r := range in.PollFetches(ctx).RecordsAll() {
			left--
			if f := first[string(r.Value)]; f != nil {
				copies++
				k.t.Logf("in the source twice: %s and %s", where(f), where(r))
				continue
			}
			first[string(r.Value)] = r
		}
	}
	return copies, ctx.Err()
}

func (k *kafka) Broker() *servers.Server { return k.server }
func (k *kafka) Proxy() *fault.Proxy     { return k.proxy }
func (k *kafka) Silence() time.Duration  { return 4 * time.Second }

// At least once: none lost, keys in order.
func TestKafka(t *testing.T) { Survive(t, newKafka(t, "", "in"), Promise{}) }

// The protocol in which the broker shares out.
func TestKafkaConsumerProtocol(t *testing.T) {
	k := newKafka(t, "", "in")
	Survive(t, &newProtocol{k}, Promise{})
}

type newProtocol struct{ *kafka }

func (k *newProtocol) Trigger(string) string {
	return fmt.Sprintf(`{kind: kafka, url: %q, numWorkers: 4, checkpointInterval: 200ms, retry: {attempts: -1, backoff: {initial: 50ms, max: 1s}},
        attributes: {topics: [in], consumerGroup: g, groupProtocol: consumer, dialTimeout: 2s}}`, k.proxy.Addr())
}

// Silence is the session timeout that the test's broker has for this protocol.
func (k *newProtocol) Silence() time.Duration { return 7 * time.Second }

// Exactly once: the answers in the topic out, as readers of what is committed
// see them, have neither gaps nor duplicates.
func TestKafkaExactlyOnce(t *testing.T) {
	k := newKafka(t, "guarantee: exactlyOnce, onSuccess: {kind: topic, topic: out},", "in", "out")
	Survive(t, &kafkaOnce{kafka: k, out: k.client(kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))}, Promise{Once: true})
}

type kafkaOnce struct {
	*kafka
	out   *kgo.Client
	mu    sync.Mutex
	next  [6]int64 // of each shard of out
	times map[string][]string
}

// Forgets implements [Forgetter]. Kafka 4.3.1 that is alone, is killed while it ends
// a transaction and starts again before its session was over takes the shards for
// deleted, and writes "these partitions are likely deleted already and hence can be
// skipped" instead of the transaction's end: readers of what is committed, and the
// group, stop there for ever. The other tests of Kafka have it killed.
func (k *kafkaOnce) Forgets() {}

// Collect implements [Sinker].
func (k *kafkaOnce) Collect(ctx context.Context, b *ledger.Book) {
	for ctx.Err() == nil {
		for r := range k.out.PollFetches(ctx).RecordsAll() {
			k.arrived(b, r)
		}
	}
}

// arrived enters a record, each of a shard's offsets once: a reader that was sent
// back to what it has read before has not found a duplicate.
func (k *kafkaOnce) arrived(b *ledger.Book, r *kgo.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := &k.next[r.Partition]
	if r.Offset < *next {
		k.back(r, *next)
		return
	}
	*next = r.Offset + 1
	b.Arrived(r.Value)
	if k.times == nil {
		k.times = map[string][]string{}
	}
	name, _, _ := strings.Cut(string(r.Value), " x")
	k.times[name] = append(k.times[name], where(r))
}

// where says where a record is, and who sent it.
func where(r *kgo.Record) string {
	return fmt.Sprintf("shard %d, offset %d, producer %d epoch %d, %s", r.Partition, r.Offset, r.ProducerID, r.ProducerEpoch, r.Timestamp.Format("15:04:05.000"))
}

// place is how far a shard was read.
func (k *kafkaOnce) place(p int32) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.next[p]
}

// back says that the reader went back.
func (k *kafkaOnce) back(r *kgo.Record, next int64) {
	if r.Offset == 0 {
		k.t.Logf("the reader of shard %d began anew at 0; it was at %d", r.Partition, next)
	}
}

// tellTwice says of some events that came twice where they are.
func (k *kafkaOnce) tellTwice() {
	told := 0
	for name, at := range k.times {
		if len(at) > 1 && told < 40 {
			k.t.Logf("%s came at %s", name, strings.Join(at, "; "))
			told++
		}
	}
}

// Finish implements [Sinker]: what is committed lies before the ends of now.
func (k *kafkaOnce) Finish(ctx context.Context, b *ledger.Book) error {
	defer k.tellTwice()
	marks := k.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := range int32(6) {
		if err := marks.ProduceSync(ctx, &kgo.Record{Topic: "out", Partition: p, Key: []byte("end")}).FirstErr(); err != nil {
			return err
		}
	}
	for left := 6; left > 0; {
		fs := k.out.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for r := range fs.RecordsAll() {
			if string(r.Key) == "end" {
				left--
			} else {
				k.arrived(b, r)
			}
		}
	}
	return nil
}
