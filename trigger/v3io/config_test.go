package v3io

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

const whole = `"containerName": "c", "streamPath": "s", "consumerGroup": "g"`

// TestWrongConfigurations: what cannot be kept to is told, and no key with it.
func TestWrongConfigurations(t *testing.T) {
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no key":        {`{` + whole + `}`, function.Trigger{}, "password: is required"},
		"generated":     {`{` + whole + `}`, function.Trigger{Password: "$generate"}, "password: is $generate"},
		"two lines":     {`{` + whole + `}`, function.Trigger{Password: "hush\nhush"}, "has a line break"},
		"scheme":        {`{` + whole + `}`, function.Trigger{Password: "hush", URL: "v3io://h:1"}, "neither http:// nor https://"},
		"no url":        {`{` + whole + `}`, function.Trigger{Password: "hush", URL: "http://me:hush%@h"}, "url: is none"},
		"no host":       {`{` + whole + `}`, function.Trigger{Password: "hush", URL: "http:///c/s@g"}, "names no host"},
		"user":          {`{` + whole + `}`, function.Trigger{Password: "hush", URL: "http://me:hush@h"}, "url: has a user"},
		"query":         {`{` + whole + `}`, function.Trigger{Password: "hush", URL: "http://h?key=hush"}, "url: has a query"},
		"no container":  {`{"streamPath": "s", "consumerGroup": "g"}`, function.Trigger{Password: "hush"}, "containerName: is required"},
		"no stream":     {`{"containerName": "c", "consumerGroup": "g"}`, function.Trigger{Password: "hush"}, "streamPath: is required"},
		"no group":      {`{"containerName": "c", "streamPath": "s"}`, function.Trigger{Password: "hush"}, "consumerGroup: is required"},
		"up":            {`{"containerName": "c", "streamPath": "a/../../b", "consumerGroup": "g"}`, function.Trigger{Password: "hush"}, `streamPath: is "a/../../b": ".." is no name`},
		"twice a slash": {`{"containerName": "c", "streamPath": "a//b", "consumerGroup": "g"}`, function.Trigger{Password: "hush"}, "is no name"},
		"control":       {`{"containerName": "c", "streamPath": "a\u0000b", "consumerGroup": "g"}`, function.Trigger{Password: "hush"}, "control character"},
		"long":          {`{"containerName": "c", "streamPath": "s", "consumerGroup": "` + strings.Repeat("g", 1025) + `"}`, function.Trigger{Password: "hush"}, "has 1025 bytes"},
		"group":         {`{"containerName": "c", "streamPath": "s", "consumerGroup": "g/h"}`, function.Trigger{Password: "hush"}, "a name without a slash"},
		"no at":         {`{}`, function.Trigger{Password: "hush", URL: "http://h/c/s"}, "no container/stream/path@group"},
		"both":          {`{` + whole + `}`, function.Trigger{Password: "hush", URL: "http://h/c/s@g"}, "one or the other"},
		"seek":          {`{` + whole + `, "seekTo": "middle"}`, function.Trigger{Password: "hush"}, `seekTo: is "middle", expected latest or earliest`},
		"assignment":    {`{` + whole + `, "assignment": "me"}`, function.Trigger{Password: "hush"}, `assignment: is "me"`},
		"batch":         {`{` + whole + `, "readBatchSize": 0}`, function.Trigger{Password: "hush"}, "readBatchSize: is 0"},
		"negative":      {`{` + whole + `, "pollingIntervalMs": -1}`, function.Trigger{Password: "hush"}, "pollingIntervalMs: is -1"},
		"workers":       {`{` + whole + `, "numTransportWorkers": 100000}`, function.Trigger{Password: "hush"}, "numTransportWorkers: is 100000"},
		"timeout":       {`{` + whole + `, "timeout": "1ms"}`, function.Trigger{Password: "hush"}, "timeout: is 1ms"},
		"tls":           {`{` + whole + `, "tls": {}}`, function.Trigger{Password: "hush"}, "tls: is only for"},
		"half a key":    {`{` + whole + `, "tls": {"keyFile": "k"}}`, function.Trigger{Password: "hush", URL: "https://h"}, "certFile and keyFile go together"},
		"unknown":       {`{` + whole + `, "stream": "s"}`, function.Trigger{Password: "hush"}, "stream"},
		"start":         {`{` + whole + `}`, function.Trigger{Password: "hush", Delivery: function.Delivery{StartAt: "soon"}}, "startAt"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Factory().New(trigger.Settings{Name: "in", Spec: c.spec}, json.RawMessage(c.attributes))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

// TestNuclioSpec: all that Nuclio's trigger has is taken, also where a url says it.
func TestNuclioSpec(t *testing.T) {
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       Config
		host       string
	}{
		"attributes": {`{` + whole + `, "numTransportWorkers": 4, "workerAllocationMode": "static", "seekTo": "earliest", "readBatchSize": 32, "sessionTimeout": "10s",
			"heartbeatInterval": "3s", "sequenceNumberCommitInterval": "1s", "sequenceNumberShardWaitInterval": "1s", "recordBatchSizeChan": 10, "ackWindowSize": 8,
			"logLevel": 3, "pollingIntervalMs": 500, "numContainerWorkers": 8}`,
			function.Trigger{Password: key}, Config{ContainerName: "c", StreamPath: "s", ConsumerGroup: "g", SeekTo: seekEarliest}, "v3io-webapi:8081"},
		"url": {`{}`, function.Trigger{Password: key, Username: "ignored", URL: "https://some.address.com:8080/container/some/stream/path@group"},
			Config{ContainerName: "container", StreamPath: "some/stream/path", ConsumerGroup: "group", SeekTo: seekLatest}, "some.address.com:8080"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := defaults()
			must(t, json.Unmarshal([]byte(c.attributes), &cfg))
			must(t, cfg.Validate())
			src, err := newSource(trigger.Settings{Name: "in", Spec: c.spec}, cfg)
			must(t, err)
			got := src.cfg
			if got.ContainerName != c.want.ContainerName || got.StreamPath != c.want.StreamPath || got.ConsumerGroup != c.want.ConsumerGroup || got.SeekTo != c.want.SeekTo {
				t.Errorf("configuration %+v", got)
			}
			if src.web.base.Host != c.host || src.web.key != key || src.web.user != "" {
				t.Errorf("web %+v", src.web)
			}
			if _, err := Factory().New(trigger.Settings{Name: "in", Spec: c.spec}, json.RawMessage(c.attributes)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCredentials: a name goes with a password, and a key alone is one.
func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		spec           function.Trigger
		user, key, pwd string
	}{
		{function.Trigger{Username: "me", Password: "word"}, "me", "", "word"},
		{function.Trigger{Password: "word"}, "", "word", ""},
		{function.Trigger{Username: "me", Password: quantity.Secret(key)}, "", key, ""},
		{function.Trigger{Secret: "word"}, "", "word", ""},
	} {
		cfg := defaults()
		must(t, json.Unmarshal([]byte(`{`+whole+`}`), &cfg))
		src, err := newSource(trigger.Settings{Name: "in", Spec: c.spec}, cfg)
		must(t, err)
		if w := src.web; w.user != c.user || w.key != c.key || w.password != c.pwd {
			t.Errorf("%+v: user %q, key %q, password %q", c.spec, w.user, w.key, w.password)
		}
	}
}

// TestNames: each group has an attribute of its own, which a condition can name.
func TestNames(t *testing.T) {
	seen := map[string]string{}
	for _, group := range []string{"g", "g-h", "g_h", "g h", "g.h", "ü", "u"} {
		c := Config{ConsumerGroup: group}
		name := c.epoch()
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q have one name", group, other)
		}
		seen[name] = group
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			t.Errorf("the attribute of %q is %q", group, name)
		}
	}
}
