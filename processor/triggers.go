package processor

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/trigger"
)

// View is what the processor says of one trigger.
type View struct {
	Kind    string          `json:"kind"`
	Share   float64         `json:"share"` // of the source: see [function.Share]
	Pool    string          `json:"pool"`
	Workers any             `json:"workers"`
	Report  *trigger.Report `json:"report,omitempty"` // nil if the kind has nothing to report
}

func (p *Processor) overview() map[string]View {
	m := map[string]View{}
	for _, f := range p.feeds {
		m[f.name] = View{Kind: f.spec.Kind, Share: f.share().Part, Pool: f.pool.name, Workers: f.pool.Stats(), Report: f.report()}
	}
	return m
}

// whyNot says what the processor waits for, besides what is away.
func (p *Processor) whyNot(away []string) string {
	why := slices.Concat(away, p.bindingsAway())
	for _, f := range p.feeds {
		if r := f.report(); r != nil && r.State == trigger.Connecting {
			why = append(why, strings.TrimSuffix(fmt.Sprintf("trigger %s is connecting: %s", f.name, r.Problem), ": "))
		}
	}
	if len(why) == 0 {
		return "starting or draining"
	}
	return strings.Join(why, "; ")
}

var errCannot = errors.New("triggers of this kind cannot do that")

// steer pauses or resumes a trigger of this processor, or has it read from
// elsewhere: ?to= as in the spec's startAt.
func (p *Processor) steer(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(p.feeds, func(f *feed) bool { return f.name == r.PathValue("name") })
	if i < 0 {
		http.Error(w, fmt.Sprintf("the function has no trigger %q", r.PathValue("name")), http.StatusNotFound)
		return
	}
	err := p.feeds[i].steer(r)
	switch {
	case errors.Is(err, errCannot):
		http.Error(w, fmt.Sprintf("%s: %v", p.feeds[i].spec.Kind, err), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
	default:
		_, _ = w.Write([]byte("ok\n"))
	}
}

func (f *feed) steer(r *http.Request) error {
	now := f.trigger()
	pauser, pauses := now.(trigger.Pauser)
	seeker, seeks := now.(trigger.Seeker)
	switch verb := r.PathValue("verb"); {
	case verb == "pause" && pauses:
		f.keepPaused(true)
		pauser.Pause()
	case verb == "resume" && pauses:
		f.keepPaused(false)
		pauser.Resume()
	case verb == "seek" && seeks:
		to := r.URL.Query().Get("to")
		if start, err := trigger.ParseStart(to); err != nil || start == (trigger.Start{}) {
			return fmt.Errorf("to=%s: want earliest, latest, an offset or a time such as 2026-03-01T12:00:00Z", to)
		}
		return seeker.Seek(r.Context(), to)
	default:
		return errCannot
	}
	return nil
}
