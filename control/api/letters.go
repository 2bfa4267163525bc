package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// LetterList is a page of dead letters, the oldest first; bodies and headers
// of events are left out.
type LetterList struct {
	Items    []letterbox.Kept    `json:"items"`
	Problems []letterbox.Problem `json:"problems,omitempty"` // files that cannot be read
	Next     string              `json:"next,omitempty"`     // for ?after=, if there are more
}

// Redriven is what became of a letter: removed if its event was done.
type Redriven struct {
	ID string `json:"id"`
	By string `json:"by"` // the function that ran it, with its version as "orders:3"
	letter.Outcome
	Removed bool `json:"removed"`
}

// Purged says how many letters were removed.
type Purged struct {
	Removed int `json:"removed"`
}

const defaultPage, maxPage = 100, 1000

// box returns the letters of a function, also of one that is gone.
func (s *server) box(r *http.Request) (*letterbox.Box, error) {
	if s.o.Letters == nil {
		return nil, problem.New(http.StatusNotImplemented, "this platform keeps no dead letters")
	}
	of, err := meant(r)
	if err != nil {
		return nil, err
	}
	_, missing := s.find(r)
	box := s.o.Letters.Letterbox(of.String())
	if missing == nil {
		return box, nil
	}
	if n, err := box.Count(); err != nil || n == 0 {
		return nil, missing
	}
	return box, nil
}

func (s *server) letters(w http.ResponseWriter, r *http.Request) error {
	box, err := s.box(r)
	if err != nil {
		return err
	}
	limit := defaultPage
	if text := r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxPage {
			return problem.New(http.StatusBadRequest, fmt.Sprintf("limit=%s: want 1 to %d", text, maxPage))
		}
	}
	out := LetterList{Items: []letterbox.Kept{}}
	kept, problems, next, err := box.List(r.URL.Query().Get("after"), limit)
	if err != nil {
		return err
	}
	for _, k := range kept {
		k.Event.Body, k.Event.Headers = nil, nil
		out.Items = append(out.Items, k)
	}
	out.Problems, out.Next = problems, next
	return plain(w, out)
}

func (s *server) letter(w http.ResponseWriter, r *http.Request) error {
	box, err := s.box(r)
	if err != nil {
		return err
	}
	k, err := box.Get(r.PathValue("id"))
	if err != nil {
		return err
	}
	return plain(w, k)
}

// plain answers with v as it is: an event is no configuration, in which what
// looks secret is hidden.
func plain(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(v) // nobody left to tell
	return nil
}

func (s *server) dropLetter(w http.ResponseWriter, r *http.Request) error {
	box, err := s.box(r)
	if err != nil {
		return err
	}
	if err := box.Remove(r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// purge removes all letters, or with ?before=TIME those whose event was last
// tried earlier.
func (s *server) purge(w http.ResponseWriter, r *http.Request) error {
	box, err := s.box(r)
	if err != nil {
		return err
	}
	var before time.Time
	if text := r.URL.Query().Get("before"); text != "" {
		if before, err = time.Parse(time.RFC3339, text); err != nil {
			return problem.New(http.StatusBadRequest, fmt.Sprintf("before=%s: want a time such as 2026-03-01T12:00:00Z", text))
		}
	}
	var out Purged
	for after, more := "", true; more; more = after != "" {
		kept, problems, next, err := box.List(after, maxPage)
		if err != nil {
			return err
		}
		var ids []string
		for _, k := range kept {
			if before.IsZero() || k.Last.Before(before) {
				ids = append(ids, k.ID)
			}
		}
		for _, p := range problems {
			if before.IsZero() {
				ids = append(ids, p.ID)
			}
		}
		for _, id := range ids {
			if err := box.Remove(id); err != nil {
				return err
			}
		}
		out.Removed += len(ids)
		after = next
	}
	return write(w, http.StatusOK, out)
}
