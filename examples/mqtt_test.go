package examples_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/mqtt"
)

// Who asks is answered, and what is no number is in another topic.
func TestMQTTExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "mqtt-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	addr := servers.Mosquitto(t).Addr
	at := a.Config.Spec.Triggers["temperatures"]
	at.URL = "mqtt://" + addr
	a.Config.Spec.Triggers["temperatures"] = at
	a.Config.Spec.DisableDefaultHTTPTrigger = true
	function.Defaults(&a.Config)
	p, err := processor.New(processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}},
		processor.Parts{Triggers: trigger.NewSet(mqtt.Factory()), Runtimes: runtime.NewSet(python.Factory())})
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
	got := converted(t, addr)
	if got["answers/me"] != "68.0" || got["failed/celsius"] != "warm" {
		t.Errorf("topics have %q", got)
	}
}

// converted asks until there is an answer, for nobody keeps what comes before
// the function has subscribed.
func converted(t *testing.T, addr string) map[string]string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan *paho.Publish, 1000)
	c := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(nc), OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) { came <- p.Packet; return true, nil },
	}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Connect(ctx, &paho.Connect{ClientID: "asks", CleanStart: true, KeepAlive: 30}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Disconnect(&paho.Disconnect{}) }()
	if _, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "answers/me"}, {Topic: "failed/celsius"}}}); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	got := map[string]string{}
	for len(got) < 2 {
		select {
		case p := <-came:
			got[p.Topic] = string(p.Payload)
		case <-again.C:
			for topic, body := range map[string]string{"answers/me": "20", "": "warm"} {
				m := &paho.Publish{Topic: "celsius/kitchen", QoS: 1, Payload: []byte(body)}
				if topic != "" {
					m.Properties = &paho.PublishProperties{ResponseTopic: topic}
				}
				if _, err := c.Publish(ctx, m); err != nil {
					t.Fatal(err)
				}
			}
		case <-ctx.Done():
			t.Fatalf("topics have %q", got)
		}
	}
	return got
}
