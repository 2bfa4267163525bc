package kafka

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// A letter to a topic is the event as it came, under its key, and says of
// itself in headers.
func TestLettersGoToATopic(t *testing.T) { each(t, letters) }

func letters(t *testing.T, c *cluster) {
	dead := c.topic(t, 1)
	src := c.source(t, dead, "")
	d, err := src.Topic(dead)
	if err != nil {
		t.Fatal(err)
	}
	l := &letter.Letter{ID: "l1", Reason: letter.Attempts, Error: "no\nway", Attempts: 5, Event: letter.Event{
		ID: "e1", Time: time.Now(), Key: letter.Bytes("k"), Body: letter.Bytes("\xff\x00"), ContentType: "image/x",
		Headers: []letter.Header{{Key: "content-type", Value: letter.Bytes("image/x")}, {Key: "A", Value: letter.Bytes("\xfe")}}}}
	ctx := context.Background()
	if err := d.Send(ctx, l); err != nil {
		t.Fatal(err)
	}
	cl := client(t, c.brokers, kgo.ConsumeTopics(dead))
	r := cl.PollRecords(ctx, 1).Records()[0]
	h := (*headers)(r)
	if string(r.Key) != "k" || string(r.Value) != "\xff\x00" || string(h.Get("myelin-letter")) != "l1" ||
		!bytes.Equal(h.Get("A"), []byte("\xfe")) || string(h.Get("Content-Type")) != "image/x" || string(h.Get("myelin-attempts")) != "5" {
		t.Errorf("record %q %q %v", r.Key, r.Value, r.Headers)
	}
	types := 0
	for _, h := range r.Headers {
		if strings.EqualFold(h.Key, "content-type") {
			types++
		}
	}
	if types != 1 {
		t.Errorf("%d content types", types)
	}

	l.Event.Body = bytes.Repeat([]byte("x"), 3<<20)
	if err := d.Send(ctx, l); !event.IsPermanent(err) {
		t.Errorf("a letter that is too large: %v, want one that says so for good", err)
	}
	l.Event.Body = nil
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Send(ctx, l); err == nil {
		t.Error("a letter is sent after the trigger has stopped")
	}
}

func TestLetterToNoTopic(t *testing.T) {
	src := source(t, []string{"127.0.0.1:1"}, `{"topics": ["in"]}`)
	for _, name := range []string{"", "^a", "a b", "..", "ä"} {
		if _, err := src.Topic(name); err == nil {
			t.Errorf("%q passes for a topic", name)
		}
	}
}
