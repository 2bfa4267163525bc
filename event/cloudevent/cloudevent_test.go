package cloudevent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2/event"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/event/cloudevent"
)

const structured = "application/cloudevents+json; charset=utf-8"

func TestForms(t *testing.T) {
	for text, want := range map[string]cloudevent.Form{
		"": cloudevent.None, "application/json": cloudevent.None, "application/cloudevent": cloudevent.None,
		"application/cloudevents": cloudevent.Structured, "Application/CloudEvents+JSON; charset=utf-8": cloudevent.Structured,
		"application/cloudevents-batch+json": cloudevent.Batched,
	} {
		if got := cloudevent.FormOf([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// shown is all of an event in one line.
func shown(e *cloudevent.Event) string {
	var b strings.Builder
	for _, p := range e.Attributes {
		fmt.Fprintf(&b, "%s=%s ", strings.TrimPrefix(p.Key, "ce-"), p.Value)
	}
	fmt.Fprintf(&b, "| %s | %s", e.ContentType, e.Data)
	return b.String()
}

// with is an event in JSON with what is required, and more.
func with(more string) string {
	return `{"specversion": "1.0", "id": "1", "source": "/a", "type": "t"` + more + "}"
}

const least = "id=1 source=/a specversion=1.0 type=t "

func TestStructured(t *testing.T) {
	for body, want := range map[string]string{
		with(``):                               least + "|  | ",
		with(`, "data": {"a": [1, 2]}`):        least + `| application/json | {"a": [1, 2]}`,
		with(`, "data": null, "subject":null`): least + "| application/json | null",
		with(`, "data": "x", "datacontenttype": "application/json"`):       least + `| application/json | "x"`,
		with(`, "data": "<a/>\u0041", "datacontenttype": "text/xml"`):      least + "| text/xml | <a/>A",
		with(`, "data": {"a": 1}, "datacontenttype": "text/xml"`):          least + `| text/xml | {"a": 1}`,
		with(`, "data_base64": "AAE=", "datacontenttype": "image/png"`):    least + "| image/png | \x00\x01",
		with(`, "comexample": true, "zz9": -7, "datacontenttype": "x/y"`):  "comexample=true " + least + "zz9=-7 | x/y | ",
		with(`, "time": "2026-03-01T12:00:00.5+01:00", "data": 1`):         "id=1 source=/a specversion=1.0 time=2026-03-01T12:00:00.5+01:00 type=t | application/json | 1",
		with(`, "data": "1", "datacontenttype": "application/geo+json"`):   least + `| application/geo+json | "1"`,
		with(`, "dataschema": "https://a.example/s", "subject": "größer"`): "dataschema=https://a.example/s id=1 source=/a specversion=1.0 subject=größer type=t |  | ",
	} {
		e, err := cloudevent.Parse([]byte(structured), []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		} else if got := shown(e); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", body, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	for body, want := range map[string]string{
		``:     "no object in JSON",
		`[]`:   "no object in JSON",
		`null`: "is null",
		`{}`:   "specversion: is required",
		`{"specversion": "2.0", "id": "1", "source": "/a", "type": "t"}`: `not known: "2.0", want 1.0`,
		`{"specversion": 1.0, "id": "1", "source": "/a", "type": "t"}`:   "specversion: want a string",
		`{"specversion": "1.0", "source": "/a", "type": "t"}`:            "id: is required",
		`{"specversion": "1.0", "id": "", "source": "/a", "type": "t"}`:  "id: is required and must not be empty",
		`{"specversion": "1.0", "id": "1", "type": "t"}`:                 "source: is required",
		`{"specversion": "1.0", "id": "1", "source": "/a"}`:              "type: is required",
		with(`, "Upper": 1`):                         `"Upper": names are of a to z`,
		with(`, "a_b": 1`):                           `"a_b": names`,
		with(`, "x": {"a": 1}`):                      "x: want a string",
		with(`, "x": 1.5`):                           "x: want a string",
		with(`, "x": 3000000000`):                    "x: want a string",
		with(`, "subject": ""`):                      "subject: must not be empty",
		with(`, "time": "yesterday"`):                `time: "yesterday" is no time`,
		with(`, "dataschema": "relative"`):           `dataschema: "relative" is not absolute`,
		with(`, "datacontenttype": "not a type"`):    "datacontenttype",
		with(`, "data": 1, "data_base64": "AAE="`):   "there is data already",
		with(`, "data_base64": "?"`):                 "data_base64: illegal base64",
		with(`, "data_base64": 1`):                   "data_base64",
		with(`, "x": "line\nline"`):                  "control character",
		with(``) + "x":                               "no object in JSON",
		with(`, "x": "` + "\xb5" + `"`):              "not UTF-8",
		`{"cloudEventsVersion": "0.2"}`:              `cloudEventsVersion "0.2", want 0.1`,
		`{"cloudEventsVersion": "0.1", "source": 1}`: "", // as lax as Nuclio
	} {
		_, err := cloudevent.Parse([]byte(structured), []byte(body))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
	for kind, want := range map[string]string{
		"application/cloudevents+avro": "only the JSON format", "application/cloudevents+json; charset=latin1": "charset latin1", "application/cloudevents;;": "content type",
	} {
		if _, err := cloudevent.Parse([]byte(kind), []byte(with(``))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestBatch(t *testing.T) {
	all, err := cloudevent.ParseBatch([]byte("application/cloudevents-batch+json"), []byte("["+with(`, "data": 1`)+","+with(`, "data": 2`)+"]"))
	if err != nil || len(all) != 2 || string(all[0].Data)+string(all[1].Data) != "12" {
		t.Fatalf("%v %v", all, err)
	}
	if all, err = cloudevent.ParseBatch([]byte("application/cloudevents-batch+json"), []byte("[]")); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
	for body, want := range map[string]string{"{}": "no list", "[" + with(``) + ",{}]": "event 2 of 2: CloudEvent: specversion"} {
		if _, err := cloudevent.ParseBatch([]byte("application/cloudevents-batch+json"), []byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// The example of version 0.1 of the specification.
func TestOldVersion(t *testing.T) {
	e, err := cloudevent.Parse([]byte("application/cloudevents"), []byte(`{"cloudEventsVersion": "0.1", "eventType": "com.example.someevent",
		"eventTypeVersion": "1.0", "source": "/mycontext", "eventID": "A234-1234-1234", "eventTime": "2018-04-05T17:31:00Z",
		"extensions": {"comExampleExtension": "value", "n": {"a": 1}}, "contentType": "text/xml", "data": "<much wow=\"xml\"/>"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `cloudeventsversion=0.1 eventid=A234-1234-1234 eventtime=2018-04-05T17:31:00Z eventtype=com.example.someevent eventtypeversion=1.0 source=/mycontext ` +
		`x-comexampleextension=value x-n={"a": 1} | text/xml | <much wow="xml"/>`
	if got := shown(e); got != want || string(e.ID()) != "A234-1234-1234" || !e.Time.Equal(time.Date(2018, 4, 5, 17, 31, 0, 0, time.UTC)) {
		t.Errorf("got %s, id %s, time %v", got, e.ID(), e.Time)
	}
}

func binary(kind string, headers ...string) *event.Event {
	ev := &event.Event{Source: &event.Source{Kind: kind}, ContentType: []byte("text/plain"), Body: []byte("data")}
	var p event.Pairs
	for i := 0; i < len(headers); i += 2 {
		p = append(p, event.Pair{Key: headers[i], Value: []byte(headers[i+1])})
	}
	ev.Headers = p
	return ev
}

// Each protocol marks attributes in its own way.
func TestBinary(t *testing.T) {
	for kind, mark := range map[string]func(string) string{
		"http":     func(s string) string { return "Ce-" + strings.ToUpper(s[:1]) + s[1:] },
		"nats":     func(s string) string { return "ce-" + s },
		"kafka":    func(s string) string { return "ce_" + s },
		"rabbitmq": func(s string) string { return "cloudEvents:" + s },
		"amqp":     func(s string) string { return "cloudEvents_" + s },
		"mqtt":     func(s string) string { return s },
	} {
		ev := binary(kind, "Other-Header", "x", mark("specversion"), "1.0", mark("id"), "1", mark("source"), "/a", mark("type"), "t")
		e, rest, err := cloudevent.FromHeaders(ev)
		if err != nil || !cloudevent.IsBinary(ev) {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if got := shown(e); got != "specversion=1.0 id=1 source=/a type=t | text/plain | data" || len(rest) != 1 || rest[0].Key != "Other-Header" {
			t.Errorf("%s: %s, and %v", kind, got, rest)
		}
	}
	e, _, err := cloudevent.FromHeaders(binary("http", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/a", "ce-type", "Euro%20%E2%82%AC%22"))
	if err != nil || string(e.Attributes.Get("ce-type")) != `Euro €"` {
		t.Errorf("%v %v", e, err)
	}
	for want, ev := range map[string]*event.Event{
		"specversion: is required": binary("http", "ce-id", "1"),
		"comes twice":              binary("http", "ce-specversion", "1.0", "Ce-Id", "1", "ce-id", "2", "ce-source", "/a", "ce-type", "t"),
		"invalid URL escape":       binary("http", "ce-specversion", "1.0", "ce-id", "%zz", "ce-source", "/a", "ce-type", "t"),
		"want 1.0":                 binary("kafka", "ce_specversion", "0.3", "ce_id", "1", "ce_source", "/a", "ce_type", "t"),
		"names are of a to z":      binary("http", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/a", "ce-type", "t", "ce-a-b", "1"),
	} {
		if _, _, err := cloudevent.FromHeaders(ev); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if cloudevent.IsBinary(&event.Event{}) || cloudevent.IsBinary(binary("kafka", "specversion", "1.0")) {
		t.Error("not a CloudEvent")
	}
}

// Whatever comes is read or refused, and what the CloudEvents project's own
// package reads too says the same here.
func FuzzParse(f *testing.F) {
	for _, more := range []string{``, `, "data": {"a": 1}`, `, "data": "x", "datacontenttype": "text/plain"`, `, "data_base64": "AAE="`, `, "time": "2026-03-01T12:00:00Z", "x": 1`, `, "x": null`} {
		f.Add([]byte(with(more)))
	}
	f.Add([]byte(`{"cloudEventsVersion": "0.1", "eventType": "a", "extensions": {"a": 1}, "data": "x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := cloudevent.Parse([]byte(structured), body)
		if err != nil || e.Attributes.Get("ce-specversion") == nil {
			return
		}
		var theirs sdk.Event
		if err := json.Unmarshal(body, &theirs); err != nil {
			return // theirs does not read it
		}
		for name, want := range map[string]string{"id": theirs.ID(), "type": theirs.Type(), "specversion": theirs.SpecVersion(), "subject": theirs.Subject()} {
			if got := string(e.Attributes.Get("ce-" + name)); got != want && !twice(body, name) {
				t.Errorf("%s is %q, theirs %q", name, got, want)
			}
		}
	})
}

// twice says that a name may be there twice: which of them counts is not said.
func twice(body []byte, name string) bool {
	return strings.Count(strings.ToLower(string(body)), name) > 1 || strings.Contains(string(body), `\u`)
}

// An event that their package makes is the same here.
func TestWrittenByTheirs(t *testing.T) {
	theirs := sdk.New()
	theirs.SetID("1")
	theirs.SetSource("https://a.example/x?y#z")
	theirs.SetType("t")
	theirs.SetTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	theirs.SetExtension("flag", true)
	theirs.SetExtension("number", 7)
	if err := theirs.SetData("application/octet-stream", []byte{0, 1, 255}); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	e, err := cloudevent.Parse([]byte(structured), body)
	if err != nil {
		t.Fatal(err)
	}
	want := "flag=true id=1 number=7 source=https://a.example/x?y#z specversion=1.0 time=2026-03-01T12:00:00Z type=t | application/octet-stream | \x00\x01\xff"
	if got := shown(e); got != want || !e.Time.Equal(theirs.Time()) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := cloudevent.Parse([]byte(structured), []byte(`{"specversion": "0.3"}`)); !errors.Is(err, cloudevent.ErrVersion) {
		t.Error(err)
	}
}
