package examples_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
)

// The steps of an order are followed over a split of its shard. The test's processor
// is alone, without a dealer.
func TestKinesisExample(t *testing.T) {
	url := "http://KEY@" + servers.Kinesis(t).Addr
	tables := servers.Moto(t).Addr
	at, err := amazon.At(trigger.Settings{Spec: function.Trigger{URL: url, Secret: "secret"}}, amazon.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	c, err := at.Open(amazon.Service{Name: "kinesis", Target: "Kinesis_20131202", JSON: "1.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	call := func(action string, in map[string]any) (out struct {
		StreamDescriptionSummary struct{ StreamStatus string }
		ShardId                  string
	}) {
		t.Helper()
		if err := c.Call(t.Context(), action, patience, in, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	active := func() {
		t.Helper()
		eventually(t, "the stream", func() bool {
			return call("DescribeStreamSummary", map[string]any{"StreamName": "orders"}).StreamDescriptionSummary.StreamStatus == "ACTIVE"
		})
	}
	put := func(state string) string {
		t.Helper()
		return call("PutRecord", map[string]any{"StreamName": "orders", "PartitionKey": "17", "Data": fmt.Appendf(nil, `{"state": %q}`, state)}).ShardId
	}
	change := func(action string, in map[string]any) {
		t.Helper()
		in["StreamName"] = "orders"
		if err := c.Call(t.Context(), action, patience, in, nil); err != nil {
			t.Fatal(err)
		}
		active()
	}
	change("CreateStream", map[string]any{"ShardCount": 1})
	log := polls(t, "kinesis-python", "orders", func(at *function.Trigger) {
		at.URL = url
		at.Attributes = []byte(strings.NewReplacer("127.0.0.1:5000", tables, "{", `{"assignment": "all", "describeInterval": "300ms", `).Replace(string(at.Attributes)))
	})
	shard := put("paid")
	eventually(t, "the first step", says(log, "order 17 is paid"))
	change("SplitShard", map[string]any{"ShardToSplit": shard, "NewStartingHashKey": "170141183460469231731687303715884105728"})
	if put("sent") == shard {
		t.Error("the shard was not split")
	}
	eventually(t, "the second step", says(log, "order 17 is sent"))
}
