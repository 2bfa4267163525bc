package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/local/supervise"
)

// shareWait is the longest that one question to a processor waits for its
// triggers.
const shareWait = 30 * time.Second

func (p *Platform) keepShares(name string, s function.Shares) {
	p.mu.Lock()
	changed := !maps.Equal(p.shares[name], s)
	p.shares[name] = maps.Clone(s)
	g := p.groups[name]
	p.mu.Unlock()
	if changed && g != nil {
		g.EndParked() // it has read the former ones
	}
}

// sharesOf are those with which a processor of name is started.
func (p *Platform) sharesOf(name string) function.Shares {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shares[name]
}

// Share implements [platform.Sharer]. A processor that dies meanwhile, or is
// being started, is told when it is asked for again: it is a change that the
// platform tells of.
func (p *Platform) Share(ctx context.Context, name string, shares function.Shares) (platform.Shared, error) {
	return p.share(ctx, name, shares, shareWait)
}

// share tells the processors of name their shares and waits for what follows.
func (p *Platform) share(ctx context.Context, name string, shares function.Shares, wait time.Duration) (out platform.Shared, err error) {
	if err := p.ready(ctx); err != nil {
		return out, err
	}
	if err := shares.Validate(); err != nil {
		return out, fmt.Errorf("share %s: %w", name, err)
	}
	p.keepShares(name, shares)
	text, err := json.Marshal(shares)
	g := p.lookup(name)
	if err != nil || g == nil {
		return out, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, max(0, time.Until(deadline)/2)) // the rest is for the answer to come
	}
	out = newShared()
	members := p.present(name, g)
	answers := make([]answer, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		if !p.knows(name, m, string(text)) {
			wg.Go(func() {
				answers[i].views, answers[i].err = askShares(ctx, m, http.MethodPut, "?wait="+wait.String(), text)
			})
		}
	}
	wg.Wait()
	for i, m := range members {
		switch a := answers[i]; {
		case a.err != nil && serves(g, m):
			err = errors.Join(err, a.err)
		case a.views != nil:
			p.remember(name, m, string(text), a.views, &out)
		}
	}
	if err != nil {
		return out, fmt.Errorf("share %s: %w", name, err)
	}
	return out, nil
}

// answer is one of [askShares].
type answer struct {
	views map[string]shareView
	err   error
}

// present returns the processes of a group, and forgets what their
// predecessors were told.
func (p *Platform) present(name string, g *supervise.Group) []supervise.Member {
	members := g.Members()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told[name] == nil {
		p.told[name] = map[supervise.Member]string{}
	}
	maps.DeleteFunc(p.told[name], func(m supervise.Member, _ string) bool { return !slices.Contains(members, m) })
	return members
}

// serves reports whether a process is still one of those that answer: one that
// is being started or stopped need not have heard.
func serves(g *supervise.Group, m supervise.Member) bool {
	for _, r := range g.Observe().Replicas {
		if r.PID == m.PID && r.State == "ready" {
			return true
		}
	}
	return false
}

func (p *Platform) knows(name string, m supervise.Member, text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.PID != 0 && p.told[name][m] == text
}

// shareView is what a processor answers for one trigger.
type shareView struct {
	Part  float64   `json:"part"`
	State string    `json:"state"`
	Until time.Time `json:"until,omitzero"`
}

// askShares tells one processor its shares, or asks for them. What comes back
// is the function's to forge.
func askShares(ctx context.Context, m supervise.Member, method, query string, text []byte) (map[string]shareView, error) {
	answer, status, err := request(ctx, filepath.Join(m.Scratch, AdminSocket), method, "/shares"+query, text)
	if err != nil {
		return nil, err
	}
	if status == http.StatusNotFound { // an artefact with a processor from before there were shares: it takes all of its sources
		return map[string]shareView{}, nil
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("processor %s: %.200s", filepath.Base(m.Scratch), answer)
	}
	var views map[string]shareView
	if err := json.Unmarshal(answer, &views); err != nil {
		return nil, fmt.Errorf("processor %s: read its shares: %w", filepath.Base(m.Scratch), err)
	}
	return views, nil
}

// Shares implements [platform.Sharer].
func (p *Platform) Shares(ctx context.Context, name string) (platform.Shared, function.Shares, error) {
	out := newShared()
	if err := p.ready(ctx); err != nil {
		return out, nil, err
	}
	g := p.lookup(name)
	if g == nil {
		return out, p.sharesOf(name), nil
	}
	var errs []error
	for _, m := range g.Members() {
		views, err := askShares(ctx, m, http.MethodGet, "", nil)
		if err == nil {
			see(views, &out)
		} else if serves(g, m) {
			errs = append(errs, err)
		}
	}
	return out, p.sharesOf(name), errors.Join(errs...)
}

func newShared() platform.Shared {
	return platform.Shared{Parts: map[string]float64{}, Pending: map[string]string{}, Until: map[string]time.Time{}}
}

// see adds what one processor answered, and reports whether it has still to do
// something.
func see(views map[string]shareView, out *platform.Shared) (pending bool) {
	for trigger, v := range views {
		out.Parts[trigger] = max(out.Parts[trigger], v.Part)
		if v.State == "draining" || v.State == "connecting" {
			pending = true
			out.Pending[trigger] = v.State
		}
		if v.Until.After(out.Until[trigger]) {
			out.Until[trigger] = v.Until
		}
	}
	return pending
}

// remember notes what a processor answered. One that has still to do something
// is asked again the next time.
func (p *Platform) remember(name string, m supervise.Member, text string, views map[string]shareView, out *platform.Shared) {
	pending := see(views, out)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !pending && m.PID != 0 {
		p.told[name][m] = text
	} else {
		delete(p.told[name], m)
	}
}
