package asyncapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

type object = map[string]any

// Document is an AsyncAPI document that is being written. Its methods are called
// by one goroutine.
type Document struct {
	info       object
	servers    map[string]object
	channels   map[string]object
	operations map[string]object
	problems   []any
}

// New begins the document of what is called title.
func New(title, version, about string) *Document {
	d := &Document{info: object{"title": title, "version": version}, servers: map[string]object{}, channels: map[string]object{}, operations: map[string]object{}}
	if about != "" {
		d.info["description"] = about
	}
	return d
}

// MarshalJSON implements [json.Marshaler].
func (d *Document) MarshalJSON() ([]byte, error) {
	all := object{"asyncapi": Version, "info": d.info, "servers": d.servers, "channels": d.channels, "operations": d.operations}
	if len(d.problems) > 0 {
		all["x-myelin-problems"] = d.problems
	}
	return json.Marshal(all)
}

// Receive adds what comes by a description, under a name: that of the trigger.
// message changes what a channel says of its messages; nil: nothing.
func (d *Document) Receive(name string, from Description, message func(Channel) []Message) {
	at := d.serve(name, from)
	for i, c := range from.Channels {
		id := numbered(clean(name), i, len(from.Channels))
		messages := []Message{c.Message}
		if message != nil {
			messages = message(c)
		}
		key := d.channel(id, from.Protocol, c, at, messages)
		op := object{"action": "receive", "channel": ref("channels", key), "messages": d.refs(key, "message")}
		put(op, "title", name)
		put(op, "bindings", bound(from.Protocol, c.Receives))
		if c.Answers != Never {
			op["reply"] = d.answer(key, from.Protocol, c, at)
		}
		d.operations[unique(d.operations, "receive-"+id)] = op
	}
}

// Send adds what is sent to a channel, under a name that says what for.
func (d *Document) Send(name string, to Description, about string) {
	at := d.serve(name, to)
	for i, c := range to.Channels {
		key := d.channel(numbered(clean(name), i, len(to.Channels)), to.Protocol, c, at, []Message{c.Message})
		op := object{"action": "send", "channel": ref("channels", key), "messages": d.refs(key, "message")}
		put(op, "title", name)
		put(op, "description", about)
		put(op, "bindings", bound(to.Protocol, c.Sends))
		d.operations[unique(d.operations, "send-"+key)] = op
	}
}

// Problem notes that something is configured that cannot be described.
func (d *Document) Problem(name, kind, why string) {
	d.problems = append(d.problems, object{"name": name, "kind": kind, "problem": why})
}

// serve adds the servers of a description and returns their keys. One that is
// there already is not added again.
func (d *Document) serve(name string, from Description) (keys []string) {
	for i, s := range from.Servers {
		o := object{"host": s.Host[strings.LastIndexByte(s.Host, '@')+1:], "protocol": s.Protocol}
		put(o, "pathname", s.Path)
		put(o, "protocolVersion", s.ProtocolVersion)
		put(o, "description", s.About)
		put(o, "bindings", bound(from.Protocol, s.Bindings))
		if len(s.Variables) > 0 {
			variables := object{}
			for name, what := range s.Variables {
				variables[name] = object{"description": what}
			}
			o["variables"] = variables
		}
		if s.Security != "" {
			o["security"] = []any{object{"type": s.Security}}
		}
		keys = append(keys, d.server(numbered(clean(name), i, len(from.Servers)), o))
	}
	return keys
}

func (d *Document) server(id string, o object) string {
	same := written(o)
	for _, k := range slices.Sorted(maps.Keys(d.servers)) {
		if written(d.servers[k]) == same {
			return k
		}
	}
	id = unique(d.servers, id)
	d.servers[id] = o
	return id
}

func written(o object) string {
	b, _ := json.Marshal(o) // made of texts and numbers
	return string(b)
}

// channel adds a channel with its messages and returns its key.
func (d *Document) channel(id, protocol string, c Channel, servers []string, messages []Message) string {
	o := object{"messages": object{}}
	address(o, c)
	put(o, "description", c.About)
	put(o, "bindings", bound(protocol, c.Channel))
	for _, s := range servers {
		list, _ := o["servers"].([]any)
		o["servers"] = append(list, ref("servers", s))
	}
	for i, m := range messages {
		o["messages"].(object)[numbered("message", i, len(messages))] = m.object(protocol)
	}
	id = unique(d.channels, id)
	d.channels[id] = o
	return id
}

// refs are the messages of a channel whose keys begin so, in order.
func (d *Document) refs(channel, prefix string) (out []any) {
	messages := d.channels[channel]["messages"].(object)
	for _, k := range slices.Sorted(maps.Keys(messages)) {
		if strings.HasPrefix(k, prefix) {
			out = append(out, ref("channels", channel, "messages", k))
		}
	}
	return out
}

// answer is the reply of an operation.
func (d *Document) answer(channel, protocol string, c Channel, servers []string) object {
	const key = "answer"
	if c.Answers == AsAsked {
		channel = d.channel(channel+"-"+key, protocol, Channel{About: "Where the message says that its answer shall go."}, servers, nil)
	}
	d.channels[channel]["messages"].(object)[key] = c.Answer.object(protocol)
	return object{"channel": ref("channels", channel), "messages": d.refs(channel, key)}
}

// object is the message as the document has it.
func (m Message) object(protocol string) object {
	o := object{}
	put(o, "title", m.Title)
	put(o, "contentType", m.ContentType)
	put(o, "description", m.About)
	put(o, "bindings", bound(protocol, m.Bindings))
	if m.Payload != nil {
		o["payload"] = m.Payload
	}
	if len(m.Headers) > 0 {
		fields := object{}
		for name, what := range m.Headers {
			fields[name] = object{"type": "string", "description": what}
		}
		headers := object{"type": "object", "properties": fields}
		if len(m.Required) > 0 {
			headers["required"] = slices.Sorted(slices.Values(m.Required))
		}
		o["headers"] = headers
	}
	return o
}

// bound is what bindings are below the name of their protocol; nil if there are
// none.
func bound(protocol string, b Bindings) object {
	if protocol == "" || b == nil {
		return nil
	}
	return object{protocol: b}
}

// put sets what is not empty.
func put(o object, key string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case object:
		if v == nil {
			return
		}
	}
	o[key] = value
}

func ref(path ...string) object { return object{"$ref": "#/" + strings.Join(path, "/")} }
