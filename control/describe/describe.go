// Package describe writes the AsyncAPI document of a function, or of an event
// mapping: what its triggers receive, where answers and letters go, and what its
// stream bindings send. What a source is each trigger says itself; this package
// joins it with what all triggers share. It opens nothing and shows no secret.
package describe

import (
	"errors"
	"log/slog"
	"maps"
	"net/url"
	"slices"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// Parts are what a program knows of triggers and bindings.
type Parts struct {
	Triggers *trigger.Set
	Streams  *binding.Set // bindings of class stream; nil: none is described
}

// Function is the document of a function as it is configured: triggers that are
// disabled are left out.
func (p Parts) Function(f function.Function) *asyncapi.Document {
	function.Defaults(&f.Config)
	w := p.writer(f.Metadata, f.Spec.Description, f)
	for _, name := range slices.Sorted(maps.Keys(f.Spec.Triggers)) {
		if t := f.Spec.Triggers[name]; !t.Disabled {
			w.trigger(name, t)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Spec.DataBindings)) {
		w.binding(name, f.Spec.DataBindings[name])
	}
	return w.doc
}

// Mapping is the document of an event mapping; f is the function that it leads to,
// as far as it is there.
func (p Parts) Mapping(m function.Mapping, f function.Function) *asyncapi.Document {
	function.MappingDefaults(&m)
	w := p.writer(m.Metadata, "Events for the function "+m.Spec.Function+".", f)
	w.function = m.Spec.Function
	if m.Spec.Source.Kind == gatewayKind {
		w.route(m)
	} else {
		w.trigger(m.Metadata.Name, m.Spec.Source)
	}
	return w.doc
}

// gatewayKind is the kind of mappings that are paths of the gateway, and of
// triggers that listen themselves.
const gatewayKind = "http"

// writer writes one document.
type writer struct {
	Parts
	doc       *asyncapi.Document
	namespace string
	function  string
	// gateway and own are where the function is reached: by the gateway, under a
	// path, and itself. Empty if it is not known.
	gateway, own asyncapi.Server
}

func (p Parts) writer(m function.Metadata, about string, f function.Function) *writer {
	version := "latest"
	if m.ResourceVersion != "" {
		version = m.ResourceVersion
	}
	w := &writer{Parts: p, doc: asyncapi.New(m.Name, version, about), namespace: m.Namespace, function: m.Name, own: asyncapi.Server{Host: f.Status.Address, Protocol: "http"}}
	if u, err := url.Parse(f.Status.URL); err == nil && u.Host != "" {
		w.gateway = asyncapi.Server{Host: u.Host, Path: u.Path, Protocol: u.Scheme}
	}
	return w
}

// trigger adds what a trigger receives and where what becomes of it is sent.
func (w *writer) trigger(name string, t function.Trigger) {
	schema, err := payload(t)
	var from []asyncapi.Description
	if err == nil {
		from, err = w.describe(name, t)
	}
	if err != nil {
		w.doc.Problem(name, t.Kind, err.Error())
		return
	}
	for _, d := range from {
		d.Servers = w.reached(d.Servers)
		w.doc.Receive(name, d, func(c asyncapi.Channel) []asyncapi.Message { return messages(t.CloudEvents, schema, d, c) })
		w.destination(name+"-onSuccess", t.OnSuccess, d, answered())
		w.destination(name+"-onFailure", t.OnFailure, d, letter())
	}
}

func (w *writer) describe(name string, t function.Trigger) ([]asyncapi.Description, error) {
	f, err := w.Triggers.Lookup(t.Kind)
	if err != nil {
		return nil, err
	}
	made, err := f.New(trigger.Settings{Name: name, Spec: t, Log: slog.New(slog.DiscardHandler), Namespace: w.namespace, Function: w.function,
		Destinations: func(function.Destination) (trigger.Destination, error) { return nil, nil }}, t.Attributes)
	if err != nil {
		return nil, err
	}
	if d, ok := made.(trigger.Described); ok {
		if from := d.Describe(); from != nil {
			return from, nil
		}
	}
	return nil, errors.New("triggers of the kind do not say where their events come from")
}

// reached has the places of the function itself instead of the server that has no
// host.
func (w *writer) reached(servers []asyncapi.Server) (out []asyncapi.Server) {
	for _, s := range servers {
		if s.Host != "" {
			out = append(out, s)
			continue
		}
		for _, at := range []asyncapi.Server{w.gateway, w.own} {
			if at.Host == "" {
				continue
			}
			if s.Protocol == "ws" {
				at.Protocol = map[string]string{"http": "ws", "https": "wss"}[at.Protocol]
			}
			out = append(out, at)
		}
	}
	if len(out) == 0 {
		out = append(out, somewhere())
	}
	return out
}

// somewhere is where the gateway is, if it is not known.
func somewhere() asyncapi.Server {
	return asyncapi.Server{Host: "{gateway}", Protocol: "http", Variables: map[string]string{"gateway": "Host and port of the gateway."}}
}

// route adds a path of the gateway.
func (w *writer) route(m function.Mapping) {
	r, err := route.Of(m)
	if err != nil {
		w.doc.Problem(m.Metadata.Name, gatewayKind, err.Error())
		return
	}
	schema, err := payload(m.Spec.Source)
	if err != nil {
		w.doc.Problem(m.Metadata.Name, gatewayKind, err.Error())
		return
	}
	from, err := w.describe(m.Metadata.Name, function.Trigger{Kind: gatewayKind})
	if err != nil {
		w.doc.Problem(m.Metadata.Name, gatewayKind, err.Error())
		return
	}
	d := from[0]
	d.Servers = w.gateways(r.Match.Hosts)
	c := &d.Channels[0]
	c.Address, c.Parameters, c.About = r.Match.Path, nil, "And all below it."
	if c.Address == "" {
		c.Address = "/"
	}
	if r.Match.Exact {
		c.About = ""
	}
	if len(r.Match.Methods) == 1 && known(r.Match.Methods[0]) {
		c.Receives["method"] = r.Match.Methods[0]
	}
	w.doc.Receive(m.Metadata.Name, d, func(c asyncapi.Channel) []asyncapi.Message { return messages("", schema, d, c) })
}

// gateways are the hosts under which the gateway is asked.
func (w *writer) gateways(hosts []string) (out []asyncapi.Server) {
	at := w.gateway
	at.Path = ""
	if at.Host == "" {
		at.Protocol = "http"
	}
	for _, at.Host = range hosts {
		out = append(out, at)
	}
	if len(hosts) == 0 && w.gateway.Host != "" {
		at.Host = w.gateway.Host
		out = append(out, at)
	}
	if len(out) == 0 {
		out = append(out, somewhere())
	}
	return out
}

// known says whether AsyncAPI knows a method of HTTP.
func known(method string) bool {
	return slices.Contains([]string{"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"}, method)
}

// binding adds what a binding sends, if it is one that sends.
func (w *writer) binding(name string, b function.DataBinding) {
	if w.Streams == nil {
		return
	}
	kind, err := binding.Resolve(w.Streams.Kinds(), b)
	if err != nil {
		return // of another class
	}
	f, err := w.Streams.Lookup(kind)
	if err != nil {
		return
	}
	made, err := f.New(binding.Settings{Name: name, Spec: b, Log: slog.New(slog.DiscardHandler), Namespace: w.namespace, Function: w.function}, b.Attributes)
	if err != nil {
		w.doc.Problem(name, b.Kind, err.Error())
		return
	}
	if d, ok := made.(binding.Described); ok {
		for _, to := range d.Describe() {
			w.doc.Send(name, to, "What the function publishes by its data binding "+name+".")
		}
	}
}
