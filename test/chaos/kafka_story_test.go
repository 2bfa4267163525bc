package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

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
		for _, p := range k.forgotten(ctx, adm) {
			now[p] = true
			if !before[p] {
				continue
			}
			topics := kadm.TopicsSet{}
			topics.Add(p.Topic, p.Partition)
			_, err := adm.WriteTxnMarkers(ctx, kadm.TxnMarkers{ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch, CoordinatorEpoch: max(p.CoordinatorEpoch, 0), Topics: topics})
			k.t.Logf("%s %d: the transaction of producer %d, epoch %d, open at %d, was forgotten by the broker: aborted by hand, %v", p.Topic, p.Partition, p.ProducerID, p.ProducerEpoch, p.CurrentTxnStartOffset, err)
		}
		before = now
	}
}

// forgotten are the open transactions of producers for which there is none under way; none if the broker
// cannot be asked now.
func (k *kafkaOnce) forgotten(ctx context.Context, adm *kadm.Client) (out []kadm.DescribedProducer) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	topics, err := adm.ListTopicsWithInternal(ctx, "out", "__consumer_offsets")
	if err != nil {
		return nil
	}
	producers, err := adm.DescribeProducers(ctx, topics.TopicsSet())
	if err != nil {
		return nil
	}
	all, err := adm.DescribeTransactions(ctx)
	if err != nil {
		return nil
	}
	producers.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset >= 0 && !slices.ContainsFunc(all.Sorted(), func(t kadm.DescribedTransaction) bool { return ends(t, p) }) {
			out = append(out, p)
		}
	})
	return out
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
