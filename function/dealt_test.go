package function

import "testing"

// A trigger is dealt its shards if it has some, or if its source is one, unless it
// is to have all of them.
func TestDealt(t *testing.T) {
	for _, c := range []struct {
		kind, attributes string
		want             bool
	}{
		{"jetstream", `{"shards": 4}`, true},
		{"jetstream", `{"shards": 4, "assignment": "all"}`, false},
		{"jetstream", `{"stream": "s"}`, false},
		{"sql", `{"table": "orders"}`, true},
		{"sql", `{"table": "orders", "assignment": "dealer"}`, true},
		{"s3", `{"bucket": "texts", "assignment": "all"}`, false},
		{"postgresReplication", `{"tables": ["orders"]}`, true},
		{"outbox", `{"table": "outbox"}`, false},
		{"sql", `[]`, false},
		{"jetstream", ``, false},
		{"v3ioStream", ``, true},
		{"kinesis", `{"shards": ["shardId-000000000000"]}`, true},
		{"v3ioStream", `{"consumerGroup": "g"}`, true},
		{"v3ioStream", `{"consumerGroup": "g", "assignment": "all"}`, false},
	} {
		if got := (Trigger{Kind: c.kind, Attributes: []byte(c.attributes)}).Dealt(); got != c.want {
			t.Errorf("%s %s: %v", c.kind, c.attributes, got)
		}
	}
}
