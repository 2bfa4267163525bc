package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/myelin-run/myelin/control/apply"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// What an applied object says of it.
const (
	// OwnerLabel names the set that an object was applied with.
	OwnerLabel = "myelin.run/applied-by"
	// AppliedAnnotation holds the fields that were applied last, without
	// their values.
	AppliedAnnotation = "myelin.run/applied"
)

// applyType is the media type of an object that is to be applied.
const applyType = "application/vnd.myelin.apply+json"

// What applying came to.
const (
	ActionCreate = "create"
	ActionUpdate = "update"
	ActionNone   = "none"
)

// Applied is what became, or with ?dryRun=true would become, of an object that
// was applied.
type Applied[T any] struct {
	// Action is create, update or none.
	Action string `json:"action"`
	// Changes are the fields that differ. What is secret is hidden.
	Changes []apply.Change `json:"changes"`
	// Object is the object as it is then.
	Object T `json:"object"`
}

// AppliedFunction is what became of an applied function.
type AppliedFunction = Applied[function.Function]

// AppliedProject is what became of an applied project.
type AppliedProject = Applied[function.Project]

// AppliedAlias is what became of an applied alias.
type AppliedAlias = Applied[function.Alias]

// AppliedMapping is what became of an applied event mapping.
type AppliedMapping = Applied[function.Mapping]

// attempts bound how often applying begins anew because somebody else wrote.
const attempts = 10

// applying merges what the body declares into what is there: see package
// apply. ?owner= names the set that the object belongs to; another set's is
// taken over with ?force=true only.
func applying[T any](s *server, res resource[T]) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		text, err := body(w, r, applyType)
		if err != nil {
			return err
		}
		dry, err := flag(r, "dryRun")
		if err != nil {
			return err
		}
		force, err := flag(r, "force")
		if err != nil {
			return err
		}
		a := application[T]{res: res, r: r, text: text, owner: r.URL.Query().Get("owner"), dry: dry, force: force}
		if a.owner != "" && !function.IsLabel(a.owner) {
			return badQuery("owner", "%q is not a name of a-z, 0-9 and -, at most 63", a.owner)
		}
		for range attempts {
			err = a.try(s, w)
			if !errors.Is(err, store.ErrConflict) {
				break
			}
		}
		return a.told(err)
	}
}

// application is one object that is to be applied.
type application[T any] struct {
	res        resource[T]
	r          *http.Request
	text       []byte
	owner      string
	dry, force bool
	version    string
	header     bool
}

// told makes a problem of a conflict that did not go away.
func (a *application[T]) told(err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	m := function.Metadata{Name: a.r.PathValue("name"), Namespace: namespace(a.r)}
	return conflict(a.res, err, m, a.version, a.header)
}

func (a *application[T]) try(s *server, w http.ResponseWriter) error {
	wish, doc, err := decode(a.res, a.r, a.text)
	if err != nil {
		return err
	}
	if a.version, a.header, err = version(a.r, a.res.meta(&wish)); err != nil {
		return err
	}
	declared, err := parse(doc.JSON())
	if err != nil {
		return err
	}
	m := *a.res.meta(&wish)
	live, err := a.res.get(a.r.Context(), catalog.Name{Namespace: m.Namespace, Name: m.Name})
	action := ActionUpdate
	switch {
	case errors.Is(err, store.ErrNotFound):
		action = ActionCreate
	case err != nil:
		return err
	default:
		if err := a.mine(a.res.meta(&live)); err != nil {
			return err
		}
		if has := a.res.meta(&live).ResourceVersion; a.version != "" && a.version != has {
			return conflict(a.res, store.ErrConflict, m, a.version, a.header)
		}
	}
	past := a.res.over != nil && a.res.over(live)
	now, err := a.merge(wish, live, past || action == ActionCreate, declared)
	if err != nil {
		return err
	}
	if a.res.complete != nil {
		a.res.complete(&now)
	}
	changes, err := a.changes(live, now, action == ActionCreate)
	if err != nil {
		return err
	}
	if err := a.res.check(now); err != nil {
		return err
	}
	if len(changes) == 0 && action == ActionUpdate {
		action = ActionNone
	}
	status := http.StatusOK
	if !a.dry {
		if now, err = a.store(live, now, action); err != nil {
			return err
		}
		if action == ActionCreate {
			status = http.StatusCreated
		}
	}
	return s.object(w, a.r, status, a.res.meta(&now), Applied[T]{Action: action, Changes: changes, Object: now})
}

// mine refuses what another set owns.
func (a *application[T]) mine(m *function.Metadata) error {
	has := m.Labels[OwnerLabel]
	if has == "" || has == a.owner || a.force {
		return nil
	}
	if a.owner == "" {
		return problem.New(http.StatusConflict, fmt.Sprintf("%s %q was applied with the set %q: name it as the owner", a.res.one, m.Name, has))
	}
	return problem.New(http.StatusConflict, fmt.Sprintf("%s %q was applied with the set %q, not %q", a.res.one, m.Name, has, a.owner))
}

// merge returns the object as it is to be.
func (a *application[T]) merge(wish, live T, fresh bool, declared any) (T, error) {
	var none T
	if !fresh {
		var err error
		if wish, err = restore(wish, live); err != nil {
			return none, err
		}
	}
	a.res.meta(&wish).ResourceVersion = ""
	if err := a.sign(&wish, declared); err != nil {
		return none, err
	}
	was := a.res.meta(&live)
	var owned apply.Fields
	if note := was.Annotations[AppliedAnnotation]; note != "" {
		_ = json.Unmarshal([]byte(note), &owned) // a spoilt note owns nothing
	}
	from, err := tree(live)
	if err != nil {
		return none, err
	}
	to, err := tree(wish)
	if err != nil {
		return none, err
	}
	strip(to)
	if fresh {
		return untree[T](to)
	}
	return untree[T](apply.Merge(from, to, owned, apply.FieldsOf(declared)))
}

// strip removes what is nobody's to declare.
func strip(t any) {
	if fields, ok := t.(map[string]any); ok {
		delete(fields, "status")
	}
}

// sign notes who applies which fields.
func (a *application[T]) sign(wish *T, declared any) error {
	note, err := json.Marshal(ownable(apply.FieldsOf(declared)))
	if err != nil {
		return err
	}
	m := a.res.meta(wish)
	m.Annotations = with(m.Annotations, AppliedAnnotation, string(note))
	if a.owner != "" {
		m.Labels = with(m.Labels, OwnerLabel, a.owner)
	}
	return nil
}

// ownable leaves out what is the same for every object: who it is.
func ownable(f apply.Fields) apply.Fields {
	delete(f, "apiVersion")
	delete(f, "kind")
	if m := f["metadata"]; m != nil {
		delete(m, "name")
		delete(m, "namespace")
		delete(m, "resourceVersion")
	}
	return f
}

func with(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// changes are what a person wants to know: secrets hidden, our note left out.
func (a *application[T]) changes(live, now T, fresh bool) ([]apply.Change, error) {
	out := []apply.Change{}
	var from any = map[string]any{}
	var err error
	if !fresh {
		if from, err = tree(live); err != nil {
			return nil, err
		}
	}
	to, err := tree(now)
	if err != nil {
		return nil, err
	}
	for _, t := range []any{from, to} {
		strip(t)
		forget(t)
	}
	for _, c := range apply.Diff(from, to) {
		c.From, c.To = hide(c.Name, c.From), hide(c.Name, c.To)
		out = append(out, c)
	}
	return out, nil
}

// forget removes from a tree what changes by itself.
func forget(t any) {
	fields, _ := t.(map[string]any)
	m, _ := fields["metadata"].(map[string]any)
	delete(m, "resourceVersion")
	if notes, ok := m["annotations"].(map[string]any); ok {
		delete(notes, AppliedAnnotation)
		if len(notes) == 0 {
			delete(m, "annotations")
		}
	}
}

// store writes what is to be, if it differs, and returns what is.
func (a *application[T]) store(live, now T, action string) (T, error) {
	m, was := *a.res.meta(&now), *a.res.meta(&live)
	if action == ActionNone && m.Annotations[AppliedAnnotation] == was.Annotations[AppliedAnnotation] {
		return live, nil
	}
	v := a.version
	if v == "" {
		v = was.ResourceVersion
	}
	if action == ActionCreate {
		v = "0"
	}
	if err := a.res.put(a.r.Context(), now, v); err != nil {
		var none T
		if a.version != "" && errors.Is(err, store.ErrConflict) { // not to be tried again
			err = conflict(a.res, err, m, a.version, a.header)
		}
		return none, err
	}
	return a.res.get(a.r.Context(), catalog.Name{Namespace: m.Namespace, Name: m.Name})
}
