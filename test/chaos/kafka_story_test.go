package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/myelin-run/myelin/test/ledger"
)

// Begin implements [Witness].
func (k *kafkaOnce) Begin(*ledger.Book) {}

// Mark implements [Witness].
func (k *kafkaOnce) Mark(string) {}

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
