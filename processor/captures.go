package processor

import (
	"encoding/json"
	"net/http"

	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/trigger"
)

// tapped has the hub of captures look at what a trigger brings. Events that are
// run again pass it by.
func (p *Processor) tapped(f *feed, h trigger.Handler) trigger.Handler {
	full, ok := h.(tap.Pool)
	if !ok {
		return h
	}
	return p.tap.Over(full, f.name)
}

// mostCapture bounds a request for a capture.
const mostCapture = 1 << 20

// capture has a capture be under way and answers with what came since.
func (p *Processor) capture(w http.ResponseWriter, r *http.Request) {
	var want tap.Request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostCapture)).Decode(&want); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	got, err := p.tap.Want(want)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(got)
}

func (p *Processor) endCapture(w http.ResponseWriter, r *http.Request) {
	p.tap.End(r.PathValue("id"))
	_, _ = w.Write([]byte("ok\n"))
}

// recalled answers with the last events, if they are kept.
func (p *Processor) recalled(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.tap.Recalled())
}
