package examples_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/nats-io/nats.go"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/kafka"
	"github.com/myelin-run/myelin/trigger/mqtt"
	natscore "github.com/myelin-run/myelin/trigger/nats"
	"github.com/myelin-run/myelin/trigger/rabbitmq"
)

func TestCloudEventsExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "cloudevents-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + serve(t, a)
	const order = `{"items": [{"count": 2, "price": 21}]}`
	for _, c := range []struct {
		headers []string
		body    string
		want    string
	}{
		{[]string{"Content-Type", "application/cloudevents+json"}, `{"specversion": "1.0", "id": "1", "source": "/tea", "type": "shop.order", "data": ` + order + `}`, `200 shop.total {"total": 42, "shop": "/tea"}`},
		{[]string{"ce-specversion", "1.0", "ce-id", "2", "ce-source", "/tea", "ce-type", "shop.order"}, order, `200 shop.total {"total": 42, "shop": "/tea"}`},
		{[]string{"ce-specversion", "1.0", "ce-id", "3", "ce-source", "/tea", "ce-type", "other"}, order, "422  no use for other"},
		{nil, "{}", "400  CloudEvent: specversion: is required"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.headers); i += 2 {
			req.Header.Set(c.headers[i], c.headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("Ce-Type"), strings.TrimSpace(string(text))); got != c.want {
			t.Errorf("%s: %s, want %s", c.headers, got, c.want)
		}
	}
}

// A CloudEvent is the same to a function whichever broker brings it, each in the
// form that its protocol's binding says.
func TestCloudEventsOfBrokers(t *testing.T) {
	sends := map[string]func(){}
	spec := "metadata: {name: f}\nspec:\n  runtime: golang\n  disableDefaultHTTPTrigger: true\n  triggers:\n"
	add := func(kind, settings string, send func()) {
		spec += fmt.Sprintf("    %s: {kind: %s, cloudEvents: enable, %s}\n", kind, kind, settings)
		sends[kind] = send
	}
	k, n, m, r := servers.Kafka(t), servers.NATS(t), servers.Mosquitto(t), servers.RabbitMQ(t)
	add("kafka", "url: "+k.Addr+", startAt: earliest, attributes: {topics: [orders], consumerGroup: orders}", kafkaSender(t, k.Addr))
	add("nats", "url: nats://"+n.Addr+", attributes: {topic: orders}", natsSender(t, n.Addr))
	add("mqtt", "url: mqtt://"+m.Addr+", attributes: {subscriptions: [{topic: orders, qos: 1}]}", mqttSender(t, m.Addr))
	add("rabbitmq", "url: amqp://"+r.Addr+", attributes: {topology: declare, queueName: orders}", rabbitSender(t, r.Addr))
	l, err := function.Parse("function.yaml", []byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	function.Defaults(&l.Config)
	got := make(chan string, 1000)
	f := native.Of(func(_ *myelin.Context, ev *myelin.Event) (any, error) {
		got <- fmt.Sprintf("%s %s %s %s %s %s", ev.Source.Kind, ev.ID, ev.Header("ce-type"), ev.Header("ce-subject"), ev.ContentType, ev.Body)
		return nil, nil
	}, nil)
	p, err := processor.New(processor.Config{Function: l.Config, Dir: t.TempDir(), Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}}, processor.Parts{
		Triggers: trigger.NewSet(kafka.Factory(), natscore.Factory(), mqtt.Factory(), rabbitmq.Factory()), Runtimes: runtime.NewSet(native.Factory(f)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	deadline := time.After(2 * time.Minute)
	again := time.NewTicker(300 * time.Millisecond) // until the subscriptions are there
	defer again.Stop()
	for len(sends) > 0 {
		select {
		case text := <-got:
			kind, rest, _ := strings.Cut(text, " ")
			if rest != "id-1 shop.order größer text/plain tea" {
				t.Fatalf("%s: %s", kind, rest)
			}
			delete(sends, kind)
		case <-again.C:
			for _, send := range sends {
				send()
			}
		case <-deadline:
			t.Fatalf("nothing from %d brokers", len(sends))
		}
	}
}

// attributes of the event that is sent.
var attributes = map[string]string{"specversion": "1.0", "id": "id-1", "source": "/shop", "type": "shop.order", "subject": "größer"}

func kafkaSender(t *testing.T, addr string) func() {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	if _, err := kadm.NewClient(cl).CreateTopics(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Topic: "orders", Value: []byte("tea"), Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("text/plain")}}}
	for name, v := range attributes {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ce_" + name, Value: []byte(v)})
	}
	return func() {
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Error(err)
		}
	}
}

func natsSender(t *testing.T, addr string) func() {
	t.Helper()
	nc, err := nats.Connect("nats://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	m := &nats.Msg{Subject: "orders", Data: []byte("tea"), Header: nats.Header{"content-type": {"text/plain"}}}
	for name, v := range attributes {
		m.Header["ce-"+name] = []string{v}
	}
	m.Header["ce-subject"] = []string{"gr%C3%B6%C3%9Fer"}
	return func() {
		if err := nc.PublishMsg(m); err != nil {
			t.Error(err)
		}
	}
}

func mqttSender(t *testing.T, addr string) func() {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(nc)})
	if _, err := c.Connect(t.Context(), &paho.Connect{ClientID: "sends", CleanStart: true, KeepAlive: 30}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) })
	m := &paho.Publish{Topic: "orders", QoS: 1, Payload: []byte("tea"), Properties: &paho.PublishProperties{ContentType: "text/plain"}}
	for name, v := range attributes {
		m.Properties.User.Add(name, v)
	}
	return func() {
		if _, err := c.Publish(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
}

func rabbitSender(t *testing.T, addr string) func() {
	t.Helper()
	conn, err := amqp.Dial("amqp://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	m := amqp.Publishing{ContentType: "text/plain", Body: []byte("tea"), Headers: amqp.Table{}}
	for name, v := range attributes {
		m.Headers["cloudEvents:"+name] = v
	}
	return func() {
		if err := ch.Publish("", "orders", false, false, m); err != nil { // to nobody until the queue is there
			t.Error(err)
		}
	}
}
