package kinesis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/stream"
)

// message is one of a subscription, as the service writes it.
func message(t testing.TB, kind, what, text string) []byte {
	t.Helper()
	name := ":event-type"
	if kind == "exception" {
		name = ":exception-type"
	}
	m := eventstream.Message{Payload: []byte(text)}
	m.Headers.Set(":message-type", eventstream.StringValue(kind))
	m.Headers.Set(name, eventstream.StringValue(what))
	var b bytes.Buffer
	must(t, eventstream.NewEncoder().Encode(&b, m))
	return b.Bytes()
}

func pushes(t testing.TB, text string) []byte {
	return message(t, "event", "SubscribeToShardEvent", text)
}

// subscriptions answers each subscription with the next of all, and keeps where it
// was to begin. Behind the last one, the shard is somebody else's.
type subscriptions struct {
	all    [][]byte
	begins []string
}

func (s *subscriptions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ StartingPosition map[string]any }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	position, _ := json.Marshal(in.StartingPosition)
	n := len(s.begins)
	if s.begins = append(s.begins, string(position)); n >= len(s.all) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type": "ResourceInUseException", "message": "said by the test"}`)
		return
	}
	_, _ = w.Write(s.all[n])
}

// hearing is a puller whose service is s.
func hearing(t testing.TB, s *subscriptions) *puller {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	n := newSession(&source{cfg: defaults(), changed: make(chan struct{})}, &api{Client: clientOf(t, strings.TrimPrefix(server.URL, "http://"), service), stream: "s"}, nil, stream.Want{}, nil)
	n.consumer, n.came = "arn", make(chan stream.Batch, 9)
	p := &puller{n: n, at: place{kind: atHorizon}, ctx: context.Background(), flow: make(chan struct{})}
	close(p.flow)
	t.Cleanup(p.unsubscribe)
	return p
}

const pushedOne = `{"Records": [{"SequenceNumber": "7", "PartitionKey": "k", "Data": "eA==", "ApproximateArrivalTimestamp": 1}], "ContinuationSequenceNumber": "9"}`

// TestSubscription: a subscription that ends is followed by another, behind what came;
// without a continuation it is the end of the shard.
func TestSubscription(t *testing.T) {
	const nothing = `{"Records": [], "ContinuationSequenceNumber": "5", "MillisBehindLatest": 0}`
	s := &subscriptions{all: [][]byte{
		append(message(t, "event", "initial-response", "{}"), pushes(t, nothing)...),
		pushes(t, pushedOne),
		append(pushes(t, `{"Records": [], "ContinuationSequenceNumber": "11"}`), pushes(t, pushedOne)[:20]...), // broken off
		pushes(t, `{"Records": [], "ContinuationSequenceNumber": null, "ChildShards": [{"ShardId": "shardId-000000000001"}]}`),
	}}
	p := hearing(t, s)
	for !p.gone {
		must(t, p.step())
	}
	if b := <-p.n.came; b.Records.Len() != 1 || b.Through != 0 {
		t.Errorf("first came %d records, through %d", b.Records.Len(), b.Through)
	}
	if b := <-p.n.came; b.Records.Len() != 0 || b.Through != 2 {
		t.Errorf("last came %d records, through %d", b.Records.Len(), b.Through)
	}
	want := []string{`{"Type":"TRIM_HORIZON"}`, `{"SequenceNumber":"5","Type":"AFTER_SEQUENCE_NUMBER"}`, `{"SequenceNumber":"7","Type":"AFTER_SEQUENCE_NUMBER"}`, `{"SequenceNumber":"7","Type":"AFTER_SEQUENCE_NUMBER"}`}
	if got := strings.Join(s.begins, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("it began at\n%s, want\n%s", got, strings.Join(want, "\n"))
	}
}

// TestSubscriptionMistakes: nothing is run of what cannot be, and what the service says
// went wrong is told.
func TestSubscriptionMistakes(t *testing.T) {
	for name, x := range map[string]struct {
		said []byte
		ok   func(error) bool
	}{
		"in trouble":      {message(t, "exception", "InternalFailureException", `{"message": "x"}`), amazon.Busy},
		"taken":           {message(t, "exception", "ResourceInUseException", `{}`), func(err error) bool { return errors.Is(err, errTaken) }},
		"no message":      {bytes.Repeat([]byte{0xff}, 99), func(err error) bool { return err != nil }},
		"no text":         {pushes(t, `{"Records": 7}`), func(err error) bool { return err != nil }},
		"no sequence":     {pushes(t, `{"Records": [{"SequenceNumber": "x"}], "ContinuationSequenceNumber": "1"}`), func(err error) bool { return err != nil }},
		"no continuation": {pushes(t, `{"ContinuationSequenceNumber": "x"}`), func(err error) bool { return err != nil }},
	} {
		p := hearing(t, &subscriptions{all: [][]byte{x.said}})
		if err := p.step(); !x.ok(err) {
			t.Errorf("%s: %v", name, err)
		}
		if p.events != nil || len(p.n.came) > 0 {
			t.Errorf("%s: it goes on with it", name)
		}
		if err := p.step(); !errors.Is(err, errTaken) {
			t.Errorf("%s: then %v", name, err)
		}
	}
}
