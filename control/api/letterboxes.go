package api

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
)

// LetterboxList says which functions have dead letters.
type LetterboxList struct {
	Items []Letterbox `json:"items"`
}

// Letterbox says how many dead letters a function has, or a version of it.
type Letterbox struct {
	Namespace string `json:"namespace"`
	Function  string `json:"function"`
	// Version of the function whose letters these are; without it, the working copy's.
	Version string `json:"version,omitempty"`
	Letters int    `json:"letters"`
	// Gone tells that the function was deleted; its letters stay until they are removed.
	Gone bool `json:"gone,omitempty"`
}

// letterboxes lists the boxes that are not empty. One of a function that is gone
// only those see who see all of its namespace: whose project it was, nobody knows.
func (s *server) letterboxes(w http.ResponseWriter, r *http.Request) error {
	if s.o.Letters == nil {
		return problem.New(http.StatusNotImplemented, "this platform keeps no dead letters")
	}
	names, err := s.o.Letters.Letterboxes()
	if err != nil {
		return err
	}
	seen, err := s.seen(r)
	if err != nil {
		return err
	}
	out := LetterboxList{Items: []Letterbox{}}
	for _, name := range names {
		d, ok := catalog.ParseDeployment(name)
		if where := everywhere(namespace(r)); !ok || where != "" && where != d.Namespace || partial(r) && !seen[d.Name] {
			continue
		}
		n, err := s.o.Letters.Letterbox(name).Count()
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		one := Letterbox{Namespace: d.Namespace, Function: d.Name.Name, Letters: n, Gone: !seen[d.Name]}
		if d.Version > 0 {
			one.Version = d.Label()
		}
		out.Items = append(out.Items, one)
	}
	slices.SortFunc(out.Items, func(a, b Letterbox) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Function, b.Function), cmp.Compare(len(a.Version), len(b.Version)), cmp.Compare(a.Version, b.Version))
	})
	return write(w, http.StatusOK, out)
}

// seen are the functions that a caller sees where they ask.
func (s *server) seen(r *http.Request) (map[catalog.Name]bool, error) {
	all, _, err := s.functions().list(r.Context(), everywhere(namespace(r)))
	if err != nil {
		return nil, err
	}
	out := make(map[catalog.Name]bool, len(all))
	for _, f := range all {
		out[catalog.Name{Namespace: f.Metadata.Namespace, Name: f.Metadata.Name}] = true
	}
	return out, nil
}
