package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/test/ledger"
)

// Begin implements [Witness]. Beside the test somebody does what the page of the trigger says that an
// operator has to do with a transaction that its coordinator has forgotten.
func (k *kafkaOnce) Begin(*ledger.Book) {
	adm := kadm.NewClient(k.client())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { k.operate(ctx, adm) })
	k.t.Cleanup(func() { cancel(); wg.Wait() })
}

// operate aborts transactions that nobody will ever end. One is that of a producer for which the
// coordinator has none under way, seen twice, a look apart.
func (k *kafkaOnce) operate(ctx context.Context, adm *kadm.Client) {
	before := map[kadm.DescribedProducer]bool{}
	for tick := time.NewTicker(10 * time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		now := map[kadm.DescribedProducer]bool{}
		forgotten, _ := k.forgotten(ctx, adm) // a broker that is away is asked again
		for _, p := range forgotten {
			now[p] = true
			if !before[p] {
				continue
			}
			err := abort(ctx, adm, p)
			k.t.Logf("%s %d: the transaction of producer %d, epoch %d, open at %d, was forgotten by the broker: aborted by hand, %v", p.Topic, p.Partition, p.ProducerID, p.ProducerEpoch, p.CurrentTxnStartOffset, err)
		}
		before = now
	}
}

// abort ends what a producer has open in a shard, as if it had never sent it.
func abort(ctx context.Context, adm *kadm.Client, p kadm.DescribedProducer) error {
	topics := kadm.TopicsSet{}
	topics.Add(p.Topic, p.Partition)
	rs, err := adm.WriteTxnMarkers(ctx, kadm.TxnMarkers{ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch, CoordinatorEpoch: max(p.CoordinatorEpoch, 0), Topics: topics})
	rs.EachPartition(func(r kadm.TxnMarkersPartitionResponse) { err = errors.Join(err, r.Err) })
	return err
}

// TestEnds: only what the coordinator still has to do with is left to it.
func TestEnds(t *testing.T) {
	open := kadm.DescribedProducer{ProducerID: 1, ProducerEpoch: 2}
	for _, c := range []struct {
		coordinator kadm.DescribedTransaction
		want        bool
	}{
		{kadm.DescribedTransaction{ProducerID: 1, ProducerEpoch: 2, State: "Ongoing"}, true},
		{kadm.DescribedTransaction{ProducerID: 1, ProducerEpoch: 3, State: "PrepareAbort"}, true},
		{kadm.DescribedTransaction{ProducerID: 1, ProducerEpoch: 4, State: "Ongoing"}, false}, // a later one
		{kadm.DescribedTransaction{ProducerID: 1, ProducerEpoch: 4, State: "CompleteAbort"}, false},
		{kadm.DescribedTransaction{ProducerID: 7, ProducerEpoch: 2, State: "Ongoing"}, false},
	} {
		if got := ends(c.coordinator, open); got != c.want {
			t.Errorf("%+v: %v", c.coordinator, got)
		}
	}
}

// TestAbort: what is under way is no operator's business; what is aborted holds up nobody.
func TestAbort(t *testing.T) {
	k := &kafkaOnce{kafka: newKafka(t, "", "in", "out")}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	adm := kadm.NewClient(k.client())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	open := k.client(kgo.TransactionalID("open"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(open.BeginTransaction())
	must(open.ProduceSync(ctx, &kgo.Record{Topic: "out", Partition: 3, Value: []byte("x")}).FirstErr())
	ps, err := k.forgotten(ctx, adm)
	must(err)
	if len(ps) > 0 {
		t.Errorf("a transaction that is under way is forgotten: %+v", ps)
	}
	topics := kadm.TopicsSet{}
	topics.Add("out", 3)
	producers, err := adm.DescribeProducers(ctx, topics)
	must(err)
	for _, p := range producers.SortedProducers() {
		must(abort(ctx, adm, p))
	}
	ends, err := adm.ListCommittedOffsets(ctx, "out")
	must(err)
	if at, _ := ends.Lookup("out", 3); at.Offset != 2 { // the record, and the mark
		t.Errorf("readers of what is committed get to %d, want 2", at.Offset)
	}
}

// forgotten are the open transactions of producers for which there is none under way.
func (k *kafkaOnce) forgotten(ctx context.Context, adm *kadm.Client) (out []kadm.DescribedProducer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	topics, err := adm.ListTopicsWithInternal(ctx, "out", "__consumer_offsets")
	if err != nil {
		return nil, err
	}
	producers, err := adm.DescribeProducers(ctx, topics.TopicsSet())
	if err != nil {
		return nil, err
	}
	all, err := adm.DescribeTransactions(ctx)
	if err != nil {
		return nil, err
	}
	producers.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset >= 0 && !slices.ContainsFunc(all.Sorted(), func(t kadm.DescribedTransaction) bool { return ends(t, p) }) {
			out = append(out, p)
		}
	})
	return out, nil
}

// Mark implements [Witness].
func (k *kafkaOnce) Mark(string) {}

// ends tells whether what the coordinator has under way is, or ends, what is open in a shard.
func ends(t kadm.DescribedTransaction, p kadm.DescribedProducer) bool {
	if t.ProducerID != p.ProducerID {
		return false
	}
	return strings.HasPrefix(t.State, "Prepare") || t.State == "Ongoing" && t.ProducerEpoch <= p.ProducerEpoch
}

// Story implements [Witness]: how far the group has read, how far readers of
// what is committed can, and which transactions hold them up.
func (k *kafkaOnce) Story([]ledger.Name) string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	adm := kadm.NewClient(k.client())
	var s strings.Builder
	k.tellPlaces(ctx, adm, &s)
	k.tellTransactions(ctx, adm, &s)
	return s.String()
}

func (k *kafkaOnce) tellPlaces(ctx context.Context, adm *kadm.Client, s *strings.Builder) {
	ends, err := adm.ListEndOffsets(ctx, "in", "out")
	if err != nil {
		fmt.Fprintln(s, err)
	}
	stable, err := adm.ListCommittedOffsets(ctx, "in", "out")
	if err != nil {
		fmt.Fprintln(s, err)
	}
	done, err := adm.FetchOffsets(ctx, "g")
	if err != nil {
		fmt.Fprintln(s, err)
	}
	for p := range int32(6) {
		in, _ := ends.Lookup("in", p)
		out, _ := ends.Lookup("out", p)
		last, _ := stable.Lookup("out", p)
		at, _ := done.Lookup("in", p)
		fmt.Fprintf(s, "shard %d: in: %d of %d done; out: ends at %d, what is committed at %d, of which %d were read\n",
			p, at.At, in.Offset, out.Offset, last.Offset, k.place(p))
	}
}

func (k *kafkaOnce) tellTransactions(ctx context.Context, adm *kadm.Client, s *strings.Builder) {
	var topics kadm.TopicsSet
	topics.Add("out", 0, 1, 2, 3, 4, 5)
	producers, err := adm.DescribeProducers(ctx, topics)
	if err != nil {
		fmt.Fprintln(s, err)
	}
	producers.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset >= 0 {
			fmt.Fprintf(s, "out %d: producer %d, epoch %d has a transaction open at %d; its last record is of %s\n", p.Partition, p.ProducerID, p.ProducerEpoch,
				p.CurrentTxnStartOffset, time.UnixMilli(p.LastTimestamp).Format("15:04:05.000"))
		}
	})
	all, err := adm.DescribeTransactions(ctx)
	if err != nil {
		fmt.Fprintln(s, err)
	}
	all.Each(func(t kadm.DescribedTransaction) {
		fmt.Fprintf(s, "%s: %s, producer %d, epoch %d, began at %s, in %v %v\n", t.TxnID, t.State, t.ProducerID, t.ProducerEpoch,
			time.UnixMilli(t.StartTimestamp).Format("15:04:05.000"), t.Topics, t.Err)
	})
}
