package chaos

import (
	"errors"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

// mqtt is an MQTT broker behind a proxy; its producer has another one, which
// spoils nothing, so that only the broker's deaths cost it confirmations. Both
// tell the recorder. The processors share a topic as a group, or have one each.
type mqtt struct {
	*recorder
	t            *testing.T
	server       *servers.Server
	proxy, clear *fault.Proxy
	version, qos int
	group        bool

	mu     sync.Mutex
	client paho.Client
}

func newMQTT(t *testing.T, s *servers.Server, m *mqtt) *mqtt {
	m.t, m.server, m.recorder = t, s, newRecorder()
	m.proxy, m.clear = m.listen("proxy"), m.listen("clear")
	t.Cleanup(func() {
		if m.client != nil {
			m.client.Disconnect(0)
		}
	})
	return m
}

func (m *mqtt) listen(name string) *fault.Proxy {
	p, err := fault.Listen(m.server.Addr)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = p.Close() })
	p.Tap(m.tap(name))
	return p
}

// Trigger has patience: Artemis 2.55 may delete what a session or a group has not
// read yet if a client is gone before it was told that it has subscribed.
func (m *mqtt) Trigger(processor string) string {
	topic, more := "in", "group: g"
	if !m.group {
		topic, more = "in/"+processor, "clientID: "+processor
	}
	return fmt.Sprintf(`{kind: mqtt, url: "mqtt://%s", numWorkers: 4, retry: {attempts: -1, backoff: {initial: 50ms, max: 1s}},
        attributes: {subscriptions: [{topic: %s, qos: %d}], %s, version: %d, keepAlive: 5s, connectTimeout: 10s, timeout: 10s}}`,
		m.proxy.Addr(), topic, m.qos, more, m.version)
}

// connected is the producer's connection, a new one if the last was lost.
func (m *mqtt) connected() (paho.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if m.client != nil && m.client.IsConnectionOpen() {
			return m.client, nil
		}
		c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + m.clear.Addr()).SetClientID("producer").SetAutoReconnect(false).SetConnectTimeout(2 * time.Second))
		if t := c.Connect(); t.WaitTimeout(5*time.Second) && t.Error() == nil {
			m.client = c
		}
	}
	return nil, errors.New("the broker is not there")
}

func (m *mqtt) Send(e ledger.Event, done func(error)) {
	go func() {
		c, err := m.connected()
		if err != nil {
			done(err)
			return
		}
		topic := "in"
		if !m.group {
			topic = fmt.Sprintf("in/p%d", e.Number%2)
		}
		t := c.Publish(topic, byte(m.qos), false, e.Body)
		if !t.WaitTimeout(10 * time.Second) {
			done(errors.New("not confirmed"))
			return
		}
		done(t.Error())
	}()
}

func (m *mqtt) Broker() *servers.Server { return m.server }
func (m *mqtt) Proxy() *fault.Proxy     { return m.proxy }
func (m *mqtt) Silence() time.Duration  { return 8 * time.Second }

// mosquitto saves what it has confirmed a moment later, and who is in a group
// never: docs/triggers/mqtt.md has what that costs.
type mosquitto struct{ *mqtt }

// Forgets implements [Forgetter].
func (mosquitto) Forgets() {}

// At least once: none lost. Each processor has a session of its own.
func TestMQTT(t *testing.T) {
	Survive(t, mosquitto{newMQTT(t, servers.Mosquitto(t), &mqtt{version: 3, qos: 1})}, Promise{Unordered: true})
}

func TestMQTT5(t *testing.T) {
	Survive(t, mosquitto{newMQTT(t, servers.Mosquitto(t), &mqtt{version: 5, qos: 1})}, Promise{Unordered: true})
}

// QoS 2 is no more than that, with workers and processors that are killed.
func TestMQTTQoS2(t *testing.T) {
	Survive(t, mosquitto{newMQTT(t, servers.Mosquitto(t), &mqtt{version: 3, qos: 2})}, Promise{Unordered: true})
}

// Gathered implements [Gatherer]: Artemis deletes the queue of a group if the only
// member that is connected leaves it, though others have only lost their
// connection.
func (m *mqtt) Gathered() bool { return !m.group || m.listeners() == 2 }

// spared is a broker that nobody touches.
type spared struct{ *mqtt }

// SparesBroker implements [Sparer].
func (spared) SparesBroker() {}

// groupsFrom is how many events it takes to kill a group's broker too: none at
// hand is known to keep what it confirmed for one (docs/triggers/mqtt.md), and
// nine of nine runs that lost nothing are not enough for a test that must not fail
// by chance.
const groupsFrom = 50_000

var (
	version = flag.Int("version", 5, "of MQTT with which TestMQTTGroup runs")
	qos     = flag.Int("qos", 1, "of the messages of TestMQTTGroup")
	alone   = flag.Bool("alone", false, "the processors of TestMQTTGroup have a session each, and no group")
	kill    = flag.Bool("kill", false, "the broker of TestMQTTGroup is killed though the events are few")
)

// A group: whatever happens to its members and to the network, none is lost.
func TestMQTTGroup(t *testing.T) {
	var s System = newMQTT(t, servers.Artemis(t), &mqtt{version: *version, qos: *qos, group: !*alone})
	if *events < groupsFrom && !*kill {
		s = spared{s.(*mqtt)}
	}
	Survive(t, s, Promise{Unordered: true})
}
