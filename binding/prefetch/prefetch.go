// Package prefetch fetches what events will need of bindings before the function
// gets them: keys and objects whose names, and answers whose parameters, come from
// the event. It knows no driver and no trigger; how the function finds what was
// fetched is package data's, and for workers in other processes package remote's.
package prefetch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
)

// Plan says what is fetched for each event.
type Plan struct{ all []*wish }

// wish is one thing that is fetched.
type wish struct {
	binding  string
	as       string
	required bool
	get      function.Template
	query    string
	params   []function.Template
	fetch    func(ctx context.Context, w *wish, it *data.Item, args []any)
	keys     *data.KV // where many keys are better read together; else nil
}

// atOnce is how much is fetched at the same time for one list of events.
const atOnce = 16

// New makes the plan of specs, whose handles are there by name; nil if nothing is
// fetched. What is wrong is a [document.Errors].
func New(specs map[string]function.DataBinding, handles map[string]any) (*Plan, error) {
	p := &Plan{}
	for _, key := range slices.Sorted(maps.Keys(specs)) {
		spec := specs[key]
		name := spec.Name
		if name == "" {
			name = key
		}
		for i, want := range spec.Prefetch {
			w, err := wishOf(name, want, handles[name])
			if err != nil {
				at := document.Join("spec.dataBindings", key) + ".prefetch[" + strconv.Itoa(i) + "]"
				return nil, document.Errors{{Path: at, Msg: err.Error()}}
			}
			p.all = append(p.all, w)
		}
	}
	if len(p.all) == 0 {
		return nil, nil
	}
	return p, nil
}

func wishOf(binding string, want function.Prefetch, handle any) (w *wish, err error) {
	w = &wish{binding: binding, as: want.As, required: want.Required, query: want.Query}
	if w.get, err = parse(want.Get); err != nil {
		return nil, err
	}
	for _, text := range want.Params {
		t, err := parse(text)
		if err != nil {
			return nil, err
		}
		w.params = append(w.params, t)
	}
	switch h := handle.(type) {
	case *data.KV:
		if h.Many() {
			w.keys = h
		}
		w.fetch = func(ctx context.Context, _ *wish, it *data.Item, _ []any) { it.Value, it.Err = h.Shared(ctx, it.Key) }
	case *data.Object:
		w.fetch = func(ctx context.Context, _ *wish, it *data.Item, _ []any) {
			it.Value.Data, it.Info, it.Err = h.Shared(ctx, it.Key, data.Range{})
		}
	case *data.Table:
		w.fetch = func(ctx context.Context, w *wish, it *data.Item, args []any) {
			it.Rows, it.Err = h.Query(ctx, w.query, args...)
		}
	default:
		return nil, errors.New("is for the classes kv, object and table")
	}
	if _, table := handle.(*data.Table); table != (want.Query != "") {
		return nil, errors.New("needs query for a table, and get for the other classes")
	}
	return w, nil
}

// job is something to fetch, for one event or several that want the same.
type job struct {
	wish *wish
	item *data.Item
	args []any
}

// Fetch fetches what events want, each thing once. For each event there is what
// was fetched, or why the event cannot run.
func (p *Plan) Fetch(ctx context.Context, evs []*event.Event) ([]*data.Fetched, []error) {
	items, errs := make([][]*job, len(evs)), make([]error, len(evs))
	var todo []*job
	same := map[string]*job{}
	for i, ev := range evs {
		v := view{ev: ev}
		for _, w := range p.all {
			j, err := w.job(&v)
			if err != nil {
				if w.required && errs[i] == nil {
					errs[i] = event.Permanent(event.Errorf(http.StatusBadRequest, "prefetch of binding %s: %s", w.binding, err.Error()))
				}
				continue
			}
			if len(evs) > 1 && w.query == "" {
				k := w.binding + "\x00" + w.as + "\x00" + j.item.Key
				if other := same[k]; other != nil {
					j = other
				} else {
					same[k] = j
				}
			}
			if j != nil && !slices.Contains(todo, j) {
				todo = append(todo, j)
			}
			items[i] = append(items[i], j)
		}
	}
	run(ctx, todo)
	out := make([]*data.Fetched, len(evs))
	for i := range evs {
		out[i], errs[i] = gather(items[i], errs[i])
	}
	return out, errs
}

// job makes what an event wants; an error says what it lacks.
func (w *wish) job(v *view) (*job, error) {
	j := &job{wish: w, item: &data.Item{Binding: w.binding, As: w.as}}
	if w.query == "" {
		var err error
		j.item.Key, err = v.text(w.get)
		return j, err
	}
	for _, t := range w.params {
		a, err := v.parameter(t)
		if err != nil {
			return nil, err
		}
		j.args = append(j.args, a)
	}
	return j, nil
}

// run fetches.
func run(ctx context.Context, todo []*job) {
	lots := together(todo)
	if len(lots) == 1 {
		fetch(ctx, lots[0])
		return
	}
	var all sync.WaitGroup
	next := make(chan []*job)
	for range min(atOnce, len(lots)) {
		all.Go(func() {
			for lot := range next {
				fetch(ctx, lot)
			}
		})
	}
	for _, lot := range lots {
		next <- lot
	}
	close(next)
	all.Wait()
}

// keysAtOnce is how many keys are read together.
const keysAtOnce = 64

// together makes lots of what is fetched together: keys of one binding that can read
// many, and each other thing alone.
func together(todo []*job) (lots [][]*job) {
	open := map[*data.KV]int{} // the last lot of each
	for _, j := range todo {
		if j.wish.keys == nil {
			lots = append(lots, []*job{j})
			continue
		}
		if at, ok := open[j.wish.keys]; ok && len(lots[at]) < keysAtOnce {
			lots[at] = append(lots[at], j)
			continue
		}
		open[j.wish.keys] = len(lots)
		lots = append(lots, []*job{j})
	}
	return lots
}

func fetch(ctx context.Context, lot []*job) {
	if len(lot) == 1 {
		lot[0].wish.fetch(ctx, lot[0].wish, lot[0].item, lot[0].args)
		return
	}
	keys := make([]string, len(lot))
	for i, j := range lot {
		keys[i] = j.item.Key
	}
	values, errs := lot[0].wish.keys.SharedAll(ctx, keys)
	for i, j := range lot {
		j.item.Value, j.item.Err = values[i], errs[i]
	}
}

// gather makes what an event gets. What could not be fetched is left out, so that
// the function's own call tries anew, unless the event cannot run without.
func gather(jobs []*job, err error) (*data.Fetched, error) {
	if err != nil {
		return nil, err
	}
	items := make([]*data.Item, 0, len(jobs))
	for _, j := range jobs {
		if e := j.item.Err; e != nil && !errors.Is(e, data.NotFound) {
			if j.wish.required {
				return nil, failure(e)
			}
			continue
		}
		items = append(items, j.item)
	}
	return data.NewFetched(items), nil
}

// failure is that of an event that needs what could not be fetched.
func failure(err error) error {
	status := int(data.ReasonOf(err))
	if status == 0 {
		status = http.StatusInternalServerError
	}
	out := fmt.Errorf("prefetch: %w", err)
	return event.Errorf(status, "%s", out.Error())
}
