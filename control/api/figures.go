package api

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/history"
	"github.com/myelin-run/myelin/control/problem"
)

// FigureList is what functions did lately.
type FigureList struct {
	// When this was answered, by the clock that the points have.
	At    time.Time `json:"at"`
	Items []Figures `json:"items"`
}

// Figures are what one function did lately.
type Figures struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// The oldest first. Those of a function of which nothing runs have no processors.
	Points []history.Point `json:"points"`
	// With sources=true: what came by each trigger in the span of the last point.
	Sources []history.Source `json:"sources,omitempty"`
}

const (
	defaultPoints = 60
	maxPoints     = 450
)

// spanOf reads ?since= and ?points=.
func spanOf(r *http.Request) (since time.Time, most int, err error) {
	q := r.URL.Query()
	if text := q.Get("since"); text != "" {
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return since, 0, badQuery("since", "%q is not a time such as 2026-03-01T12:00:00Z", text)
		}
	}
	most = defaultPoints
	if text := q.Get("points"); text != "" {
		if most, err = strconv.Atoi(text); err != nil || most < 1 || most > maxPoints {
			return since, 0, badQuery("points", "want a number from 1 to %d, got %q", maxPoints, text)
		}
	}
	return since, most, nil
}

func (s *server) remembers() error {
	if s.o.History == nil {
		return problem.New(http.StatusNotImplemented, "nobody remembers what functions did")
	}
	return nil
}

// figures answers with what the functions did that the caller may see.
func (s *server) figures(w http.ResponseWriter, r *http.Request) error {
	since, most, err := spanOf(r)
	if err != nil {
		return err
	}
	if err := s.remembers(); err != nil {
		return err
	}
	of := s.o.History.All(everywhere(namespace(r)), since, most)
	if partial(r) {
		seen, _, err := s.functions().list(r.Context(), everywhere(namespace(r)))
		if err != nil {
			return err
		}
		theirs := make(map[catalog.Name][]history.Point, len(seen))
		for _, f := range seen {
			n := catalog.Name{Namespace: f.Metadata.Namespace, Name: f.Metadata.Name}
			if points, ok := of[n]; ok {
				theirs[n] = points
			}
		}
		of = theirs
	}
	out := FigureList{At: time.Now().UTC(), Items: make([]Figures, 0, len(of))}
	for n, points := range of {
		out.Items = append(out.Items, s.figuresOf(r, n, points))
	}
	slices.SortFunc(out.Items, func(a, b Figures) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return write(w, http.StatusOK, out)
}

func (s *server) figuresOf(r *http.Request, n catalog.Name, points []history.Point) Figures {
	if points == nil {
		points = []history.Point{}
	}
	if r.URL.Query().Get("times") != "true" {
		for i := range points { // a copy of what is remembered
			points[i].Times, points[i].Starts = nil, nil
		}
	}
	f := Figures{Name: n.Name, Namespace: n.Namespace, Points: points}
	if r.URL.Query().Get("sources") == "true" {
		f.Sources = s.o.History.Sources(n)
	}
	return f
}

// oneFigures answers with what one function did.
func (s *server) oneFigures(w http.ResponseWriter, r *http.Request) error {
	since, most, err := spanOf(r)
	if err != nil {
		return err
	}
	if _, err := s.find(r); err != nil {
		return err
	}
	if err := s.remembers(); err != nil {
		return err
	}
	return write(w, http.StatusOK, FigureList{At: time.Now().UTC(), Items: []Figures{s.figuresOf(r, name(r), s.o.History.Of(name(r), since, most))}})
}
