package rabbitmq

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

const anywhere = "amqp://127.0.0.1:1"

func TestWrongConfigurations(t *testing.T) {
	broker := &function.Destination{Kind: "broker"}
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no url":        {`{"queueName":"q"}`, function.Trigger{}, "url: is required"},
		"scheme":        {`{"queueName":"q"}`, function.Trigger{URL: "http://me:hush@host"}, "neither amqp:// nor amqps://"},
		"port":          {`{"queueName":"q"}`, function.Trigger{URL: "amqp://me:hush@ho st"}, `"ho st" is no host and port`},
		"escape":        {`{"queueName":"q"}`, function.Trigger{URL: "amqp://me:hush%@host"}, "is written %25"},
		"query":         {`{"queueName":"q"}`, function.Trigger{URL: "amqp://me:hush@host/?heartbeat=1"}, "has a query"},
		"no queue":      {`{}`, function.Trigger{URL: anywhere}, "queueName: is required"},
		"topology":      {`{"queueName":"q","topology":"make"}`, function.Trigger{URL: anywhere}, `topology: is "make", expected one of ["declare" "check" "none"]`},
		"unknown":       {`{"queue":"q"}`, function.Trigger{URL: anywhere}, "queue"},
		"prefetch":      {`{"queueName":"q","prefetchCount":70000}`, function.Trigger{URL: anywhere}, "prefetchCount: is 70000, expected 0 to 65535"},
		"heartbeat":     {`{"queueName":"q","heartbeat":"1ms"}`, function.Trigger{URL: anywhere}, "heartbeat: is 1ms, expected at least 1s"},
		"topics":        {`{"queueName":"q","topics":["a"]}`, function.Trigger{URL: anywhere}, "topics: are bound to an exchange: set exchangeName"},
		"quorum":        {`{"queueName":"q","queueType":"quorum","maxPriority":3}`, function.Trigger{URL: anywhere}, "maxPriority: is not for a quorum queue"},
		"transient":     {`{"queueName":"q","queueType":"quorum","durableQueue":false}`, function.Trigger{URL: anywhere}, "always durable"},
		"limit":         {`{"queueName":"q","queueType":"classic","deliveryLimit":3}`, function.Trigger{URL: anywhere}, "deliveryLimit: is only for a quorum queue"},
		"long name":     {`{"queueName":"` + strings.Repeat("q", 256) + `"}`, function.Trigger{URL: anywhere}, "has 256 bytes"},
		"both":          {`{"queueName":"q","deadLetterQueue":"d","deadLetterExchange":""}`, function.Trigger{URL: anywhere}, "exclude each other"},
		"nowhere":       {`{"queueName":"q","topology":"declare"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{OnFailure: broker}}, "set deadLetterQueue or deadLetterExchange"},
		"start":         {`{"queueName":"q"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{StartAt: "latest"}}, "keeps nothing that was read"},
		"tls":           {`{"queueName":"q","tls":{"caFile":"x"}}`, function.Trigger{URL: anywhere}, "only for an url that begins with amqps://"},
		"half a key":    {`{"queueName":"q","tls":{"keyFile":"x"}}`, function.Trigger{URL: "amqps://host"}, "certFile and keyFile go together"},
		"nested wrong":  {`{"queueName":"q","tls":{"ca":"x"}}`, function.Trigger{URL: "amqps://host"}, "tls.ca"},
		"wrong type":    {`{"queueName":7}`, function.Trigger{URL: anywhere}, "queueName"},
		"exactly once":  {`{"queueName":"q"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{Guarantee: "exactlyOnce"}}, "exactlyOnce"},
		"letter target": {`{"queueName":"q"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "topic", Topic: strings.Repeat("k", 300)}}}, "at most 255 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Factory().New(trigger.Settings{Name: "in", Spec: c.spec}, json.RawMessage(c.attributes))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// TestNuclioConfiguration reads a trigger as Nuclio's specs have it.
func TestNuclioConfiguration(t *testing.T) {
	var log bytes.Buffer
	spec := function.Trigger{Kind: NuclioKind, URL: "amqp://user:hush@127.0.0.1:1"}
	s := trigger.Settings{Name: "in", Function: "f", Spec: spec, Log: slog.New(slog.NewTextHandler(&log, nil))}
	var cfg Config
	raw := `{"exchangeName":"x","topics":["a","b"],"reconnectDuration":"5m","reconnectInterval":"15s","prefetchCount":9,"durableQueue":true}`
	if err := json.Unmarshal([]byte(raw), &cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := Factory().New(s, json.RawMessage(raw)); err != nil {
		t.Fatal(err)
	}
	src, err := newSource(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := src.cfg
	if c.Topology != Declare || c.QueueName != "myelin-f-in" || *c.DurableExchange || !*c.DurableQueue || src.dialer.To.Password != "hush" {
		t.Errorf("configuration %+v", c)
	}
	if strings.Contains(log.String(), "hush") || !strings.Contains(log.String(), "the url has a password") {
		t.Errorf("log %s", log.String())
	}
	s.Spec.Username, s.Spec.Password = "other", quantity.Secret("word")
	if src, err = newSource(s, cfg); err != nil || src.dialer.To.User != "other" || src.dialer.To.Password != "word" {
		t.Errorf("the user is %q, %v", src.dialer.To.User, err)
	}
}
