package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// JobList is a page of a function's jobs.
type JobList = List[function.Job]

// JobItemsInput are items to be added to a job.
type JobItemsInput struct {
	// How many items there are before the first of these; those that are there already are left out. Without it: as many as there are.
	At *int64 `json:"at,omitempty"`
	// The items, at most 4096, of at most 64 KiB each.
	Items []string `json:"items"`
}

// JobItemsAdded is how many items a job has.
type JobItemsAdded struct {
	// All that there are now.
	Items int64 `json:"items"`
}

// JobItemList are items of a job with their records, in order.
type JobItemList struct {
	Items []function.JobItem `json:"items"`
	// Next is for ?after=, if there may be more.
	Next int64 `json:"next,omitempty"`
}

// jobs are the jobs of the function in a request's path as a resource.
func (s *server) jobs(r *http.Request) resource[function.Job] {
	c := s.o.Catalog
	of := r.PathValue("function")
	complete := func(j *function.Job) {
		if j.Spec.Function == "" {
			j.Spec.Function = of
		}
		function.JobDefaults(j)
	}
	return resource[function.Job]{
		one: "job", many: "jobs", keys: []string{catalog.JobKeys, catalog.JobStatusKeys},
		own: func(k catalog.KeyChange) (catalog.KeyChange, bool) {
			name, ok := strings.CutPrefix(k.Name, of+"/")
			k.Name = name
			return k, ok
		},
		meta:   func(j *function.Job) *function.Metadata { return &j.Metadata },
		fields: map[string]func(*function.Job) string{"status.state": func(j *function.Job) string { return string(j.Status.State) }},
		list: func(ctx context.Context, ns string) ([]function.Job, store.Revision, error) {
			return c.Jobs(ctx, catalog.Name{Namespace: ns, Name: of})
		},
		get: func(ctx context.Context, n catalog.Name) (function.Job, error) {
			return c.Job(ctx, catalog.Name{Namespace: n.Namespace, Name: of}, n.Name)
		},
		complete: complete,
		check: func(j function.Job) error {
			if j.Spec.Function != "" && j.Spec.Function != of {
				return wrong("spec.function", "is %q and the path's function %q", j.Spec.Function, of)
			}
			complete(&j)
			return function.ValidateJob(j)
		},
		put: func(ctx context.Context, j function.Job, _ string) error {
			complete(&j)
			return c.StartJob(ctx, j, jobID(), author(r))
		},
		drop: func(r *http.Request, j function.Job, v string) error {
			return c.DeleteJob(r.Context(), owner(r), j.Metadata.Name, v)
		},
	}
}

// jobID names a job for ever.
func jobID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// working makes handlers for the jobs of the function in the path.
func (s *server) working(make func(*server, resource[function.Job]) handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return make(s, s.jobs(r))(w, r)
	}
}

// steerJob pauses, resumes, closes or cancels a job.
func (s *server) steerJob(w http.ResponseWriter, r *http.Request) error {
	res, verb := s.jobs(r), r.PathValue("verb")
	if !slices.Contains(plan.JobVerbs(), verb) {
		return problem.New(http.StatusNotFound, fmt.Sprintf("cannot %s a job%s", verb, document.DidYouMean(verb, plan.JobVerbs())))
	}
	j, err := find(res, r)
	if err != nil {
		return err
	}
	err = s.o.Catalog.SteerJob(r.Context(), owner(r), j.Metadata.Name, verb, author(r))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return conflict(res, store.ErrConflict, j.Metadata, j.Metadata.ResourceVersion, false)
	}
	if err == nil {
		j, err = find(res, r)
	}
	if err != nil {
		return err
	}
	return s.object(w, r, http.StatusOK, &j.Metadata, j)
}

// addJobItems adds items to a job.
func (s *server) addJobItems(w http.ResponseWriter, r *http.Request) error {
	j, err := find(s.jobs(r), r)
	if err != nil {
		return err
	}
	var in JobItemsInput
	if err := readInto(w, r, &in); err != nil {
		return err
	}
	if len(in.Items) == 0 || len(in.Items) > catalog.MaxItemsAtOnce {
		return wrong("items", "are %d, expected 1 to %d", len(in.Items), catalog.MaxItemsAtOnce)
	}
	var problems document.Errors
	for i, text := range in.Items {
		if err := function.CheckJobItem(text); err != nil && len(problems) < 10 {
			problems.Add(fmt.Sprintf("items[%d]", i), "%v", err)
		}
	}
	at := int64(-1)
	if in.At != nil {
		if at = *in.At; at < 0 {
			problems.Add("at", "is %d, expected 0 or more", at)
		}
	}
	if err := problems.Err(); err != nil {
		return err
	}
	total, err := s.o.Catalog.AddJobItems(r.Context(), owner(r), j.Metadata.Name, at, in.Items)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return conflict(s.jobs(r), store.ErrConflict, j.Metadata, j.Metadata.ResourceVersion, false)
	}
	if err != nil {
		return err
	}
	return plain(w, JobItemsAdded{Items: total})
}

// jobItems answers with items and their records.
func (s *server) jobItems(w http.ResponseWriter, r *http.Request) error {
	j, err := find(s.jobs(r), r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	limit, after := maxPage, int64(0)
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxPage {
			return badQuery("limit", "%q is not a number from 1 to %d", text, maxPage)
		}
	}
	if text := q.Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return badQuery("after", "%q is not the number of an item", text)
		}
	}
	state := q.Get("state")
	if states := []string{"", function.ItemWaiting, function.ItemCompleted, function.ItemFailed}; !slices.Contains(states, state) {
		return badQuery("state", "%q is none%s (there are: %s)", state, document.DidYouMean(state, states[1:]), strings.Join(states[1:], ", "))
	}
	items, more, err := s.o.Catalog.JobItems(r.Context(), owner(r), j.Metadata.Name, state, after, limit)
	if err != nil {
		return err
	}
	out := JobItemList{Items: append([]function.JobItem{}, items...)}
	if more {
		out.Next = items[len(items)-1].Number
	}
	return plain(w, out)
}
