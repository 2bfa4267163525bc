package chaos

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
)

// kinesis is a stream whose shards are split and merged while events come, behind a
// proxy that its producer goes past. The table of checkpoints is left alone, and so is
// the service, which keeps nothing beyond its end.
type kinesis struct {
	t      *testing.T
	server *servers.Server
	tables *servers.Server
	proxy  *fault.Proxy
	dealer *dealing.Dealer
	client *amazon.Client
	sent   chan outgoing
}

// outgoing is an event on its way to the stream.
type outgoing struct {
	e    ledger.Event
	done func(error)
}

func newKinesis(t *testing.T) *kinesis {
	t.Helper()
	k := &kinesis{t: t, server: servers.Kinesis(t), tables: servers.Moto(t), dealer: dealing.Start(t, 3*time.Second), sent: make(chan outgoing, mostOpen)}
	var err error
	if k.proxy, err = fault.Listen(k.server.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.proxy.Close() })
	at, err := amazon.At(trigger.Settings{Spec: function.Trigger{URL: "http://KEY@" + k.server.Addr, Secret: "secret"}}, amazon.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if k.client, err = at.Open(amazon.Service{Name: "kinesis", Target: "Kinesis_20131202", JSON: "1.1"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.client.Close)
	if err := k.change("CreateStream", map[string]any{"ShardCount": 2}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(k.produce)
	t.Cleanup(func() {
		close(k.sent)
		wg.Wait()
	})
	return k
}

func (k *kinesis) Trigger(string) string {
	return fmt.Sprintf(`{kind: kinesis, url: "http://KEY@%s", secret: secret, numWorkers: 4, checkpointInterval: 200ms, retry: {attempts: -1, backoff: {initial: 50ms, max: 1s}},
        attributes: {streamName: in, iteratorType: TRIM_HORIZON, checkpointURL: "http://%s", timeout: 2s, requestsPerSecond: 20, pollingPeriod: 100ms, describeInterval: 1s}}`, k.proxy.Addr(), k.tables.Addr)
}

func (k *kinesis) Send(e ledger.Event, done func(error)) { k.sent <- outgoing{e, done} }

func (k *kinesis) Broker() *servers.Server { return k.server }
func (k *kinesis) SparesBroker()           {}
func (k *kinesis) Proxy() *fault.Proxy     { return k.proxy }
func (k *kinesis) Dealer() string          { return k.dealer.Address() }
func (k *kinesis) Silence() time.Duration  { return 4 * time.Second }

// between is how many events come between two changes of the shards.
const between = 300

// produce sends what waits, and has a shard split or two merged now and then.
func (k *kinesis) produce() {
	const most = 200
	changes := 0
	for n := 0; ; {
		first, ok := <-k.sent
		if !ok {
			return
		}
		all := []outgoing{first}
		for more := true; more && len(all) < most; {
			select {
			case x, ok := <-k.sent:
				if more = ok; ok {
					all = append(all, x)
				}
			default:
				more = false
			}
		}
		err := k.put(all)
		for _, x := range all {
			x.done(err)
		}
		if n += len(all); n/between > changes {
			changes++
			if err := k.reshard(changes); err != nil {
				k.t.Errorf("change the shards: %v", err)
			}
		}
	}
}

func (k *kinesis) put(all []outgoing) error {
	var records []map[string]any
	for _, x := range all {
		records = append(records, map[string]any{"PartitionKey": x.e.Key, "Data": x.e.Body})
	}
	var out struct{ FailedRecordCount int }
	err := k.client.Call(context.Background(), "PutRecords", patience, map[string]any{"StreamName": "in", "Records": records}, &out)
	if err == nil && out.FailedRecordCount > 0 {
		err = fmt.Errorf("%d records were not taken", out.FailedRecordCount)
	}
	return err
}

// change does one to the stream, and waits until it is made.
func (k *kinesis) change(action string, in map[string]any) error {
	in["StreamName"] = "in"
	if err := k.client.Call(context.Background(), action, patience, in, nil); err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var out struct {
			StreamDescriptionSummary struct{ StreamStatus string }
		}
		err := k.client.Call(context.Background(), "DescribeStreamSummary", patience, map[string]any{"StreamName": "in"}, &out)
		if err != nil || out.StreamDescriptionSummary.StreamStatus == "ACTIVE" {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not done", action)
		}
	}
}

// reshard splits the shard with the most keys, and every third time merges two.
func (k *kinesis) reshard(n int) error {
	type shard struct {
		ID    string `json:"ShardId"`
		Range struct {
			From string `json:"StartingHashKey"`
			To   string `json:"EndingHashKey"`
		} `json:"HashKeyRange"`
		Sequences struct {
			End string `json:"EndingSequenceNumber"`
		} `json:"SequenceNumberRange"`
	}
	var list struct{ Shards []shard }
	if err := k.client.Call(context.Background(), "ListShards", patience, map[string]any{"StreamName": "in"}, &list); err != nil {
		return err
	}
	number := func(s string) *big.Int { n, _ := new(big.Int).SetString(s, 10); return n }
	size := func(s shard) *big.Int { return new(big.Int).Sub(number(s.Range.To), number(s.Range.From)) }
	open := slices.DeleteFunc(list.Shards, func(s shard) bool { return s.Sequences.End != "" })
	slices.SortFunc(open, func(a, b shard) int { return number(a.Range.From).Cmp(number(b.Range.From)) })
	if n%3 == 0 {
		return k.change("MergeShards", map[string]any{"ShardToMerge": open[0].ID, "AdjacentShardToMerge": open[1].ID})
	}
	widest := slices.MaxFunc(open, func(a, b shard) int { return size(a).Cmp(size(b)) })
	middle := new(big.Int).Add(number(widest.Range.From), number(widest.Range.To))
	return k.change("SplitShard", map[string]any{"ShardToSplit": widest.ID, "NewStartingHashKey": middle.Rsh(middle, 1).String()})
}

// At least once: none lost, and keys in order while their shards are split and merged.
func TestKinesis(t *testing.T) { Survive(t, newKinesis(t), Promise{}) }
