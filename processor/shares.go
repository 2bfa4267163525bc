package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// SharesFile is where a processor of a platform keeps, in its working
// directory, the shares that it was told last: one that is restarted there goes
// on with them.
const SharesFile = "shares.json"

// maxShares bounds what is read of a request and of the file.
const maxShares = 1 << 20

// ShareView is what became of the share of one trigger.
type ShareView struct {
	Part  float64       `json:"part"`
	State trigger.State `json:"state"`
	// Until is for triggers that time alone drives and that have stopped: all
	// events up to then were taken here.
	Until time.Time `json:"until,omitzero"`
}

// putShares says how much the processor takes of its sources. It is a state,
// not a change: triggers that are not named are whole, those that the processor
// does not have mean nothing to it, and the same again does nothing. ?wait= is
// how long to wait until triggers that take less have finished what they had
// and others are connected; the answer says how far that is.
func (p *Processor) putShares(w http.ResponseWriter, r *http.Request) {
	shares, err := readShares(http.MaxBytesReader(w, r.Body, maxShares))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var wait time.Duration
	if text := r.URL.Query().Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 {
			http.Error(w, fmt.Sprintf("wait=%s: want a time such as 10s", text), http.StatusBadRequest)
			return
		}
	}
	if err := p.setShares(shares); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	for _, f := range p.feeds {
		if f.settled(ctx) != nil {
			break // the answer says what is not
		}
	}
	p.showShares(w, r)
}

func readShares(r io.Reader) (function.Shares, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	shares := function.Shares{}
	if err := document.DecodeJSON(text, &shares); err != nil {
		return nil, err
	}
	return shares, shares.Validate()
}

// setShares keeps the shares and begins to act on them.
func (p *Processor) setShares(shares function.Shares) error {
	for _, f := range p.feeds {
		if _, listens := f.trigger().(addressed); listens && shares.Of(f.name).Part != 1 {
			return fmt.Errorf("trigger %s: clients choose whom they reach: a trigger of kind %s has no share", f.name, f.spec.Kind)
		}
	}
	if err := p.keepShares(shares); err != nil {
		return err
	}
	for _, f := range p.feeds {
		f.setShare(shares.Of(f.name))
	}
	return nil
}

func (p *Processor) showShares(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.shareViews())
}

func (p *Processor) shareViews() map[string]ShareView {
	m := map[string]ShareView{}
	for _, f := range p.feeds {
		if _, listens := f.trigger().(addressed); !listens {
			m[f.name] = f.shareView()
		}
	}
	return m
}

func (f *feed) shareView() ShareView {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := ShareView{Part: f.want.Part, State: trigger.Running}
	switch {
	case f.running && f.want != f.made:
		v.State = trigger.Draining
	case !f.running && f.want.Part == 0:
		v.State, v.Until = trigger.Stopped, f.until
	case !f.running:
		v.State = trigger.Connecting
	default:
		if t, ok := f.trig.(trigger.Reporter); ok {
			v.State = t.Report().State
		}
	}
	return v
}

// tellShares adds to the answer of /ready what is not whole.
func (p *Processor) tellShares(w io.Writer) {
	for _, f := range p.feeds {
		if v := f.shareView(); v.Part < 1 {
			_, _ = fmt.Fprintf(w, "trigger %s: share %.4g, %s\n", f.name, v.Part, v.State)
		}
	}
}

// keepShares writes the SharesFile, if a platform runs the processor.
func (p *Processor) keepShares(shares function.Shares) error {
	if !p.cfg.WriteReady {
		return nil
	}
	now := function.Shares{}
	for name, s := range shares {
		now[name] = function.Share{Part: s.Part} // From is of this one beginning
	}
	b, err := json.Marshal(now)
	if err == nil {
		err = os.WriteFile("."+SharesFile, b, 0o600)
	}
	if err == nil {
		err = os.Rename("."+SharesFile, SharesFile)
	}
	if err != nil {
		return fmt.Errorf("keep shares: %w", err)
	}
	return nil
}

// recallShares takes the shares that a predecessor in the same directory was
// told. What cannot be read is as if it were not there.
func (p *Processor) recallShares() {
	if !p.cfg.WriteReady {
		return
	}
	file, err := os.Open(SharesFile)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var shares function.Shares
	if err == nil {
		defer file.Close()
		shares, err = readShares(io.LimitReader(file, maxShares))
	}
	if err != nil {
		p.log.Warn("read kept shares", "error", err)
		return
	}
	for _, f := range p.feeds {
		if _, listens := f.trigger().(addressed); !listens {
			f.setShare(shares.Of(f.name))
		}
	}
}
