package kinesis

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// TestNuclio: the attributes of Nuclio's trigger are taken as they are.
func TestNuclio(t *testing.T) {
	t.Parallel()
	raw := `{"accessKeyID": "AKID", "secretAccessKey": "geheim", "regionName": "eu-west-1", "streamName": "s", "shards": ["shardId-000000000000"], "iteratorType": "TRIM_HORIZON", "pollingPeriod": "1s"}`
	trg, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{Kind: Kind}}, []byte(raw))
	if err != nil || trg == nil {
		t.Fatal(err)
	}
	cfg := defaults()
	must(t, json.Unmarshal([]byte(raw), &cfg))
	src, err := newSource(trigger.Settings{Name: "in", Function: "f"}, cfg)
	must(t, err)
	if src.at.Region() != "eu-west-1" {
		t.Errorf("region %q", src.at.Region())
	}
}

// TestRefused: what cannot be kept to is an error that names its field, and shows no
// secret.
func TestRefused(t *testing.T) {
	t.Parallel()
	for raw, field := range map[string]string{
		`{"region": "eu-west-1"}`:                                                 "streamName",
		`{"streamName": "a b"}`:                                                   "streamName",
		`{"streamName": "s", "consumerName": "a b"}`:                              "consumerName",
		`{"streamName": "s", "region": "Frankfurt"}`:                              "region",
		`{"streamName": "s", "regionName": "Frankfurt"}`:                          "regionName",
		`{"streamName": "s", "region": "eu-west-1", "regionName": "eu-west-2"}`:   "regionName",
		`{"streamName": "s", "regionName": "eu-west-1", "accessKeyID": "AKID"}`:   "accessKeyID",
		`{"streamName": "s", "regionName": "eu-west-1", "iteratorType": "LAST"}`:  "iteratorType",
		`{"streamName": "s", "regionName": "eu-west-1", "outOfRange": "skip"}`:    "outOfRange",
		`{"streamName": "s", "regionName": "eu-west-1", "assignment": "group"}`:   "assignment",
		`{"streamName": "s", "regionName": "eu-west-1", "requestsPerSecond": 0}`:  "requestsPerSecond",
		`{"streamName": "s", "regionName": "eu-west-1", "recordsPerRequest": -1}`: "recordsPerRequest",
		`{"streamName": "s", "regionName": "eu-west-1", "pollingPeriod": "1ms"}`:  "pollingPeriod",
		`{"streamName": "s", "regionName": "eu-west-1", "describeInterval": "0"}`: "describeInterval",
		`{"streamName": "s", "regionName": "eu-west-1", "checkpointTable": "a"}`:  "checkpointTable",
		`{"streamName": "s", "regionName": "eu-west-1", "checkpointURL": "a"}`:    "checkpointURL",
		`{"streamName": "s", "regionName": "eu-west-1", "stream": "t"}`:           "stream",
	} {
		_, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{Kind: Kind}}, []byte(raw))
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	_, err := Factory().New(trigger.Settings{Name: "in", Spec: function.Trigger{Kind: Kind, Delivery: function.Delivery{StartAt: "17"}}}, []byte(`{"streamName": "s", "region": "eu-west-1"}`))
	if err == nil || !strings.Contains(err.Error(), "expected earliest, latest or a time") {
		t.Errorf("an offset: %v", err)
	}
}

// TestAnswers: what the service cannot have said is an error.
func TestAnswers(t *testing.T) {
	t.Parallel()
	is := func(sequence string, at float64) record {
		return record{SequenceNumber: sequence, ApproximateArrivalTimestamp: at}
	}
	for says, a := range map[string]answer{
		"the sequence number":                   {Records: []record{is("", 1)}},
		`the sequence number "1e5"`:             {Records: []record{is("1e5", 1)}},
		"the sequence number \"111":             {Records: []record{is(strings.Repeat("1", 200), 1)}},
		"with the sequence number 9 is behind":  {Records: []record{is("10", 1), is("9", 1)}},
		"with the sequence number 10 is behind": {Records: []record{is("10", 1), is("10", 1)}},
		"says to be of the second -1":           {Records: []record{is("10", -1)}},
		"says to be of the second NaN":          {Records: []record{is("10", math.NaN())}},
		"the iterator has":                      {NextShardIterator: strings.Repeat("x", mostIterator+1)},
	} {
		if err := a.check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	good := answer{Records: []record{is("9", 1), is("10", 1), is("49680472213729754386877402238129968288982044863082004498", 1795385368.588)}}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"", "shardId-", "shardId-1", "shardId-00000000000a", "shardId-000000000001x", "shardId-999999999999"} {
		if n, err := numberOf(id); err == nil {
			t.Errorf("%q is %d", id, n)
		}
	}
}

func FuzzPlace(f *testing.F) {
	for _, s := range []string{"none", "horizon", "end", "skipped", "time 1795385368166", "after 4968", "within 4968 2", "", "after", "within 1 -1", "end end", "time x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if err != nil {
			return
		}
		again, err := parsePlace(p.String())
		if err != nil || again != p {
			t.Errorf("%q is %+v, which is %q, which is %+v: %v", s, p, p, again, err)
		}
	})
}
