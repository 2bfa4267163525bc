package asyncapi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/asyncapi"
)

func written(t *testing.T, d *asyncapi.Document) string {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Braces are parameters: those of the source's own are given themselves for a
// value, and an address that cannot be said so is told in words.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"orders":            `"address":"orders","messages"`,
		"":                  `"address":null`,
		"orders.{shard}.>":  `"parameters":{"shard":{"description":"Which."}}`,
		"jobs{1}":           `"parameters":{"1":{"default":"{1}","enum":["{1}"]}}`,
		"{shard}/{x}":       `"parameters":{"shard":{"description":"Which."},"x":{"default":"{x}","enum":["{x}"]}}`,
		"half{":             `"address":null,"messages":{"message":{}},"title":"half{"`,
		"{two words}":       `"address":null,"messages":{"message":{}},"title":"{two words}"`,
		"{{partition(1,2)}": `"address":null,"messages":{"message":{}},"title":"{{partition(1,2)}"`,
	} {
		d := asyncapi.New("f", "1", "")
		d.Receive("in", asyncapi.Description{Channels: []asyncapi.Channel{{Address: address, Parameters: map[string]string{"shard": "Which."}}}}, nil)
		if got := written(t, d); !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %s", address, got, want)
		}
	}
}

// Names are made keys that references can have, and each is there once; a server
// that several name is one.
func TestNames(t *testing.T) {
	d := asyncapi.New("f", "1", "It does.")
	at := []asyncapi.Server{{Host: "user:secret@broker:1", Protocol: "kafka"}}
	for _, name := range []string{"a/b", "a~b", "a b"} {
		d.Receive(name, asyncapi.Description{Servers: at, Channels: []asyncapi.Channel{{Address: "x"}, {Address: "y"}}}, nil)
	}
	d.Send("a/b", asyncapi.Description{Servers: at, Channels: []asyncapi.Channel{{Address: "z"}}}, "What for.")
	var doc struct {
		Servers    map[string]struct{ Host string }
		Channels   map[string]struct{ Address string }
		Operations map[string]struct{ Action, Description string }
	}
	if err := json.Unmarshal([]byte(written(t, d)), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Servers) != 1 || doc.Servers["a-b"].Host != "broker:1" {
		t.Errorf("servers %v", doc.Servers)
	}
	var channels, operations []string
	for k := range doc.Channels {
		channels = append(channels, k)
	}
	for k, o := range doc.Operations {
		operations = append(operations, k+" "+o.Action+" "+o.Description)
	}
	slices.Sort(channels)
	slices.Sort(operations)
	if got := strings.Join(channels, ", "); got != "a-b, a-b-1, a-b-1-2, a-b-1-3, a-b-2, a-b-2-2, a-b-2-3" {
		t.Errorf("channels %s", got)
	}
	if len(operations) != 7 || operations[6] != "send-a-b send What for." {
		t.Errorf("operations %q", operations)
	}
}
