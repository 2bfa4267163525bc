package redis

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

func TestWrongConfigurations(t *testing.T) {
	const url = "redis://127.0.0.1:1"
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no url":        {`{"streams":["s"]}`, function.Trigger{}, "url: is required"},
		"scheme":        {`{"streams":["s"]}`, function.Trigger{URL: "http://me:hush@host"}, "neither redis:// nor rediss://"},
		"no url at all": {`{"streams":["s"]}`, function.Trigger{URL: "redis://me:hush%@host"}, "url: is none"},
		"query":         {`{"streams":["s"]}`, function.Trigger{URL: "redis://me:hush@host/?db=1"}, "has a query"},
		"database":      {`{"streams":["s"]}`, function.Trigger{URL: "redis://host/one"}, `the database "one" is no number`},
		"no streams":    {`{}`, function.Trigger{URL: url}, "streams: is required"},
		"twice":         {`{"streams":["s","s"]}`, function.Trigger{URL: url}, `streams[1]: "s" is there twice`},
		"empty":         {`{"streams":[""]}`, function.Trigger{URL: url}, "streams[0]: is empty"},
		"unknown":       {`{"stream":"s"}`, function.Trigger{URL: url}, "stream"},
		"idle":          {`{"streams":["s"],"minIdle":"1ms"}`, function.Trigger{URL: url}, "minIdle: is 1ms, expected at least 100ms"},
		"negative":      {`{"streams":["s"],"db":-1}`, function.Trigger{URL: url}, "db: is -1"},
		"tls":           {`{"streams":["s"],"tls":{}}`, function.Trigger{URL: url}, "only for an url that begins with rediss://"},
		"half a key":    {`{"streams":["s"],"tls":{"keyFile":"k"}}`, function.Trigger{URL: "rediss://h"}, "certFile and keyFile go together"},
		"start":         {`{"streams":["s"]}`, function.Trigger{URL: url, Delivery: function.Delivery{StartAt: "soon"}}, "startAt"},
		"broker":        {`{"streams":["s"]}`, function.Trigger{URL: url, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "broker"}}}, "nowhere to reject to"},
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

func TestPlaces(t *testing.T) {
	for at, want := range map[string]string{
		"": "0", "earliest": "0", "latest": "$", "1700000000000": "1699999999999-18446744073709551615",
		"2026-03-01T12:00:00Z": "1772366399999-18446744073709551615", "0": "0",
	} {
		s, err := trigger.ParseStart(at)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := place(s); err != nil || got != want {
			t.Errorf("%q: behind %q, %v, want %q", at, got, err, want)
		}
	}
}
