package live

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func opened(t *testing.T, h *Hub) *Client {
	t.Helper()
	c, err := h.Open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bodies(t *testing.T, c *Client) string {
	t.Helper()
	ms, err := c.Take()
	var out []string
	for _, m := range ms {
		out = append(out, string(m.Body))
	}
	if err != nil {
		out = append(out, err.Error())
	}
	return strings.Join(out, " ")
}

// A client hears what is for it and for its channels, until it leaves them.
func TestChannels(t *testing.T) {
	h := New(3, 1000)
	a, b := opened(t, h), opened(t, h)
	for _, c := range []*Client{a, b} {
		if err := c.Subscribe("both"); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Subscribe("own"); err != nil {
		t.Fatal(err)
	}
	for what, both := range map[string][2]int{
		"both": {h.Publish("both", &Message{Body: []byte("1")}), 2}, "none": {h.Publish("none", &Message{}), 0},
		"a": {h.Send(a.ID, &Message{Body: []byte("2")}), 1}, "nobody": {h.Send("x", &Message{}), 0},
	} {
		if both[0] != both[1] {
			t.Errorf("%s: %d heard, want %d", what, both[0], both[1])
		}
	}
	if got := bodies(t, b); got != "1" {
		t.Errorf("b heard %q", got)
	}
	a.Unsubscribe("both")
	b.End(ErrGone)
	if n := h.Publish("both", &Message{}); n != 0 {
		t.Errorf("%d are left in the channel", n)
	}
	if err := b.Subscribe("both"); !errors.Is(err, ErrGone) {
		t.Errorf("a client that has gone subscribes: %v", err)
	}
	for _, name := range []string{"", "a b", "a,b", strings.Repeat("x", 201), "\n"} {
		if err := a.Subscribe(name); !errors.Is(err, ErrChannel) {
			t.Errorf("channel %q: %v", name, err)
		}
	}
	for i := range mostChannels - 1 {
		if err := a.Subscribe(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Subscribe("one too many"); !errors.Is(err, ErrChannel) {
		t.Errorf("a hundred and one channels: %v", err)
	}
	a.End(ErrGone)
	if len(h.clients)+len(h.channels) != 0 {
		t.Errorf("%d clients and %d channels are left", len(h.clients), len(h.channels))
	}
}

// There are as many clients as there may be, and none once the hub ends.
func TestRoom(t *testing.T) {
	h := New(1, 1000)
	a := opened(t, h)
	if _, err := h.Open(); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	a.End(ErrGone)
	opened(t, h)
	h.End()
	h.End()
	<-h.Ending()
	if _, err := h.Open(); !errors.Is(err, ErrEnding) {
		t.Errorf("after the end: %v", err)
	}
}

// A client for which too much waits is ended, and the message that it could not
// have is all that is lost of what came before.
func TestSlow(t *testing.T) {
	h := New(1, 200)
	c := opened(t, h)
	m := &Message{Body: make([]byte, 50)}
	if !c.Put(m) || c.Put(m) {
		t.Error("two messages of 50 bytes in a queue of 200 with what they cost besides")
	}
	<-c.Gone()
	if ms, err := c.Take(); len(ms) != 1 || !errors.Is(err, ErrSlow) {
		t.Errorf("%d messages, %v", len(ms), err)
	}
	if large := New(1, 10); !opened(t, large).Put(&Message{Body: make([]byte, 1000)}) {
		t.Error("one message, however large, was not taken")
	}
}

// Clients come and go while others publish.
func TestTogether(t *testing.T) {
	h := New(100, 1<<20)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				c, err := h.Open()
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.Subscribe("all"); err != nil {
					t.Error(err)
				}
				h.Publish("all", &Message{Body: []byte{byte(i)}})
				if _, err := c.Take(); err != nil {
					t.Error(err)
				}
				c.End(ErrGone)
			}
		})
	}
	wg.Wait()
	if len(h.clients)+len(h.channels) != 0 {
		t.Errorf("%d clients and %d channels are left", len(h.clients), len(h.channels))
	}
}
