package mqtt

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

func TestWrongConfigurations(t *testing.T) {
	const url, subs = "mqtt://127.0.0.1:1", `{"subscriptions":[{"topic":"a"}]`
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no url":          {subs + `}`, function.Trigger{}, "url: is required"},
		"scheme":          {subs + `}`, function.Trigger{URL: "http://me:hush@host"}, "neither mqtt:// nor mqtts://"},
		"websocket":       {subs + `}`, function.Trigger{URL: "ws://host"}, "WebSockets is not supported"},
		"no url at all":   {subs + `}`, function.Trigger{URL: "mqtt://me:hush%@host"}, "url: is none"},
		"path":            {subs + `}`, function.Trigger{URL: "mqtt://me:hush@host/topic"}, "more than a host and a port"},
		"password only":   {subs + `}`, function.Trigger{URL: url, Password: "hush"}, "password: needs a username"},
		"nothing":         {`{}`, function.Trigger{URL: url}, "subscriptions: is required"},
		"empty topic":     {`{"subscriptions":[{"topic":""}]}`, function.Trigger{URL: url}, "subscriptions[0].topic: is empty"},
		"hash":            {`{"subscriptions":[{"topic":"a/#/b"}]}`, function.Trigger{URL: url}, "# stands alone, at the end"},
		"plus":            {`{"subscriptions":[{"topic":"a/b+"}]}`, function.Trigger{URL: url}, "+ stands alone"},
		"share":           {`{"subscriptions":[{"topic":"$share/g/a"}]}`, function.Trigger{URL: url}, "attribute group"},
		"twice":           {`{"subscriptions":[{"topic":"a"},{"topic":"a"}]}`, function.Trigger{URL: url}, `"a" is there twice`},
		"qos":             {`{"subscriptions":[{"topic":"a","qos":3}]}`, function.Trigger{URL: url}, "subscriptions[0].qos: is 3"},
		"unknown":         {`{"topics":["a"]}`, function.Trigger{URL: url}, "topics"},
		"version":         {subs + `,"version":4}`, function.Trigger{URL: url}, "version: is 4, expected 5, or 3 for 3.1.1"},
		"two versions":    {subs + `,"version":5,"protocolVersion":4}`, function.Trigger{URL: url}, "say different things"},
		"group":           {subs + `,"group":"a/b"}`, function.Trigger{URL: url}, "group: is"},
		"acks":            {subs + `,"acks":"no"}`, function.Trigger{URL: url}, "acks: is"},
		"unconfirmed":     {subs + `,"publishQoS":3}`, function.Trigger{URL: url}, "publishQoS: is 3"},
		"size":            {subs + `,"maxMessageSize":"1G"}`, function.Trigger{URL: url}, "maxMessageSize: is"},
		"keep alive":      {subs + `,"keepAlive":"1ms"}`, function.Trigger{URL: url}, "keepAlive: is 1ms"},
		"tls":             {subs + `,"tls":{"caFile":"f"}}`, function.Trigger{URL: url}, "only for an url that begins with mqtts://"},
		"half a key":      {subs + `,"tls":{"keyFile":"k"}}`, function.Trigger{URL: "mqtts://h"}, "certFile and keyFile go together"},
		"start":           {subs + `}`, function.Trigger{URL: url, Delivery: function.Delivery{StartAt: "latest"}}, "keeps nothing that was read"},
		"broker":          {subs + `}`, function.Trigger{URL: url, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "broker"}}}, "nowhere to reject to"},
		"letters":         {subs + `}`, function.Trigger{URL: url, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "topic", Topic: "a/#"}}}, "has wildcards"},
		"letters nowhere": {subs + `}`, function.Trigger{URL: url, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "topic"}}}, "topic: is empty"},
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

// What Nuclio's specs say is understood.
func TestNuclio(t *testing.T) {
	spec := function.Trigger{URL: "tcp://broker:1883", Username: "u", Password: quantity.Secret("p")}
	raw := `{"subscriptions":[{"topic":"house/living-room/temperature","qos":0},{"topic":"weather/humidity","qos":1}],"clientID":"c","protocolVersion":4}`
	if _, err := Factory().New(trigger.Settings{Name: "in", Spec: spec}, json.RawMessage(raw)); err != nil {
		t.Error(err)
	}
	if c := (Config{ProtocolVersion: 4}); c.version() != 4 {
		t.Errorf("version %d", c.version())
	}
}

func TestIdentity(t *testing.T) {
	s := trigger.Settings{Namespace: "space", Function: "f", Name: "in", Replica: "r7"}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "myelin-space-f-in"},
		{Config{ClientID: "mine"}, "mine"},
		{Config{Group: "g"}, "myelin-space-f-in-r7"},
		{Config{Group: "g", ClientID: "mine"}, "mine-r7"},
	} {
		if got := identity(s, c.cfg); got != c.want {
			t.Errorf("%+v: %q, want %q", c.cfg, got, c.want)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "a/b", false}, {"a/b", "a", false},
		{"#", "a/b", true}, {"a/#", "a", true}, {"a/#", "a/b/c", true}, {"a/#", "ab", false},
		{"+", "a", true}, {"+", "a/b", false}, {"+/b", "a/b", true}, {"a/+", "a", false}, {"a/+", "a/", true},
		{"a/+/c", "a/b/c", true}, {"a/+/#", "a/b", true}, {"/+", "/a", true}, {"+/+", "/a", true},
		{"#", "$SYS/x", false}, {"+/x", "$SYS/x", false}, {"$SYS/#", "$SYS/x", true},
	} {
		if got := matches(c.filter, c.topic); got != c.want {
			t.Errorf("%q selects %q: %v", c.filter, c.topic, got)
		}
	}
}
