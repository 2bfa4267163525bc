package mqtt

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	five "github.com/eclipse/paho.golang/packets"
	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

func TestMessage(t *testing.T) {
	expiry, format := uint32(60), byte(1)
	in := link.Message{Topic: "a/b", Body: []byte("body"), QoS: 1, Again: true, Retain: true, Props: &five.Properties{
		ContentType: "x/y", ResponseTopic: "r", CorrelationData: []byte("\x00\xff"), MessageExpiry: &expiry, PayloadFormat: &format,
		User: []five.User{{Key: "K", Value: "1"}, {Key: "k", Value: "2"}, {Key: "", Value: ""}}}}
	var m queue.Message
	fill(&m, &in)
	ev := m.Event
	if ev.Topic != "a/b" || string(ev.Path) != "a/b" || string(ev.Body) != "body" || string(ev.ContentType) != "x/y" || m.Delivered != 1 {
		t.Errorf("event %+v", ev)
	}
	var got []string
	for k, v := range ev.Headers.All() {
		got = append(got, string(k)+"="+string(v))
	}
	want := []string{"mqtt-qos=1", "mqtt-retain=true", "mqtt-duplicate=true", "mqtt-response-topic=r", "mqtt-correlation-data=\x00\xff",
		"mqtt-message-expiry=60", "mqtt-payload-format=1", "K=1", "k=2", "="}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if string(ev.Header("k")) != "1" || ev.Header("none") != nil {
		t.Errorf("header %q", ev.Header("k"))
	}
}

// What a letter carries back into a message is what brokers take.
func TestProperties(t *testing.T) {
	var p five.Properties
	for _, h := range []letter.Header{{Key: "mqtt-qos", Value: []byte("1")}, {Key: "MQTT-correlation-data", Value: []byte("\xff")}, {Key: "mqtt-response-topic", Value: []byte("r")},
		{Key: "mqtt-payload-format", Value: []byte("1")}, {Key: "a", Value: []byte("\xff\x00\n\ufffeb")}, {Key: "long", Value: []byte(strings.Repeat("ü", 40000))}} {
		property(&p, h)
	}
	if string(p.CorrelationData) != "\xff" || p.PayloadFormat == nil || p.ResponseTopic != "" || len(p.User) != 2 || p.User[0].Value != "\ufffd  \ufffdb" || len(p.User[1].Value) != link.LongestText {
		t.Errorf("properties %+v", p)
	}
}

// silent is a connection that takes all and says nothing.
func silent(t *testing.T, w io.Writer) *link.Conn {
	t.Helper()
	a, b := net.Pipe()
	go func() { _, _ = io.Copy(w, b) }()
	t.Cleanup(func() { _ = a.Close() })
	return link.New(a, link.V5{}, link.Hello{}, time.Minute)
}

// TestDesk settles messages in any order, and wants the acks in the order in
// which they came, each once.
func TestDesk(t *testing.T) {
	for _, anyOrder := range []bool{false, true} {
		var out bytes.Buffer
		done := make(chan struct{})
		a, b := net.Pipe()
		go func() { _, _ = io.Copy(&out, b); close(done) }()
		d := &desk{conn: link.New(a, link.V5{}, link.Hello{}, time.Minute), anyOrder: anyOrder, recorded: func(uint16, uint64) {}}
		var open []uint64
		var settled []uint16
		id := uint16(0)
		for id < 1000 || len(open) > 0 {
			if id < 1000 && rand.IntN(2) == 0 {
				id++
				open = append(open, d.open(&link.Message{ID: id, QoS: byte(1 + id%2)}))
				continue
			}
			if len(open) == 0 {
				continue
			}
			i := rand.IntN(len(open))
			settled = append(settled, uint16(open[i]))
			must(t, d.done(open[i]))
			if d.done(open[i]) == nil {
				t.Fatal("a message was settled twice")
			}
			open = append(open[:i], open[i+1:]...)
		}
		if !d.empty() {
			t.Error("the desk is not empty")
		}
		must(t, d.conn.Tell())
		_ = a.Close()
		<-done
		var got []uint16
		for p := out.Bytes(); len(p) > 0; p = p[4:] {
			n := uint16(p[2])<<8 | uint16(p[3])
			if kind := [...]byte{link.Puback, link.Pubrec}[n%2]; p[1] != 2 || p[0] != kind<<4 {
				t.Fatalf("ack % x", p[:4])
			}
			got = append(got, n)
		}
		want := settled
		if !anyOrder {
			want = nil
			for n := range uint16(1000) {
				want = append(want, n+1)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("any order %v: acks (-want +got):\n%s", anyOrder, diff)
		}
	}
}

// TestMessageDoesNotAllocate is about this trigger's own part: the decoders
// allocate for each packet.
func TestMessageDoesNotAllocate(t *testing.T) {
	c := silent(t, io.Discard)
	d := &desk{conn: c, recorded: func(uint16, uint64) {}}
	in := link.Message{Topic: "a/b", Body: []byte("body"), QoS: 1, Props: &five.Properties{ContentType: "x/y", User: []five.User{{Key: "k", Value: "v"}}}}
	var m queue.Message
	id := uint16(0)
	one := func() {
		id++
		fill(&m, &in)
		in.ID = id
		m.Tag = d.open(&in)
		if m.Event.Header("k") == nil {
			t.Error("no header")
		}
		if err := d.done(m.Tag); err != nil {
			t.Error(err)
		}
	}
	for range 1000 {
		one() // the desk grows to what it needs
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations for each message", n)
	}
}

// FuzzPackets: whatever comes, reading ends with a packet or an error.
func FuzzPackets(f *testing.F) {
	for _, s := range []string{"\x30\x05\x00\x01aXY", "\x32\x08\x00\x01a\x00\x07\x00XY", "\x20\x02\x00\x05", "\x90\x03\x00\x01\x80", "\x30\xff\xff\xff\x7f", "\xe0\x00", "\x40\x02\x00\x01",
		"\x30\x85\x80\x80\x00\x00\x01a\x00", "\xe0\x02\x8e\x00", "\xf0\x00", "\x20\x03\x00\x87\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, v := range []link.Codec{link.V5{}, link.V3{}} {
			c := link.New(&bytesConn{Reader: bytes.NewReader(b)}, v, link.Hello{Most: 100}, 0)
			for {
				p, err := c.Next()
				if err != nil {
					break
				}
				var m queue.Message
				if p.Kind == link.Publish {
					fill(&m, &p.Message)
				}
			}
		}
	})
}

// bytesConn is a connection of which some bytes come.
type bytesConn struct {
	net.Conn
	*bytes.Reader
}

func (c *bytesConn) Read(b []byte) (int, error) { return c.Reader.Read(b) }
