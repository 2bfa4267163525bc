package nats

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

const anywhere = "nats://127.0.0.1:1"

func TestWrongConfigurations(t *testing.T) {
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no url":       {`{"topic":"a"}`, function.Trigger{}, "url: is required"},
		"scheme":       {`{"topic":"a"}`, function.Trigger{URL: "http://me:hush@host"}, "begins with http://"},
		"no host":      {`{"topic":"a"}`, function.Trigger{URL: "nats://:4222"}, "has no host"},
		"bad url":      {`{"topic":"a"}`, function.Trigger{URL: "nats://me:hu%sh@host"}, "is no url"},
		"no topic":     {`{}`, function.Trigger{URL: anywhere}, "topic: is required"},
		"empty token":  {`{"topic":"a..b"}`, function.Trigger{URL: anywhere}, "nothing before, between or after"},
		"space":        {`{"topics":["a b"]}`, function.Trigger{URL: anywhere}, "it has a space"},
		"greater":      {`{"topics":["a.>.b"]}`, function.Trigger{URL: anywhere}, "> stands at the end"},
		"unknown":      {`{"topic":"a","topc":"b"}`, function.Trigger{URL: anywhere}, "topc"},
		"replies":      {`{"topic":"a","replies":"maybe"}`, function.Trigger{URL: anywhere}, `replies: is "maybe"`},
		"pending":      {`{"topic":"a","pending":0}`, function.Trigger{URL: anywhere}, "pending: is 0"},
		"template":     {`{"topic":"a","queueName":"{{.Nope}}"}`, function.Trigger{URL: anywhere}, ".Namespace, .Name or .Id"},
		"open":         {`{"topic":"a","queueName":"{{.Name"}`, function.Trigger{URL: anywhere}, ".Namespace, .Name or .Id"},
		"group":        {`{"topic":"a","queueName":"a b"}`, function.Trigger{URL: anywhere}, "has a space"},
		"no group":     {`{"topic":"a","queueName":""}`, function.Trigger{URL: anywhere}, "set broadcast"},
		"start":        {`{"topic":"a"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{StartAt: "earliest"}}, "jetstream"},
		"exactly once": {`{"topic":"a"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{Guarantee: "exactlyOnce"}}, "no exactlyOnce"},
		"broker":       {`{"topic":"a"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "broker"}}}, "nowhere to reject"},
		"wild letters": {`{"topic":"a"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "topic", Topic: "a.*"}}}, "wildcard"},
		"two ways in":  {`{"topic":"a","nkeyFile":"x"}`, function.Trigger{URL: anywhere, Username: "me"}, "exclude each other"},
		"key":          {`{"topic":"a","tls":{"keyFile":"x"}}`, function.Trigger{URL: anywhere}, "go together"},
		"ping":         {`{"topic":"a","pingInterval":"0s"}`, function.Trigger{URL: anywhere}, "pingInterval: is 0s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: c.spec}, []byte(c.attributes))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hu") && strings.Contains(err.Error(), "sh@") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// TestQueueGroupIsRendered: the group has the names that its template asks for,
// and not the template, as it had in Nuclio.
func TestQueueGroupIsRendered(t *testing.T) {
	for template, want := range map[string]string{
		"{{.Namespace}}.{{.Name}}-{{.Id}}": "space.orders-in",
		"g-{{ .Name }}":                    "g-orders",
		"plain":                            "plain",
	} {
		got, err := groupName(Config{QueueName: template}, trigger.Settings{Namespace: "space", Function: "orders", Name: "in"})
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", template, got, err, want)
		}
	}
	if got, err := groupName(defaults(), trigger.Settings{Function: "orders", Name: "in"}); got != "orders-in" || err != nil {
		t.Errorf("without a namespace: %q, %v", got, err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	var log bytes.Buffer
	s := trigger.Settings{Name: "in", Log: slog.New(slog.NewTextHandler(&log, nil)), Spec: function.Trigger{
		URL: "nats://ann:hush@127.0.0.1:1", Password: quantity.Secret("husher"), Username: "bob"}}
	trg, err := Factory().New(s, []byte(`{"topic":"a"}`))
	must(t, err)
	r := run(t, trg, nil)
	r.until("the failure", func(x trigger.Report) bool { return strings.Contains(x.Problem, "no server takes connections") })
	r.end()
	if all := log.String() + r.report().Problem; strings.Contains(all, "hush") {
		t.Errorf("a password is shown:\n%s", all)
	}
}
