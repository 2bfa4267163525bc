package bindingtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// Streams is what the suite of class stream needs to know of a service.
type Streams struct {
	// Make builds a binding that is not open; each call gives one of the same
	// service.
	Make func(t *testing.T) binding.Binding
	// Topic makes a topic of that name, and returns how its messages are read:
	// the first n, in the order in which the service has them.
	Topic func(t *testing.T, name string) (read func(n int) []data.Message)
	// Missing is a topic that is not there, if publishing to such is an error.
	Missing string
	// Bare says that messages have neither keys nor headers.
	Bare bool
}

// Stream is the suite of class stream.
func Stream(t *testing.T, s Streams) {
	open := func(t *testing.T) *data.Stream {
		return data.NewStream(Opened(t, s.Make(t)).(data.Publisher), guard())
	}
	t.Run("Messages", func(t *testing.T) { s.messages(t, open(t)) })
	t.Run("Order", func(t *testing.T) { s.order(t, open(t)) })
	t.Run("Together", func(t *testing.T) { s.together(t, open(t)) })
	t.Run("Refused", func(t *testing.T) { s.refused(t, open(t)) })
	t.Run("Deadline", func(t *testing.T) { s.deadline(t, open(t)) })
	t.Run("NotOpen", func(t *testing.T) {
		b := s.Make(t)
		ok(t, b.Close())
		want(t, data.NewStream(b.(data.Publisher), guard()).Publish(t.Context(), data.Message{Topic: unique()}), data.Away)
	})
}

func (s *Streams) messages(t *testing.T, st *data.Stream) {
	topic := unique()
	read := s.Topic(t, topic)
	sent := []data.Message{
		{Value: []byte("plain")},
		{Value: nil},
		{Value: bytes.Repeat([]byte{0, 0xff, '\n'}, 100_000)},
	}
	if !s.Bare {
		sent = append(sent, data.Message{Key: []byte("of ann"), Value: []byte("keyed"), Headers: []data.Header{{Key: "X-Name", Value: "Ann Böck"}, {Key: "Content-Type", Value: "text/plain"}}})
	}
	for i := range sent {
		sent[i].Topic = topic
		ok(t, st.Publish(t.Context(), sent[i]))
	}
	got := read(len(sent))
	for i, m := range sent {
		if i >= len(got) {
			t.Fatalf("%d messages, want %d", len(got), len(sent))
		}
		if g := got[i]; !bytes.Equal(g.Value, m.Value) || !bytes.Equal(g.Key, m.Key) {
			t.Errorf("message %d: %.40q of key %q, want %.40q of %q", i, g.Value, g.Key, m.Value, m.Key)
		}
		for _, h := range m.Headers {
			if !slices.Contains(got[i].Headers, h) {
				t.Errorf("message %d: no header %q in %q", i, h, got[i].Headers)
			}
		}
	}
}

// order sends batches whose messages share a key.
func (s *Streams) order(t *testing.T, st *data.Stream) {
	topic := unique()
	read := s.Topic(t, topic)
	const batches, each = 4, 250
	for b := range batches {
		ms := make([]data.Message, each)
		for i := range ms {
			ms[i] = data.Message{Topic: topic, Value: strconv.AppendInt(nil, int64(b*each+i), 10)}
			if !s.Bare {
				ms[i].Key = []byte("one")
			}
		}
		ok(t, st.PublishAll(t.Context(), ms))
	}
	for i, m := range read(batches * each) {
		if string(m.Value) != strconv.Itoa(i) {
			t.Fatalf("message %d is %q", i, m.Value)
		}
	}
}

// together has many publish at once; each message is there once.
func (s *Streams) together(t *testing.T, st *data.Stream) {
	topic := unique()
	read := s.Topic(t, topic)
	const publishers, each = 20, 15
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				if err := st.Publish(t.Context(), data.Message{Topic: topic, Value: fmt.Appendf(nil, "%d/%d", p, i)}); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
	}
	all.Wait()
	seen, next := map[string]bool{}, make([]int, publishers)
	for _, m := range read(publishers * each) {
		var p, i int
		if _, err := fmt.Sscanf(string(m.Value), "%d/%d", &p, &i); err != nil || p >= publishers || seen[string(m.Value)] {
			t.Fatalf("%q, %v", m.Value, err)
		}
		if seen[string(m.Value)] = true; next[p] != i {
			t.Errorf("of publisher %d: %d, want %d", p, i, next[p])
		}
		next[p]++
	}
}

func (s *Streams) refused(t *testing.T, st *data.Stream) {
	topic := unique()
	read := s.Topic(t, topic)
	for _, m := range []data.Message{{}, {Topic: "a b"}, {Topic: "a\r\nb"}, {Topic: "\xff"}, {Topic: topic, Headers: []data.Header{{Key: "a: b"}}},
		{Topic: topic, Headers: []data.Header{{Key: "a", Value: "b\r\nc"}}}, {Topic: topic, Headers: []data.Header{{Key: ""}}}} {
		want(t, st.Publish(t.Context(), m), data.Misuse)
		err := st.PublishAll(t.Context(), []data.Message{{Topic: topic, Value: []byte("not sent")}, m})
		want(t, err, data.Misuse)
	}
	want(t, st.Publish(t.Context(), data.Message{Topic: topic, Value: make([]byte, Max+1)}), data.TooLarge)
	if s.Missing != "" {
		want(t, st.Publish(t.Context(), data.Message{Topic: s.Missing, Value: []byte("x")}), data.NotFound)
	}
	ok(t, st.PublishAll(t.Context(), nil))
	ok(t, st.Publish(t.Context(), data.Message{Topic: topic, Value: []byte("sent")}))
	if got := read(1); len(got) != 1 || string(got[0].Value) != "sent" {
		t.Errorf("%q", got)
	}
}

func (s *Streams) deadline(t *testing.T, st *data.Stream) {
	topic := unique()
	read := s.Topic(t, topic)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, st.Publish(ctx, data.Message{Topic: topic, Value: []byte("late")}), data.Timeout)
	ok(t, st.Publish(t.Context(), data.Message{Topic: topic, Value: []byte("next")}))
	if got := read(1); len(got) != 1 || string(got[0].Value) != "next" {
		t.Errorf("%q", got)
	}
}
