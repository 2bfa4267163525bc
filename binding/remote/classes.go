package remote

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
)

type operations = map[string]func(context.Context) error

// kv returns what a method of the class does; nil if there is no such method.
func (r *request) kv(k *data.KV) func(context.Context) error {
	switch r.call.Method {
	case "kv.get":
		return func(ctx context.Context) error { return r.get(ctx, k) }
	case "kv.fetched":
		return func(ctx context.Context) error {
			v, err := k.Fetched(ctx, r.call.Path)
			return r.value(v, err)
		}
	case "kv.put":
		return func(ctx context.Context) error {
			o, err := r.putOptions()
			if err != nil {
				return err
			}
			v, err := k.Put(ctx, r.call.Path, r.body, o)
			r.answer.SetHeader("Version", v)
			return r.nothing(err)
		}
	case "kv.delete":
		return func(ctx context.Context) error {
			return r.nothing(k.Delete(ctx, r.call.Path, func(p *data.Put) { p.If = r.ifVersion() }))
		}
	case "kv.scan":
		return func(ctx context.Context) error { return r.scan(ctx, k) }
	case "kv.add":
		return func(ctx context.Context) error { return r.add(ctx, k) }
	}
	return nil
}

func (r *request) get(ctx context.Context, k *data.KV) error {
	r.kept(k)
	mark := r.mark()
	v, until, err := k.Lasting(ctx, r.call.Path)
	if err = r.value(v, err); err == nil {
		r.keep(mark, until)
	}
	return err
}

// value answers with v, unless there is an error: before what is shared is in the
// answer, which is written over.
func (r *request) value(v data.Value, err error) error {
	if err != nil {
		return err
	}
	r.answer.Body = v.Data
	r.answer.SetHeader("Version", v.Version)
	return nil
}

func (r *request) scan(ctx context.Context, k *data.KV) error {
	limit, err := r.limit()
	if err != nil {
		return err
	}
	keys, err := k.Scan(ctx, r.call.Path, r.after(), limit)
	if keys == nil {
		keys = []string{}
	}
	return r.json(keys, err)
}

func (r *request) putOptions() (data.Option, error) {
	ttl, err := r.ttl()
	return func(p *data.Put) { p.TTL, p.If = ttl, r.ifVersion() }, err
}

func (r *request) add(ctx context.Context, k *data.KV) error {
	delta, err := strconv.ParseInt(string(r.body), 10, 64)
	if err != nil {
		return data.Errorf(data.Misuse, "%.40q is no whole number of 64 bits", r.body)
	}
	o, err := r.putOptions()
	if err != nil {
		return err
	}
	sum, err := k.Add(ctx, r.call.Path, delta, o)
	r.answer.Body = strconv.AppendInt(r.answer.Body[:0], sum, 10)
	return err
}

// json answers with v.
func (r *request) json(v any, err error) error {
	if err != nil {
		return err
	}
	b, err := json.Marshal(v)
	r.answer.Body, r.answer.ContentType = b, "application/json"
	return err
}

func (r *request) object(o *data.Object) operations {
	return operations{
		"object.get": func(ctx context.Context) error {
			part, err := r.part()
			if err != nil {
				return err
			}
			if r.call.Room != nil {
				ctx = data.WithRoom(ctx, r.call.Room)
			}
			content, info, err := o.Shared(ctx, r.call.Path, part)
			return r.content(content, info, err)
		},
		"object.fetched": func(ctx context.Context) error {
			content, info, err := o.Fetched(ctx, r.call.Path)
			return r.content(content, info, err)
		},
		"object.put": func(ctx context.Context) error {
			t, _ := r.header("Content-Type")
			if t == "" {
				t = r.call.ContentType
			}
			v, err := o.Put(ctx, r.call.Path, r.body, data.PutObject{ContentType: t, If: r.ifVersion()})
			r.answer.SetHeader("Version", v)
			return r.nothing(err)
		},
		"object.delete": func(ctx context.Context) error { return r.nothing(o.Delete(ctx, r.call.Path)) },
		"object.stat": func(ctx context.Context) error {
			info, err := o.Stat(ctx, r.call.Path)
			return r.json(info, err)
		},
		"object.list": func(ctx context.Context) error {
			limit, err := r.limit()
			if err != nil {
				return err
			}
			infos, err := o.List(ctx, r.call.Path, r.after(), limit)
			if infos == nil {
				infos = []data.Info{}
			}
			return r.json(infos, err)
		},
	}
}

// content answers with an object.
func (r *request) content(content []byte, info data.Info, err error) error {
	if err != nil {
		return err // before what is shared is in the answer, which is written over
	}
	r.answer.Body, r.answer.ContentType = content, info.ContentType
	r.answer.SetHeader("Version", info.Version)
	r.answer.SetHeader("Size", strconv.FormatInt(info.Size, 10))
	return nil
}

// states are what is done with the function's state, whatever the binding is
// called.
func (r *request) states() operations {
	if !strings.HasPrefix(r.call.Method, "state.") {
		return nil
	}
	s := r.s.state
	return operations{
		"state.get": func(ctx context.Context) (err error) {
			r.answer.Body, err = s.Get(ctx, r.call.Path)
			return err
		},
		"state.put":    func(ctx context.Context) error { return r.nothing(s.Put(ctx, r.call.Path, r.body)) },
		"state.delete": func(ctx context.Context) error { return r.nothing(s.Delete(ctx, r.call.Path)) },
	}
}

// part reads the header Range: "from-to", or "from-" for all that follows.
func (r *request) part() (p data.Range, err error) {
	text, ok := r.header("Range")
	if !ok || text == "" {
		return p, nil
	}
	from, to, dash := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	p.To = -1
	p.From, err = strconv.ParseInt(from, 10, 64)
	if err == nil && to != "" {
		p.To, err = strconv.ParseInt(to, 10, 64)
	}
	if err != nil || !dash || p.From < 0 || to != "" && p.To < p.From {
		return p, data.Errorf(data.Misuse, "range %.60q is not of the form 0-1023", text)
	}
	return p, nil
}
