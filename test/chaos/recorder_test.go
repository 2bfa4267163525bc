package chaos

import (
	"strings"
	"testing"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
)

// talk is a processor's connection that the recorder hears.
type talk struct {
	r    *recorder
	pair uint64
}

// says passes a packet, in two parts as a network may cut it.
func (c talk) says(up bool, head byte, body string) {
	p := append([]byte{head, byte(len(body))}, body...)
	hear := c.r.tap("proxy")
	hear(fault.Passed{Pair: c.pair, ToServer: up, Data: p[:1]})
	hear(fault.Passed{Pair: c.pair, ToServer: up, Data: p[1:]})
}

func (c talk) enters() {
	c.says(true, connect<<4, "\x00\x04MQTT\x05\x00\x00\x05\x03\x21\x00\x10\x00\x02p0")
	c.says(false, connack<<4, "\x01\x00\x00")
	c.says(false, suback<<4, "\x00\x01\x00\x02")
}

func (c talk) sent(id string, e ledger.Event) {
	c.says(false, publish<<4|4, "\x00\x02in"+id+"\x00"+string(e.Body))
}

func (c talk) ends() { c.r.tap("proxy")(fault.Passed{Pair: c.pair}) }

// What the last packets of a message say about who lost it.
func TestFates(t *testing.T) {
	b := ledger.Open(ledger.Plan{Events: 5, Keys: 1, Padding: 30})
	var events []ledger.Event
	for e, ok := b.Next(); ok; e, ok = b.Next() {
		b.Acked(e)
		events = append(events, e)
	}
	r := newRecorder()
	r.Begin(b)
	first, second := talk{r, 1}, talk{r, 2}
	first.enters()
	if n := r.listeners(); n != 1 {
		t.Errorf("%d listen, want 1", n)
	}
	first.sent("\x00\x01", events[0])
	first.sent("\x00\x02", events[1])
	first.sent("\x00\x03", events[2])
	first.says(true, pubrec<<4, "\x00\x01")
	first.ends()
	r.Mark("the broker is killed")
	second.enters()
	second.sent("\x00\x01", events[2]) // again, under another id
	second.says(true, pubrel<<4, "\x00\x01")
	b.Arrived(events[4].Body)
	lost := b.Lost()
	for i, want := range []fate{acked, withheld, held, unsent} {
		if got := r.fateOf(lost[i]); got != want {
			t.Errorf("event %d was %q, want %q", i, got, want)
		}
	}
	story := r.Story(lost)
	for _, want := range []string{"k0: 0 was acked", "p0 1 <- PUBLISH id 2 qos 2 again 0", "p0 1 -> PUBREC id 1 code 0x0", "p0 2 <- CONNACK present 1", "the broker is killed", "p0 1 ends", "1 never sent"} {
		if !strings.Contains(story, want) {
			t.Errorf("the story lacks %q:\n%s", want, story)
		}
	}
	if len(lost) != 4 {
		t.Errorf("%d are lost, want 4", len(lost))
	}
}
