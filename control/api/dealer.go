package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	dealers "github.com/myelin-run/myelin/dealer/server"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Dealer tells how shards are dealt. dealing is false while it cannot say.
type Dealer interface {
	Tables(ctx context.Context) (ts []dealers.TableReport, dealing bool)
	Table(ctx context.Context, name string) (t dealers.TableReport, found, dealing bool)
}

// DealerList says how the shards of a function's triggers are dealt.
type DealerList struct {
	Items []DealerTable `json:"items"`
}

// DealerTable says how the shards of one trigger are dealt to processors.
type DealerTable struct {
	Namespace string `json:"namespace"`
	Function  string `json:"function"`
	Trigger   string `json:"trigger"`
	dealers.TableReport
}

// TableOf is the dealer's table of a trigger of a function.
func TableOf(fn catalog.Name, name string) string {
	return stream.TableOf(trigger.Settings{Namespace: fn.Namespace, Function: fn.Name, Name: name})
}

// dealtFunction is the function in the path, if it is there and there is a
// dealer.
func (s *server) dealtFunction(r *http.Request) (catalog.Name, error) {
	fn := catalog.Name{Namespace: namespace(r), Name: r.PathValue("function")}
	if s.o.Dealer == nil {
		return fn, problem.New(http.StatusNotImplemented, "nothing is dealt here")
	}
	_, err := s.o.Catalog.Get(r.Context(), fn)
	if errors.Is(err, store.ErrNotFound) {
		return fn, problem.New(http.StatusNotFound, fmt.Sprintf("unknown function %q in namespace %s", fn.Name, fn.Namespace))
	}
	return fn, err
}

var errNotDealing = problem.New(http.StatusServiceUnavailable, "the dealer is just taking over; ask again")

// dealings lists the tables of a function.
func (s *server) dealings(w http.ResponseWriter, r *http.Request) error {
	fn, err := s.dealtFunction(r)
	if err != nil {
		return err
	}
	all, deals := s.o.Dealer.Tables(r.Context())
	if !deals {
		return errNotDealing
	}
	out := DealerList{Items: []DealerTable{}}
	for _, t := range all {
		if name, ok := strings.CutPrefix(t.Name, TableOf(fn, "")); ok {
			out.Items = append(out.Items, DealerTable{fn.Namespace, fn.Name, name, t})
		}
	}
	return write(w, http.StatusOK, out)
}

// dealing tells of one table.
func (s *server) dealing(w http.ResponseWriter, r *http.Request) error {
	fn, err := s.dealtFunction(r)
	if err != nil {
		return err
	}
	name := r.PathValue("trigger")
	t, found, deals := s.o.Dealer.Table(r.Context(), TableOf(fn, name))
	switch {
	case !deals:
		return errNotDealing
	case !found:
		return problem.New(http.StatusNotFound, fmt.Sprintf("no shards of a trigger %q of %s were dealt", name, fn.Name))
	}
	return write(w, http.StatusOK, DealerTable{fn.Namespace, fn.Name, name, t})
}

// allDealings lists the tables of all functions that the caller sees.
func (s *server) allDealings(w http.ResponseWriter, r *http.Request) error {
	if s.o.Dealer == nil {
		return problem.New(http.StatusNotImplemented, "nothing is dealt here")
	}
	seen, err := s.seen(r)
	if err != nil {
		return err
	}
	all, deals := s.o.Dealer.Tables(r.Context())
	if !deals {
		return errNotDealing
	}
	out := DealerList{Items: []DealerTable{}}
	for _, t := range all {
		parts := strings.SplitN(t.Name, ".", 3) // TableOf
		if len(parts) < 3 {
			continue
		}
		if fn := (catalog.Name{Namespace: parts[0], Name: parts[1]}); seen[fn] {
			out.Items = append(out.Items, DealerTable{fn.Namespace, fn.Name, parts[2], t})
		}
	}
	return write(w, http.StatusOK, out)
}
