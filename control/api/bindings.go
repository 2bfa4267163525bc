package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/myelin-run/myelin/binding/host"
)

// BindingList says how the data bindings of a function are.
type BindingList struct {
	Items []BindingView `json:"items"`
}

// BindingView is one binding in one processor, since that began. If the processor
// could not be asked, there is only its name and the problem.
type BindingView struct {
	Replica string `json:"replica"`
	host.Report
}

func (s *server) bindings(w http.ResponseWriter, r *http.Request) error {
	replies, err := s.ask(r, http.MethodGet, "/bindings")
	if err != nil {
		return err
	}
	out := BindingList{Items: []BindingView{}}
	for _, reply := range replies {
		var reports []host.Report
		err := reply.Err()
		if err == nil {
			err = json.Unmarshal(reply.Body, &reports)
		}
		if err != nil {
			reports = []host.Report{{Problem: err.Error()}}
		}
		for _, one := range reports {
			out.Items = append(out.Items, BindingView{reply.Replica, one})
		}
	}
	slices.SortStableFunc(out.Items, func(a, b BindingView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Replica, b.Replica))
	})
	return write(w, http.StatusOK, out)
}
