package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// resource is one sort of object: what is its own about it. Pages, selectors,
// watching, revisions and applying are alike for all sorts.
type resource[T any] struct {
	one, many string   // "function", "functions"
	keys      []string // prefixes of the keys whose changes are changes of the object
	meta      func(*T) *function.Metadata
	// fields are what a fieldSelector may name besides metadata.name,
	// metadata.namespace and metadata.project.
	fields map[string]func(*T) string
	// list returns the objects of a namespace, "" for all.
	list func(ctx context.Context, namespace string) ([]T, store.Revision, error)
	get  func(ctx context.Context, n catalog.Name) (T, error)
	// page is list of a part, without reading the rest. May be nil.
	page func(ctx context.Context, p catalog.Part) (catalog.Listed[T], error)

	// own tells the changes of its objects from those of others whose keys
	// look alike, and names the object. May be nil: all are its own.
	own func(catalog.KeyChange) (catalog.KeyChange, bool)

	// gone completes what a watch says of an object that is no more. May be nil.
	gone func(*T)

	// The rest is for objects that are written as wholes.

	// complete fills in what put fills in, so that what is applied is compared
	// with what would be stored. May be nil.
	complete func(*T)
	// over tells that an object is a matter of the past: what is applied takes
	// its place and is not merged into it. May be nil.
	over func(T) bool
	// check says what is wrong with an object that is to be stored.
	check func(T) error
	// put stores an object in place of version: "0" for none, "" for any.
	put func(ctx context.Context, object T, version string) error
	// drop removes an object.
	drop func(r *http.Request, object T, version string) error
}

// List is a page of objects.
type List[T any] struct {
	Items           []T    `json:"items"`
	ResourceVersion string `json:"resourceVersion"` // to watch from
	// Continue is for ?continue=, if there are more.
	Continue string `json:"continue,omitempty"`
	// Remaining is how many more there were.
	Remaining int `json:"remaining,omitempty"`
}

// FunctionList is a page of functions.
type FunctionList = List[function.Function]

// ProjectList is a page of projects.
type ProjectList = List[function.Project]

// MappingList is a page of event mappings.
type MappingList = List[function.Mapping]

type handler = func(http.ResponseWriter, *http.Request) error

// listing lists, or watches with ?watch=true.
func listing[T any](s *server, res resource[T]) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		want, err := selection(r, res)
		if err != nil {
			return err
		}
		if watch, err := flag(r, "watch"); err != nil || watch {
			if err != nil {
				return err
			}
			return watching(s, res, want, w, r)
		}
		asked, err := pageOf(r)
		if err != nil {
			return err
		}
		if res.page != nil && asked.limit > 0 && !selects(r) && !partial(r) {
			out, err := pageFrom(res, r, asked)
			if err != nil {
				return err
			}
			return s.answer(w, r, http.StatusOK, out)
		}
		all, rev, err := res.list(r.Context(), everywhere(namespace(r)))
		if err != nil {
			return err
		}
		return s.answer(w, r, http.StatusOK, cut(res, all, rev, want, asked))
	}
}

// pageFrom is what [cut] makes, of who sees everything and selects nothing: it
// reads the page only.
func pageFrom[T any](res resource[T], r *http.Request, asked page) (out List[T], err error) {
	p := catalog.Part{Namespace: everywhere(namespace(r)), After: asked.after, Limit: asked.limit}
	found, err := res.page(r.Context(), p)
	if err != nil {
		return out, err
	}
	asked.revision = cmp.Or(asked.revision, found.Revision)
	out = List[T]{Items: found.Items, ResourceVersion: fmt.Sprint(asked.revision), Remaining: found.More}
	if out.Items == nil {
		out.Items = []T{}
	}
	if n := len(out.Items); out.Remaining > 0 && n > 0 {
		asked.after = keyOf(res.meta(&out.Items[n-1]))
		out.Continue = asked.token()
	}
	return out, nil
}

// cut returns the page that was asked for. Pages follow the order of keys, and
// so an object that is there throughout is on exactly one of them, whatever is
// written meanwhile.
func cut[T any](res resource[T], all []T, rev store.Revision, want func(*T) bool, asked page) List[T] {
	for i := range all {
		if i > 0 && keyOf(res.meta(&all[i-1])) > keyOf(res.meta(&all[i])) {
			all = slices.SortedFunc(slices.Values(all), func(a, b T) int { return cmp.Compare(keyOf(res.meta(&a)), keyOf(res.meta(&b))) })
			break
		}
	}
	if asked.revision == 0 {
		asked.revision = rev
	}
	out := List[T]{Items: []T{}, ResourceVersion: fmt.Sprint(asked.revision)}
	for i := range all {
		key := keyOf(res.meta(&all[i]))
		switch {
		case key <= asked.after || !want(&all[i]):
		case asked.limit > 0 && len(out.Items) == asked.limit:
			out.Remaining++
		default:
			out.Items = append(out.Items, all[i])
		}
	}
	if out.Remaining > 0 {
		asked.after = keyOf(res.meta(&out.Items[len(out.Items)-1]))
		out.Continue = asked.token()
	}
	return out
}

func keyOf(m *function.Metadata) string { return m.Namespace + "/" + m.Name }

// everywhere is a namespace as the catalog wants it.
func everywhere(ns string) string {
	if ns == "*" {
		return ""
	}
	return ns
}

// getting answers with one object.
func getting[T any](s *server, res resource[T]) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		object, err := find(res, r)
		if err != nil {
			return err
		}
		return s.object(w, r, http.StatusOK, res.meta(&object), object)
	}
}

// object answers with one object and its version.
func (s *server) object(w http.ResponseWriter, r *http.Request, status int, m *function.Metadata, v any) error {
	if m.ResourceVersion != "" {
		w.Header().Set("ETag", strconv.Quote(m.ResourceVersion))
	}
	if status == http.StatusCreated {
		w.Header().Set("Location", strings.TrimSuffix(r.URL.Path, "/"+m.Name)+"/"+m.Name+"?namespace="+m.Namespace)
	}
	return s.answer(w, r, status, v)
}

// answer is write, but for who asks for secrets with ?reveal=true.
func (s *server) answer(w http.ResponseWriter, r *http.Request, status int, v any) error {
	reveal, err := flag(r, "reveal")
	if err != nil {
		return err
	}
	if !reveal {
		return write(w, status, v)
	}
	b, err := document.MarshalRevealed(v)
	if err != nil {
		return fmt.Errorf("marshal answer: %w", err)
	}
	s.o.Log.Warn("secrets are shown, as was asked for", "path", r.URL.Path, "from", r.RemoteAddr)
	return send(w, status, b)
}

// find returns the object that a request names, or says which may be meant.
func find[T any](res resource[T], r *http.Request) (T, error) {
	n := name(r)
	object, err := res.get(r.Context(), n)
	if !errors.Is(err, store.ErrNotFound) {
		return object, err
	}
	var names []string
	if all, _, err := res.list(r.Context(), n.Namespace); err == nil {
		for i := range all {
			names = append(names, res.meta(&all[i]).Name)
		}
	}
	return object, problem.New(http.StatusNotFound, fmt.Sprintf("unknown %s %q in namespace %s%s", res.one, n.Name, n.Namespace, document.DidYouMean(n.Name, names)))
}
