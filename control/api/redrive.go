package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// redrive runs the event of a letter again, in its function or with ?to= in
// another one of the namespace, and removes the letter if that is done.
func (s *server) redrive(w http.ResponseWriter, r *http.Request) error {
	box, err := s.box(r)
	if err != nil {
		return err
	}
	k, err := box.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	target, err := meant(r)
	if err != nil {
		return err
	}
	if to := r.URL.Query().Get("to"); to != "" {
		if target, err = s.redriver(r.Context(), name(r), to, k.ID); err != nil {
			return err
		}
	}
	done, err := s.o.Letters.Redrive(r.Context(), target.String(), &k.Letter)
	if err != nil {
		return problem.New(http.StatusBadGateway, err.Error()+hintOf(target))
	}
	done.Ms, done.Answer = 0, nil // the letter has what it needs
	out := Redriven{ID: k.ID, By: target.Name.Name, Outcome: done}
	if target.Version > 0 {
		out.By += ":" + target.Label()
	}
	if done.Error == "" {
		if err := box.Remove(k.ID); err != nil {
			return err
		}
		out.Removed = true
	}
	return write(w, http.StatusOK, out)
}

// hintOf says why a version need not run.
func hintOf(d catalog.Deployment) string {
	if d.Version == 0 {
		return ""
	}
	return ": a version runs while an alias or a mapping names it"
}

// redriveTo takes ?to= apart: NAME, NAME:VERSION or NAME:ALIAS, with own for a
// NAME that is left out.
func redriveTo(own, to string) (name, version string) {
	name, version, _ = strings.Cut(to, ":")
	return or(name, own), version
}

// redriver finds what is to run the letter of that id. An alias deals letters by
// their ids: as long as the weights stay, one goes to the same version each time.
func (s *server) redriver(ctx context.Context, own catalog.Name, to, id string) (d catalog.Deployment, err error) {
	fn, version := redriveTo(own.Name, to)
	d.Name = catalog.Name{Namespace: own.Namespace, Name: fn}
	if version == "" && !strings.Contains(to, ":") {
		return d, nil
	}
	if version == "" {
		return d, badQuery("to", "%q names no version: want NAME, NAME:VERSION or NAME:ALIAS", to)
	}
	if _, err := s.o.Catalog.Get(ctx, d.Name); errors.Is(err, store.ErrNotFound) {
		return d, problem.New(http.StatusNotFound, fmt.Sprintf("unknown function %q in namespace %s", fn, d.Namespace))
	} else if err != nil {
		return d, err
	}
	if d.Version, err = function.ParseVersion(version); err != nil {
		if version, err = s.dealt(ctx, d.Name, version, id); err != nil {
			return d, err
		}
		if d.Version, err = function.ParseVersion(version); err != nil {
			return d, err
		}
	}
	if d.Version == 0 {
		return d, nil
	}
	if _, err := s.o.Catalog.Version(ctx, d); err != nil {
		return d, noVersion(d, err)
	}
	return d, nil
}

// dealt is the version that an alias deals to a letter. Its rules are about
// requests and are not looked at.
func (s *server) dealt(ctx context.Context, fn catalog.Name, alias, id string) (string, error) {
	a, err := s.o.Catalog.Alias(ctx, fn, alias)
	if errors.Is(err, store.ErrNotFound) {
		return "", problem.New(http.StatusNotFound, fmt.Sprintf("%s has no version or alias %q", fn.Name, alias))
	}
	if err != nil {
		return "", err
	}
	return route.Deal(a.Spec.Versions, id), nil
}
