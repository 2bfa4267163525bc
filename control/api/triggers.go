package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/trigger"
)

// TriggerList says how the triggers of a function are.
type TriggerList struct {
	Items []TriggerView `json:"items"`
}

// TriggerView is one trigger in one processor.
type TriggerView struct {
	Name    string          `json:"name"`
	Version string          `json:"version,omitempty"` // of the function, that the processor runs; "": the working copy
	Kind    string          `json:"kind"`
	Replica string          `json:"replica"`
	Share   *float64        `json:"share,omitempty"` // of the source that the processor takes, 0 to 1
	Workers json.RawMessage `json:"workers,omitempty"`
	Report  *trigger.Report `json:"report,omitempty"`  // nil if the kind has nothing to report
	Problem string          `json:"problem,omitempty"` // why the processor could not be asked
}

// ask asks the processors of the function that a request names.
func (s *server) ask(r *http.Request, method, path string) ([]platform.Reply, error) {
	f, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if s.o.Processors == nil {
		return nil, problem.New(http.StatusNotImplemented, "the processors of this platform cannot be asked")
	}
	replies := s.o.Processors.Ask(r.Context(), name(r).String(), method, path, nil)
	if len(replies) == 0 {
		return nil, problem.New(http.StatusConflict, fmt.Sprintf("no processor of %s runs", f.Metadata.Name))
	}
	return replies, nil
}

func (s *server) triggers(w http.ResponseWriter, r *http.Request) error {
	replies, err := s.ask(r, http.MethodGet, "/triggers")
	if err != nil {
		return err
	}
	out := TriggerList{Items: []TriggerView{}}
	for _, reply := range replies {
		out.add(reply, "", "")
	}
	out.sort()
	return write(w, http.StatusOK, out)
}

// add adds what a processor says of its triggers, of one if only is its name.
func (l *TriggerList) add(reply platform.Reply, version, only string) {
	views := map[string]TriggerView{}
	err := reply.Err()
	if err == nil {
		err = json.Unmarshal(reply.Body, &views)
	}
	if err != nil {
		l.Items = append(l.Items, TriggerView{Name: only, Version: version, Replica: reply.Replica, Problem: err.Error()})
	}
	for name, v := range views {
		v.Name, v.Replica, v.Version = name, reply.Replica, version
		if only == "" || only == name {
			l.Items = append(l.Items, v)
		}
	}
}

func (l *TriggerList) sort() {
	slices.SortFunc(l.Items, func(a, b TriggerView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Replica, b.Replica))
	})
}

var verbs = []string{"pause", "resume", "seek"}

// steer passes pause, resume and seek on to all processors. It lasts as long
// as they do; what is to last longer belongs into the spec.
func (s *server) steer(w http.ResponseWriter, r *http.Request) error {
	verb := r.PathValue("verb")
	if !slices.Contains(verbs, verb) {
		return problem.New(http.StatusNotFound, fmt.Sprintf("cannot %s a trigger%s", verb, document.DidYouMean(verb, verbs)))
	}
	path := "/triggers/" + url.PathEscape(r.PathValue("trigger")) + "/" + verb
	if to := r.URL.Query().Get("to"); to != "" {
		path += "?to=" + url.QueryEscape(to)
	}
	replies, err := s.ask(r, http.MethodPost, path)
	if err != nil {
		return err
	}
	for _, reply := range replies {
		if err := reply.Err(); err != nil {
			return problem.New(cmp.Or(reply.Status, http.StatusBadGateway), err.Error())
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
