package server

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/myelin-run/myelin/dealer"
)

// TableReport is how a table is.
type TableReport struct {
	Name string `json:"name"`
	Term uint64 `json:"term"`
	Counts
	dealer.Report
	Leases []dealer.LeaseReport `json:"leases,omitempty"`
	Log    []LeaseMove          `json:"log,omitempty"` // the last moves first
}

// mostLeases bounds what one answer lists.
const mostLeases = 10_000

func (t *table) report(long bool) TableReport {
	r := TableReport{Name: t.name, Term: t.s.reign.Term(), Counts: t.counts, Report: t.Report(t.s.now())}
	if long {
		r.Leases, r.Log = t.Leases(mostLeases), t.lastMoves()
	}
	return r
}

// Tables says how all tables are; ok is false if this server does not deal.
func (s *Server) Tables(ctx context.Context) (out []TableReport, ok bool) {
	if !s.ask(ctx, func() {
		ok = s.tables != nil
		for _, t := range s.tables {
			out = append(out, t.report(false))
		}
	}) {
		return nil, false
	}
	slices.SortFunc(out, func(a, b TableReport) int { return cmp.Compare(a.Name, b.Name) })
	return out, ok
}

func (s *Server) listTables(w http.ResponseWriter, r *http.Request) {
	out, ok := s.Tables(r.Context())
	if !ok {
		http.Error(w, "this server does not deal", http.StatusServiceUnavailable)
		return
	}
	send(w, append([]TableReport{}, out...))
}

// Table says how one table is, with its leases and last moves; dealing is false
// if this server does not deal.
func (s *Server) Table(ctx context.Context, name string) (out TableReport, found, dealing bool) {
	s.ask(ctx, func() {
		dealing = s.tables != nil
		if t := s.tables[name]; t != nil {
			found, out = true, t.report(true)
		}
	})
	return out, found, dealing
}

func (s *Server) oneTable(w http.ResponseWriter, r *http.Request) {
	out, found, dealing := s.Table(r.Context(), r.PathValue("name"))
	switch {
	case !dealing:
		http.Error(w, "this server does not deal", http.StatusServiceUnavailable)
	case !found:
		http.Error(w, "there is no such table", http.StatusNotFound)
	default:
		send(w, out)
	}
}

func send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who asked has gone
}
