package sqs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

// TestMistakes: what cannot work is told before anything is opened, and no secret
// with it.
func TestMistakes(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	for name, c := range map[string]struct{ url, secret, startAt, attributes, says string }{
		"no queue":      {"http://KEY@h", "geheim", "", `{}`, "queue: is required"},
		"name":          {"http://KEY@h", "geheim", "", `{"queue": "a/b"}`, `"a/b", expected the name of a queue`},
		"unknown field": {"http://KEY@h", "geheim", "", `{"queue": "a", "visibilty": "30s"}`, "visibility"},
		"wait":          {"http://KEY@h", "geheim", "", `{"queue": "a", "wait": "21s"}`, "wait"},
		"half seconds":  {"http://KEY@h", "geheim", "", `{"queue": "a", "visibility": "2500ms"}`, "whole seconds"},
		"polls":         {"http://KEY@h", "geheim", "", `{"queue": "a", "polls": 99}`, "1 to 32"},
		"owner":         {"http://KEY@h", "geheim", "", `{"queue": "a", "owner": "me"}`, "12 digits"},
		"no secret":     {"http://KEY@h", "", "", `{"queue": "a"}`, "secret go together"},
		"no key":        {"http://h", "geheim", "", `{"queue": "a"}`, "secret go together"},
		"url":           {"ftp://KEY@h", "geheim", "", `{"queue": "a"}`, "https://KEY@host"},
		"password":      {"https://KEY:geheim@h", "geheim", "", `{"queue": "a"}`, "has a password"},
		"path":          {"https://KEY@h/1234/q", "geheim", "", `{"queue": "a"}`, "https://KEY@host"},
		"no region":     {"", "", "", `{"queue": "a"}`, "region"},
		"region":        {"", "", "", `{"queue": "a", "region": "a.b/c"}`, "eu-central-1"},
		"tls":           {"http://KEY@h", "geheim", "", `{"queue": "a", "tls": {"serverName": "x"}}`, "https://"},
		"startAt":       {"http://KEY@h", "geheim", "latest", `{"queue": "a"}`, "startAt"},
	} {
		s := trigger.Settings{Name: "in", Spec: function.Trigger{URL: c.url, Secret: quantity.Secret(c.secret), Delivery: function.Delivery{StartAt: c.startAt}}}
		_, err := Factory().New(s, json.RawMessage(c.attributes))
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v, expected %q", name, err, c.says)
		}
	}
	if _, err := Factory().New(trigger.Settings{Name: "in"}, json.RawMessage(`{"queue": "a.fifo", "region": "eu-central-1"}`)); err != nil {
		t.Error(err)
	}
}

// FuzzMessage reads what a service may answer.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"MessageId": "1", "Body": "b", "Attributes": {"SentTimestamp": "1", "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8"}}`))
	f.Add([]byte(`{"MessageAttributes": {"a": {"DataType": "Binary", "BinaryValue": "AA=="}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r received
		if json.Unmarshal(text, &r) != nil {
			return
		}
		ev := r.event("q")
		if string(ev.Body) != r.Body {
			t.Errorf("the body is %q", ev.Body)
		}
		if p := traceparent(r.Attributes["AWSTraceHeader"]); p != "" && len(p) != 55 {
			t.Errorf("traceparent %q", p)
		}
	})
}
