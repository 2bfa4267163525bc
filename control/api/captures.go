package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/capture"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/trigger/letter"
)

// Captures are events of functions as they come, while somebody wants to see them.
type Captures interface {
	Start(of catalog.Name, spec tap.Spec, by string) (capture.Capture, error)
	Of(of catalog.Name) (capture.Capture, bool)
	Get(of catalog.Name, id string, after int64) (capture.Capture, error)
	End(of catalog.Name, id string) (capture.Capture, error)
	Remove(of catalog.Name, id string) error
}

// CaptureList is the capture of a function, if there is one, without its events.
type CaptureList struct {
	Items []capture.Capture `json:"items"`
}

// Replayed is what became of an event that was run once more.
type Replayed struct {
	// The function that ran it, with its version as "orders:3".
	By string `json:"by"`
	letter.Outcome
}

// capturesOf finds the function that a request names, and the captures.
func (s *server) capturesOf(r *http.Request) (Captures, error) {
	if _, err := s.find(r); err != nil {
		return nil, err
	}
	if s.o.Captures == nil {
		return nil, problem.New(http.StatusNotImplemented, "the processors of this platform cannot be asked")
	}
	return s.o.Captures, nil
}

// notCaptured gives errors of captures their statuses.
func notCaptured(err error) error {
	switch {
	case errors.Is(err, capture.ErrNotFound):
		return problem.New(http.StatusNotFound, err.Error())
	case errors.Is(err, capture.ErrBusy):
		return problem.New(http.StatusConflict, err.Error())
	case errors.Is(err, capture.ErrMany):
		return problem.New(http.StatusTooManyRequests, err.Error())
	}
	return err
}

func (s *server) startCapture(w http.ResponseWriter, r *http.Request) error {
	all, err := s.capturesOf(r)
	if err != nil {
		return err
	}
	var spec tap.Spec
	if err := readInto(w, r, &spec); err != nil {
		return err
	}
	c, err := all.Start(name(r), spec, access.From(r.Context()).Subject)
	if err != nil {
		return notCaptured(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(c) // nobody left to tell
	return nil
}

func (s *server) captures(w http.ResponseWriter, r *http.Request) error {
	all, err := s.capturesOf(r)
	if err != nil {
		return err
	}
	out := CaptureList{Items: []capture.Capture{}}
	if c, ok := all.Of(name(r)); ok {
		c.Events = []tap.Event{}
		out.Items = append(out.Items, c)
	}
	return plain(w, out)
}

func (s *server) capture(w http.ResponseWriter, r *http.Request) error {
	all, err := s.capturesOf(r)
	if err != nil {
		return err
	}
	after := int64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return badQuery("after", "%q is not the number of an event", text)
		}
	}
	c, err := all.Get(name(r), r.PathValue("id"), after)
	if err != nil {
		return notCaptured(err)
	}
	return plain(w, c)
}

func (s *server) endCapture(w http.ResponseWriter, r *http.Request) error {
	all, err := s.capturesOf(r)
	if err != nil {
		return err
	}
	c, err := all.End(name(r), r.PathValue("id"))
	if err != nil {
		return notCaptured(err)
	}
	return plain(w, c)
}

func (s *server) removeCapture(w http.ResponseWriter, r *http.Request) error {
	all, err := s.capturesOf(r)
	if err != nil {
		return err
	}
	if err := all.Remove(name(r), r.PathValue("id")); err != nil {
		return notCaptured(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxReplay bounds an event that is replayed, as JSON.
const maxReplay = 8 << 20

// replay runs an event, as it was captured or is in a letter, once more, in the
// function or with ?to= in another one of the namespace.
func (s *server) replay(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.find(r); err != nil {
		return err
	}
	if s.o.Letters == nil {
		return problem.New(http.StatusNotImplemented, "this platform cannot run an event again")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReplay))
	if err != nil {
		return unread(err)
	}
	var e tap.Event
	if err := json.Unmarshal(text, &e); err != nil {
		return problem.New(http.StatusBadRequest, "the event cannot be read: "+err.Error())
	}
	if e.Trigger == "" || e.Event.ID == "" {
		return wrong("event.id", "is missing, or the name of the trigger: want an event as a capture or a dead letter has it")
	}
	target, err := s.replayer(r, e.Event.ID)
	if err != nil {
		return err
	}
	done, err := s.o.Letters.Redrive(r.Context(), target.String(), e.Letter())
	if err != nil {
		return problem.New(http.StatusBadGateway, err.Error()+hintOf(target))
	}
	out := Replayed{By: target.Name.Name, Outcome: done}
	if target.Version > 0 {
		out.By += ":" + target.Label()
	}
	return plain(w, out)
}

func (s *server) replayer(r *http.Request, id string) (catalog.Deployment, error) {
	if to := r.URL.Query().Get("to"); to != "" {
		return s.redriver(r.Context(), name(r), to, id)
	}
	return catalog.Deployment{Name: name(r)}, nil
}

// forgetCapture has nothing be left of a function that is deleted.
func (s *server) forgetCapture(of catalog.Name) {
	if s.o.Captures == nil {
		return
	}
	if c, ok := s.o.Captures.Of(of); ok {
		_ = s.o.Captures.Remove(of, c.ID) // or somebody else has
	}
}
