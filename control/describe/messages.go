package describe

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// PayloadSchema is the annotation of a trigger that holds the JSON schema of its
// events' bodies, as JSON or YAML.
const PayloadSchema = "myelin.run/payload-schema"

// payload is the schema that a trigger's annotation gives; nil if there is none.
func payload(t function.Trigger) (map[string]any, error) {
	text := t.Annotations[PayloadSchema]
	if text == "" {
		return nil, nil
	}
	var schema map[string]any
	d, err := document.Parse(PayloadSchema, []byte(text))
	if err == nil {
		err = json.Unmarshal(d.JSON(), &schema)
	}
	if err != nil || schema == nil {
		return nil, fmt.Errorf("the annotation %s is no JSON schema, such as {type: object}", PayloadSchema)
	}
	return schema, nil
}

// messages are those that a trigger takes from a channel, by what it does with
// CloudEvents.
func messages(mode string, schema map[string]any, d asyncapi.Description, c asyncapi.Channel) (out []asyncapi.Message) {
	plain := c.Message
	if schema != nil {
		plain.Payload = schema
	}
	if !d.Typed || mode != "enable" && mode != "require" {
		return []asyncapi.Message{plain}
	}
	structured := asyncapi.Message{Title: "CloudEvent, structured", ContentType: "application/cloudevents+json", Payload: cloudEvent(schema), Bindings: plain.Bindings}
	out = append(out, structured)
	if d.CloudEvent != nil {
		binary := plain
		binary.Title, binary.Headers = "CloudEvent, binary", maps.Clone(plain.Headers)
		if binary.Headers == nil {
			binary.Headers = map[string]string{}
		}
		for name, what := range attributes {
			name = *d.CloudEvent + name
			binary.Headers[name], binary.Required = what, append(binary.Required, name)
		}
		out = append(out, binary)
	}
	if mode == "enable" {
		out = append(out, plain)
	}
	return out
}

// attributes are those that a CloudEvent must have.
var attributes = map[string]string{"specversion": "Always 1.0.", "id": "Id of the event, unique in its source.", "source": "Where it happened, a URI reference.", "type": "What happened."}

// cloudEvent is the schema of a CloudEvent in JSON.
func cloudEvent(data map[string]any) map[string]any {
	fields := map[string]any{"data_base64": map[string]any{"type": "string"}, "datacontenttype": map[string]any{"type": "string"}, "time": map[string]any{"type": "string", "format": "date-time"}}
	for name, what := range attributes {
		fields[name] = map[string]any{"type": "string", "minLength": 1, "description": what}
	}
	fields["data"] = map[string]any{}
	if data != nil {
		fields["data"] = data
	}
	return map[string]any{"type": "object", "required": []string{"id", "source", "specversion", "type"}, "properties": fields}
}

// letter is an event that failed for good, as it is sent on.
func letter() asyncapi.Message {
	return asyncapi.Message{About: "The event as it came, with what became of it in headers.", Headers: map[string]string{
		"myelin-letter": "Id of the letter, the same if it comes twice.", "myelin-reason": "Why the event was given up.", "myelin-error": "What the function said.",
		"myelin-attempts": "How often it was tried.", "myelin-function": "The function.", "myelin-trigger": "The trigger."}}
}

// answered is the function's answer, as it is sent on.
func answered() asyncapi.Message {
	m := letter()
	m.About = "What the function answered, with the event's headers."
	m.Headers["myelin-status"] = "Status of the answer."
	delete(m.Headers, "myelin-error")
	return m
}
