package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// BusyError says that a rollout cannot be asked for something now.
type BusyError struct{ Why string }

func (e *BusyError) Error() string { return e.Why }

// followed is the status of a rollout as it is stored: with what had been
// counted when its step began, which is whoever counts's own.
type followed struct {
	Status function.RolloutStatus `json:"status"`
	Mark   json.RawMessage        `json:"mark,omitempty"`

	at store.Revision // of the status
}

// Rollout returns the rollout of an alias. [store.ErrNotFound]: there is none.
func (c *Catalog) Rollout(ctx context.Context, n Name, alias string) (function.Rollout, error) {
	r, _, err := c.rollout(ctx, n, alias)
	return r, err
}

func (c *Catalog) rollout(ctx context.Context, n Name, alias string) (r function.Rollout, f followed, err error) {
	e, err := store.Get(ctx, c.s, n.rollout(alias))
	if err != nil {
		return r, f, err
	}
	st, err := store.Get(ctx, c.s, n.rolloutStatus(alias))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return r, f, err
	}
	return decodeRollout(e, st)
}

func decodeRollout(e, st store.Entry) (r function.Rollout, f followed, err error) {
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return r, f, fmt.Errorf("read %s: %w", e.Key, err)
	}
	if st.Value != nil {
		if err := json.Unmarshal(st.Value, &f); err != nil {
			return r, f, fmt.Errorf("read %s: %w", st.Key, err)
		}
	}
	f.at = st.Revision
	r.Status, r.Metadata.ResourceVersion = f.Status, strconv.FormatInt(int64(e.Revision), 10)
	return r, f, nil
}

// Rollouts returns the rollouts of a function, in order, and the revision at
// which that was so. A name that is empty stands for all, as in
// [Catalog.Aliases].
func (c *Catalog) Rollouts(ctx context.Context, n Name) ([]function.Rollout, store.Revision, error) {
	below := n.below()
	entries, rev, err := c.s.List(ctx, rollouts+below)
	if err != nil || len(entries) == 0 {
		return nil, rev, err
	}
	found, _, err := c.s.List(ctx, rolloutStatuses+below)
	if err != nil {
		return nil, 0, err
	}
	status := map[string]store.Entry{}
	for _, e := range found {
		status[e.Key[len(rolloutStatuses):]] = e
	}
	out := make([]function.Rollout, len(entries))
	for i, e := range entries {
		if out[i], _, err = decodeRollout(e, status[e.Key[len(rollouts):]]); err != nil {
			return nil, 0, err
		}
	}
	return out, rev, nil
}

// StartRollout stores a rollout and moves its alias to the first step, both or
// neither. version is as in [Catalog.Put]. A rollout that has ended is
// replaced; for one that is under way, [*BusyError]. The same again changes
// nothing, unless anew is set: then one that has ended begins again.
// [document.Errors] say what it names that is not there.
func (c *Catalog) StartRollout(ctx context.Context, r function.Rollout, version string, anew bool, who Author) error {
	return again(func() error { return c.startRollout(ctx, r, version, anew, who) })
}

func (c *Catalog) startRollout(ctx context.Context, r function.Rollout, version string, anew bool, who Author) error {
	n, alias := Name{r.Metadata.Namespace, r.Spec.Function}, r.Metadata.Name
	old, f, err := c.rollout(ctx, n, alias)
	there := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	at := rolloutRevision(old)
	if version != "" && version != strconv.FormatInt(int64(at), 10) {
		return store.ErrConflict
	}
	r.Status, r.Metadata.ResourceVersion = function.RolloutStatus{}, ""
	op, err := rolloutOp(n, r, at)
	if err != nil {
		return err
	}
	same := there && reflect.DeepEqual(r.Spec, old.Spec)
	switch {
	case same && !anew:
		if reflect.DeepEqual(r.Metadata, unversioned(old.Metadata)) {
			return nil
		}
		_, err = c.s.Commit(ctx, op)
		return met(err)
	case there && !old.Status.State.Ended():
		return &BusyError{fmt.Sprintf("a rollout of %s %s to version %s is under way (step %d of %d): promote or abort it first", n.Name, alias, old.Spec.Version, old.Status.Step, len(old.Spec.Steps))}
	}
	a, fam, err := c.rolledOut(ctx, n, r)
	if err != nil {
		return err
	}
	next, err := plan.RolloutStart(r.Spec, a.Spec.Versions, who.By, time.Now().UTC().Round(time.Millisecond))
	if err != nil {
		return document.Errors{{Path: "spec.version", Msg: err.Error()}}
	}
	return c.commitRollout(ctx, n, alias, change{next: next, at: f.at, alias: a, fam: fam, who: who}, op)
}

func unversioned(m function.Metadata) function.Metadata {
	m.ResourceVersion = ""
	return m
}

func rolloutRevision(r function.Rollout) store.Revision {
	rev, _ := strconv.ParseInt(r.Metadata.ResourceVersion, 10, 64) // the catalog wrote it
	return store.Revision(rev)
}

func rolloutOp(n Name, r function.Rollout, at store.Revision) (store.Op, error) {
	b, err := document.MarshalRevealed(r)
	if err != nil {
		return store.Op{}, fmt.Errorf("store rollout: %w", err)
	}
	return store.Op{Key: n.rollout(r.Metadata.Name), Value: b, Check: true, If: at}, nil
}

// rolledOut returns the alias of a rollout, or says what of it is not there.
func (c *Catalog) rolledOut(ctx context.Context, n Name, r function.Rollout) (a function.Alias, fam family, err error) {
	if fam, err = c.family(ctx, n); err != nil {
		return a, fam, err
	}
	var problems document.Errors
	if _, err := store.Get(ctx, c.s, n.spec()); errors.Is(err, store.ErrNotFound) {
		problems.Add("spec.function", "there is no function %q in namespace %s", n.Name, n.Namespace)
		return a, fam, problems
	} else if err != nil {
		return a, fam, err
	}
	if v, err := function.ParseVersion(r.Spec.Version); err == nil {
		_, err := store.Get(ctx, c.s, Deployment{n, v}.spec())
		if errors.Is(err, store.ErrNotFound) {
			problems.Add("spec.version", "%s has no version %d", n.Name, v)
		} else if err != nil {
			return a, fam, err
		}
	}
	if a, err = c.Alias(ctx, n, r.Metadata.Name); errors.Is(err, store.ErrNotFound) {
		var names []string
		all, _, err := c.Aliases(ctx, n)
		if err != nil {
			return a, fam, err
		}
		for _, a := range all {
			names = append(names, a.Metadata.Name)
		}
		problems.Add("metadata.name", "%s has no alias %q%s", n.Name, r.Metadata.Name, document.DidYouMean(r.Metadata.Name, names))
	} else if err != nil {
		return a, fam, err
	}
	return a, fam, problems.Err()
}

// change is what becomes of a rollout and its alias.
type change struct {
	next  plan.RolloutNext
	mark  json.RawMessage
	at    store.Revision // of the status that it replaces
	alias function.Alias
	fam   family
	who   Author
}

// commitRollout stores what is next of a rollout, and moves its alias, if
// nobody else has changed either.
func (c *Catalog) commitRollout(ctx context.Context, n Name, alias string, ch change, ops ...store.Op) error {
	b, err := json.Marshal(followed{Status: ch.next.Status, Mark: ch.mark})
	if err != nil {
		return fmt.Errorf("store status of rollout %s: %w", alias, err)
	}
	ops = append(ops, store.Op{Key: n.rolloutStatus(alias), Value: b, Check: true, If: ch.at})
	if ch.next.Move != nil {
		a := ch.alias
		a.Spec.Versions = ch.next.Move
		if err := c.leadsSomewhere(ctx, n, a.Spec); err != nil {
			return err
		}
		who := ch.who
		if who.Note = ch.next.Note; who.By == "" {
			who.By = "rollout"
		}
		more, _, err := aliasOps(n, a, revisionOf(a), ch.fam, who)
		if err != nil {
			return err
		}
		ops = append(ops, more...)
	}
	_, err = c.s.Commit(ctx, ops...)
	return met(err)
}

// Following is a rollout with all that there is to decide what is next of it.
type Following struct {
	Rollout function.Rollout
	Alias   *function.Alias // nil: there is none any more
	// Mark is what had been counted when the present step began.
	Mark json.RawMessage
}

// Effective tells whether requests follow the alias as it is written.
func (f *Following) Effective() bool {
	return f.Alias != nil && store.Revision(f.Alias.Status.Observed) == revisionOf(*f.Alias)
}

// FollowRollout asks decide what is next of a rollout, and stores it: its
// status, the mark, and the move of its alias, all or nothing. If somebody else
// changed one of them meanwhile, decide is asked again. What it returns is
// stored only if save says so.
func (c *Catalog) FollowRollout(ctx context.Context, n Name, alias string, who Author, decide func(Following) (next plan.RolloutNext, mark json.RawMessage, save bool, err error)) error {
	return again(func() error {
		fam, err := c.family(ctx, n)
		if err != nil {
			return err
		}
		r, f, err := c.rollout(ctx, n, alias)
		if err != nil {
			return err
		}
		in := Following{Rollout: r, Mark: f.Mark}
		a, err := c.Alias(ctx, n, alias)
		if err == nil {
			in.Alias = &a
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		next, mark, save, err := decide(in)
		if err != nil || !save {
			return err
		}
		return c.commitRollout(ctx, n, alias, change{next: next, mark: mark, at: f.at, alias: a, fam: fam, who: who})
	})
}

// SteerRollout does what somebody asks of a rollout: one of
// [plan.RolloutVerbs]. [*BusyError]: it is not in a state for that.
func (c *Catalog) SteerRollout(ctx context.Context, n Name, alias, verb string, who Author) error {
	return c.FollowRollout(ctx, n, alias, who, func(f Following) (plan.RolloutNext, json.RawMessage, bool, error) {
		see := plan.Seen{Now: time.Now().UTC().Round(time.Millisecond), Alias: f.Alias}
		next, err := plan.RolloutSteer(f.Rollout.Spec, f.Rollout.Status, see, verb, who.By, who.Note)
		if err != nil {
			err = &BusyError{fmt.Sprintf("rollout %s of %s: %v", alias, n.Name, err)}
		}
		return next, f.Mark, true, err
	})
}

// DeleteRollout removes a rollout that has ended. version is as in
// [Catalog.Put]. [*BusyError]: it is under way.
func (c *Catalog) DeleteRollout(ctx context.Context, n Name, alias, version string) error {
	return again(func() error {
		r, f, err := c.rollout(ctx, n, alias)
		switch {
		case err != nil:
			return err
		case version != "" && version != r.Metadata.ResourceVersion:
			return store.ErrConflict
		case !r.Status.State.Ended():
			return &BusyError{fmt.Sprintf("rollout %s of %s is under way: promote or abort it first", alias, n.Name)}
		}
		_, err = c.s.Commit(ctx, store.Op{Key: n.rollout(alias), Check: true, If: rolloutRevision(r)}, store.Op{Key: n.rolloutStatus(alias), Check: true, If: f.at})
		return met(err)
	})
}
