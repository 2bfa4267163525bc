package jetstream

import (
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

const anywhere = "nats://127.0.0.1:1"

func TestWrongConfigurations(t *testing.T) {
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no url":        {`{"stream":"s"}`, function.Trigger{}, "url: is required"},
		"no stream":     {`{}`, function.Trigger{URL: anywhere}, "stream: is required"},
		"declared what": {`{"topics":["a"],"topology":"declare"}`, function.Trigger{URL: anywhere}, "stream: is required"},
		"subjects":      {`{"stream":"s","topology":"declare"}`, function.Trigger{URL: anywhere}, "declared.subjects: is required"},
		"name":          {`{"stream":"a.b"}`, function.Trigger{URL: anywhere}, `stream: is "a.b"`},
		"consumer":      {`{"stream":"a","consumer":"a b"}`, function.Trigger{URL: anywhere}, `consumer: is "a b"`},
		"topic":         {`{"stream":"a","topics":[""]}`, function.Trigger{URL: anywhere}, "topics: "},
		"topology":      {`{"stream":"a","topology":"make"}`, function.Trigger{URL: anywhere}, `topology: is "make"`},
		"storage":       {`{"stream":"a","declared":{"storage":"tape"}}`, function.Trigger{URL: anywhere}, `storage: is "tape"`},
		"replicas":      {`{"stream":"a","declared":{"replicas":9}}`, function.Trigger{URL: anywhere}, "replicas: is 9"},
		"ack wait":      {`{"stream":"a","ackWait":"1ms"}`, function.Trigger{URL: anywhere}, "ackWait: is 1ms"},
		"unknown":       {`{"stream":"a","ack":"1ms"}`, function.Trigger{URL: anywhere}, "ack"},
		"order":         {`{"stream":"a","ordered":true,"maxAckPending":5}`, function.Trigger{URL: anywhere}, "one message at a time"},
		"batches":       {`{"stream":"a","ordered":true}`, function.Trigger{URL: anywhere, Batch: &function.Batch{Mode: "enable"}}, "one message at a time"},
		"exactly once":  {`{"stream":"a"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{Guarantee: "exactlyOnce"}}, "no exactlyOnce"},
		"start":         {`{"stream":"a"}`, function.Trigger{URL: anywhere, Delivery: function.Delivery{StartAt: "somewhere"}}, "startAt"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: c.spec}, []byte(c.attributes))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	for reply, want := range map[string]place{
		"$JS.ACK.S.c.3.17.20.1700000000000000005.9":     {17, 3, 1700000000000000005},
		"$JS.ACK.hub.ACCOUNT.S.c.1.2.3.4.5":             {2, 1, 4},
		"$JS.ACK._.ACCOUNT.S.c.1.18446744.3.4.5.random": {18446744, 1, 4},
		"$JS.ACK.S.c.0.1.1.1.0":                         {1, 1, 1},
	} {
		if got, ok := parsePlace(reply); !ok || got != want {
			t.Errorf("%s: %+v, %v, want %+v", reply, got, ok, want)
		}
	}
	for _, reply := range []string{"", "_INBOX.x", "$JS.ACK.", "$JS.ACK.S.c.1.2", "$JS.ACK.S.c.x.1.1.1.0", "$JS.ACK.S.c.1.99999999999999999999.1.1.0", "$JS.ACK.S.c.-1.1.1.1.0"} {
		if got, ok := parsePlace(reply); ok {
			t.Errorf("%s: %+v", reply, got)
		}
	}
}

func FuzzPlace(f *testing.F) {
	f.Add("$JS.ACK.S.c.3.17.20.1700000000000000005.9")
	f.Fuzz(func(t *testing.T, reply string) {
		if p, ok := parsePlace(reply); ok && (p.delivered < 1 || !strings.HasPrefix(reply, "$JS.ACK.")) {
			t.Errorf("%q: %+v", reply, p)
		}
	})
}
