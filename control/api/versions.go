package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// VersionList is a page of a function's versions, the newest first.
type VersionList = List[function.Version]

// publish makes a version of a function as it is: 201, or 200 with the last
// version if nothing has changed since.
func (s *server) publish(w http.ResponseWriter, r *http.Request) error {
	f, err := s.find(r)
	if err != nil {
		return err
	}
	who := author(r)
	v, fresh, err := s.o.Catalog.Publish(r.Context(), name(r), who.Note, who.By)
	switch {
	case errors.Is(err, catalog.ErrNotBuilt):
		return problem.New(http.StatusConflict, fmt.Sprintf("function %q cannot be published: %v", f.Metadata.Name, catalog.ErrNotBuilt))
	case err != nil:
		return err
	case fresh:
		return write(w, http.StatusCreated, v)
	}
	return write(w, http.StatusOK, v)
}

func (s *server) versions(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.find(r); err != nil {
		return err
	}
	if watch, err := flag(r, "watch"); err != nil || watch {
		if err != nil {
			return err
		}
		return s.watchVersions(w, r)
	}
	asked, err := pageOf(r)
	if err != nil {
		return err
	}
	before := 0
	if asked.after != "" {
		if before, err = strconv.Atoi(asked.after); err != nil {
			return badQuery("continue", "not what a page was answered with")
		}
	}
	all, rev, err := s.o.Catalog.Versions(r.Context(), name(r))
	if err != nil {
		return err
	}
	if asked.revision == 0 {
		asked.revision = rev
	}
	out := VersionList{Items: []function.Version{}, ResourceVersion: fmt.Sprint(asked.revision)}
	for _, v := range slices.Backward(all) {
		switch {
		case before > 0 && v.Number >= before:
		case asked.limit > 0 && len(out.Items) == asked.limit:
			out.Remaining++
		default:
			out.Items = append(out.Items, v)
		}
	}
	if out.Remaining > 0 {
		asked.after = strconv.Itoa(out.Items[len(out.Items)-1].Number)
		out.Continue = asked.token()
	}
	return write(w, http.StatusOK, out)
}

// collect removes the versions that nothing names and that are not among the
// newest ?keep=, default 10, and are older than ?olderThan=.
func (s *server) collect(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.find(r); err != nil {
		return err
	}
	keep := plan.Keep{Newest: 10}
	q := r.URL.Query()
	if text := q.Get("keep"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return badQuery("keep", "want a number, got %q", text)
		}
		keep.Newest = n
	}
	if text := q.Get("olderThan"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return badQuery("olderThan", "want a time such as 24h, got %q", text)
		}
		keep.For = d
	}
	dry, err := flag(r, "dryRun")
	if err != nil {
		return err
	}
	gone, err := s.o.Catalog.Collect(r.Context(), name(r), keep, dry)
	if err != nil {
		return err
	}
	out := VersionList{Items: gone}
	if gone == nil {
		out.Items = []function.Version{}
	}
	return write(w, http.StatusOK, out)
}

// watchVersions sends the versions of a function, the oldest first, and then
// each one that changes.
func (s *server) watchVersions(w http.ResponseWriter, r *http.Request) error {
	from, resumed, err := since(r)
	if err != nil {
		return err
	}
	var all []function.Version
	if !resumed {
		if all, from, err = s.o.Catalog.Versions(r.Context(), name(r)); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := &events{w: w, push: http.NewResponseController(w).Flush}
	for _, v := range all {
		out.send(EventPut, 0, v)
	}
	out.send(EventSynced, from, struct{}{})
	out.flush()
	changes := s.o.Catalog.Watch(r.Context(), from)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for out.err == nil {
		select {
		case <-r.Context().Done():
			return nil
		case <-beat.C:
			out.comment()
		case c, ok := <-changes:
			if !ok {
				out.send(EventReset, 0, struct{}{})
				out.flush()
				return nil
			}
			if c.Version > 0 && c.Name == name(r) {
				s.sendVersion(r, c, out)
				out.flush()
			}
		}
	}
	return nil
}

// sendVersion sends a version as it is now.
func (s *server) sendVersion(r *http.Request, c catalog.Change, out *events) {
	v, err := s.o.Catalog.Version(r.Context(), catalog.Deployment{Name: c.Name, Version: c.Version})
	switch {
	case errors.Is(err, store.ErrNotFound):
		out.send(EventDelete, c.Revision, function.Version{Namespace: c.Name.Namespace, Function: c.Name.Name, Number: c.Version})
	case err != nil:
		out.err = err
	default:
		out.send(EventPut, c.Revision, v)
	}
}

// meant is the function in a request's path, or its version that ?version= says.
func meant(r *http.Request) (catalog.Deployment, error) {
	text := r.URL.Query().Get("version")
	n, err := function.ParseVersion(text)
	if err != nil {
		return catalog.Deployment{}, badQuery("version", "%v", err)
	}
	return catalog.Deployment{Name: name(r), Version: n}, nil
}

// deployment is the version in a request's path.
func (s *server) deployment(r *http.Request) (catalog.Deployment, error) {
	f, err := s.find(r)
	if err != nil {
		return catalog.Deployment{}, err
	}
	text := r.PathValue("version")
	n, err := function.ParseVersion(text)
	if err != nil || n < 1 {
		return catalog.Deployment{}, problem.New(http.StatusNotFound, fmt.Sprintf("%q is not a version of %s: want a number such as 3", text, f.Metadata.Name))
	}
	return catalog.Deployment{Name: name(r), Version: n}, nil
}

func (s *server) getVersion(w http.ResponseWriter, r *http.Request) error {
	d, err := s.deployment(r)
	if err != nil {
		return err
	}
	v, err := s.o.Catalog.Version(r.Context(), d)
	if err != nil {
		return noVersion(d, err)
	}
	named, err := s.o.Catalog.Named(r.Context(), d.Name)
	if err != nil {
		return err
	}
	v.Status.NamedBy = named[d.Version]
	return s.answer(w, r, http.StatusOK, v)
}

func noVersion(d catalog.Deployment, err error) error {
	var named *catalog.NamedError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return problem.New(http.StatusNotFound, fmt.Sprintf("%s has no version %d", d.Name.Name, d.Version))
	case errors.As(err, &named):
		return problem.New(http.StatusConflict, err.Error()+": move or delete what names it first")
	}
	return err
}

func (s *server) deleteVersion(w http.ResponseWriter, r *http.Request) error {
	d, err := s.deployment(r)
	if err != nil {
		return err
	}
	if err := s.o.Catalog.DeleteVersion(r.Context(), d); err != nil {
		return noVersion(d, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
