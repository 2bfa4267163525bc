package cloudevent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
)

// ErrFormat says that the event is in a format other than JSON.
var ErrFormat = errors.New("CloudEvent: only the JSON format is known")

// Parse reads a structured event, of which the source said that it has this
// content type.
func Parse(contentType, body []byte) (*Event, error) {
	if err := checkFormat(contentType, body); err != nil {
		return nil, err
	}
	return parse(body)
}

// ParseBatch reads a list of events.
func ParseBatch(contentType, body []byte) ([]*Event, error) {
	if err := checkFormat(contentType, body); err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("CloudEvents: the batch is no list in JSON: %w", err)
	}
	all := make([]*Event, len(list))
	for i, one := range list {
		e, err := parse(one)
		if err != nil {
			return nil, fmt.Errorf("event %d of %d: %w", i+1, len(list), err)
		}
		all[i] = e
	}
	return all, nil
}

// checkFormat refuses "application/cloudevents+avro" and its like, and JSON that is
// not UTF-8, which a parser would change silently. A type that says no format is
// taken as Nuclio took it, as JSON.
func checkFormat(contentType, body []byte) error {
	kind, params, err := mime.ParseMediaType(string(contentType))
	if err != nil {
		return fmt.Errorf("CloudEvent: content type: %w", err)
	}
	if _, format, said := strings.Cut(kind, "+"); said && format != "json" {
		return fmt.Errorf("%w, not %s", ErrFormat, format)
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
		return fmt.Errorf("CloudEvent: charset %s: want utf-8", c)
	}
	if !utf8.Valid(body) {
		return errors.New("CloudEvent: the event is not UTF-8")
	}
	return nil
}

func parse(body []byte) (*Event, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("CloudEvent: the event is no object in JSON: %w", err)
	}
	if fields == nil {
		return nil, errors.New("CloudEvent: the event is null")
	}
	if _, old := fields["cloudEventsVersion"]; old {
		return parseOld(fields)
	}
	return parseNew(fields)
}

func parseNew(fields map[string]json.RawMessage) (*Event, error) {
	e := &Event{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		raw := fields[name]
		if name == "data" || name == "data_base64" || isNull(raw) {
			continue
		}
		v, err := attribute(raw)
		switch {
		case err != nil:
			return nil, problem(name, "%w", err)
		case raw[0] != '"' && slices.Contains(texts, name):
			return nil, problem(name, "want a string")
		case name == "datacontenttype" && len(v) == 0:
			return nil, problem(name, "must not be empty")
		case name == "datacontenttype":
			e.ContentType = string(v)
		default:
			e.Attributes = append(e.Attributes, event.Pair{Key: "ce-" + name, Value: v})
		}
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e, e.takeData(fields)
}

// texts are the attributes that the specification names: none is a number or a
// boolean.
var texts = []string{"specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time"}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

var errKind = errors.New("want a string, a whole number or a boolean")

// attribute returns the text of a value: attributes have no others.
func attribute(raw json.RawMessage) ([]byte, error) {
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return []byte(s), err
	case 't', 'f':
		return raw, nil
	case '{', '[':
		return nil, errKind
	}
	if _, err := strconv.ParseInt(string(raw), 10, 32); err != nil {
		return nil, errKind
	}
	return raw, nil
}

// takeData takes the data: JSON as it is written, text and bytes as they are
// meant.
func (e *Event) takeData(fields map[string]json.RawMessage) error {
	data, coded := fields["data"], fields["data_base64"]
	switch {
	case coded != nil && !isNull(coded) && data != nil && !isNull(data):
		return problem("data_base64", "there is data already")
	case coded != nil && !isNull(coded):
		return e.decode(coded)
	case data == nil:
		return nil
	}
	if e.ContentType == "" {
		e.ContentType = "application/json"
	}
	if !isJSON(e.ContentType) && data[0] == '"' {
		var s string
		err := json.Unmarshal(data, &s)
		e.Data = []byte(s)
		return err
	}
	e.Data = data
	return nil
}

func (e *Event) decode(coded json.RawMessage) error {
	var s string
	err := json.Unmarshal(coded, &s)
	if err == nil {
		e.Data, err = base64.StdEncoding.DecodeString(s)
	}
	if err != nil {
		return problem("data_base64", "%w", err)
	}
	return nil
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	_, sub, _ := strings.Cut(kind, "/")
	return sub == "json" || strings.HasSuffix(sub, "+json")
}

// old are the attributes of version 0.1, and what its binary form calls them.
var old = map[string]string{
	"cloudEventsVersion": "ce-cloudeventsversion", "eventType": "ce-eventtype", "eventTypeVersion": "ce-eventtypeversion",
	"source": "ce-source", "eventID": "ce-eventid", "eventTime": "ce-eventtime", "schemaURL": "ce-schemaurl",
}

// parseOld reads version 0.1. As Nuclio does, it asks for little.
func parseOld(fields map[string]json.RawMessage) (*Event, error) {
	e := &Event{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		raw := fields[name]
		key, known := old[name]
		if !known && name != "contentType" || isNull(raw) {
			continue
		}
		v, err := attribute(raw)
		switch {
		case err != nil:
			return nil, problem(name, "%w", err)
		case name == "contentType":
			e.ContentType = string(v)
		default:
			e.Attributes = append(e.Attributes, event.Pair{Key: key, Value: v})
		}
	}
	if v := e.Attributes.Get("ce-cloudeventsversion"); string(v) != "0.1" {
		return nil, fmt.Errorf("CloudEvent: %w: cloudEventsVersion %q, want 0.1", ErrVersion, v)
	}
	if err := e.takeTime("ce-eventtime", "eventTime"); err != nil {
		return nil, err
	}
	return e, errors.Join(e.takeExtensions(fields["extensions"]), e.takeData(map[string]json.RawMessage{"data": fields["data"]}))
}

func (e *Event) takeExtensions(raw json.RawMessage) error {
	if raw == nil || isNull(raw) {
		return nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return problem("extensions", "%w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		v := bytes.TrimSpace(all[name])
		if v[0] == '"' {
			var s string
			if err := json.Unmarshal(v, &s); err != nil {
				return problem("extensions", "%w", err)
			}
			v = []byte(s)
		}
		e.Attributes = append(e.Attributes, event.Pair{Key: "ce-x-" + strings.ToLower(name), Value: v})
	}
	return nil
}
