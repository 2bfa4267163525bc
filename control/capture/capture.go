// Package capture gathers events that processors of a function copy while
// somebody wants to see them. It holds them in memory, a bounded number for a
// bounded time, and stores nothing: a capture ends with the control plane. What
// processors say is checked, since functions may forge it.
package capture

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/processor/tap"
)

// Platform is where the processors are that are asked.
type Platform interface {
	platform.Processors
	Observe(ctx context.Context, name string) ([]platform.Observed, error)
}

// State is what a capture is doing.
type State string

// The states.
const (
	Running State = "running"
	Full    State = "full"  // it has as many events as were asked for
	Over    State = "over"  // its time is up
	Ended   State = "ended" // somebody ended it
)

// Capture is one that is under way, or has ended and is not forgotten yet.
type Capture struct {
	// Id of the capture.
	ID string `json:"id"`
	// What is captured, and how much at most.
	Spec tap.Spec `json:"spec"`
	// What it is doing: running, or why it ended.
	State State `json:"state"`
	// Who began it.
	By string `json:"by,omitempty"`
	// When it began.
	Began time.Time `json:"began"`
	// When it ends at the latest.
	Until time.Time `json:"until"`
	// Events that were captured.
	Captured int `json:"captured"`
	// Events that were looked at.
	Seen int64 `json:"seen"`
	// Events that were wanted and did not fit.
	Dropped int64 `json:"dropped"`
	// Processors that are asked.
	Processors int `json:"processors"`
	// Why a processor could not be asked the last time.
	Problem string `json:"problem,omitempty"`
	// The events behind those that were asked for, the oldest first.
	Events []tap.Event `json:"events"`
}

// Why there is no capture, or no other.
var (
	ErrNotFound = errors.New("there is no such capture")
	ErrBusy     = errors.New("a capture of the function is under way: end it first")
	ErrMany     = errors.New("too many captures are kept: remove some, or wait")
)

// Times and limits that tests change.
const (
	look   = 250 * time.Millisecond // between two looks at the processors
	forget = 10 * time.Minute       // after the end
	// most captures are kept at once, so that memory is bounded.
	most = 32
	// askTime bounds one look.
	askTime = 5 * time.Second
)

// Keeper keeps the captures, one of a function at most. Its life: New, Run once;
// the rest from any goroutine.
type Keeper struct {
	platform Platform
	look     time.Duration
	forget   time.Duration

	mu    sync.Mutex
	of    map[catalog.Name]*gathering
	ended bool
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

// gathering is one capture as it goes on. All but id, of and spec is guarded by
// the keeper's mu.
type gathering struct {
	of     catalog.Name
	view   Capture
	size   int64
	counts map[string]tap.Report // by instance, without events
	end    context.CancelFunc
	asked  chan struct{} // closed after the first look
}

// New returns a keeper that captures nothing.
func New(p Platform) *Keeper {
	k := &Keeper{platform: p, look: look, forget: forget, of: map[catalog.Name]*gathering{}}
	k.ctx, k.stop = context.WithCancel(context.Background())
	return k
}

// Run lets captures be until ctx is done, and then ends them all.
func (k *Keeper) Run(ctx context.Context) error {
	<-ctx.Done()
	k.mu.Lock()
	k.ended = true
	k.mu.Unlock()
	k.stop()
	k.wg.Wait()
	return nil
}

// Start begins a capture in place of one that has ended, and returns when the
// processors that run were asked.
func (k *Keeper) Start(of catalog.Name, spec tap.Spec, by string) (Capture, error) {
	if err := spec.Complete(); err != nil {
		return Capture{}, err
	}
	g, err := k.begin(of, spec, by)
	if err != nil {
		return Capture{}, err
	}
	<-g.asked
	k.mu.Lock()
	defer k.mu.Unlock()
	return g.after(0), nil
}

func (k *Keeper) begin(of catalog.Name, spec tap.Spec, by string) (*gathering, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now().UTC()
	former := k.of[of]
	switch {
	case k.ended:
		return nil, errors.New("the control plane ends")
	case former != nil && former.view.State == Running:
		return nil, ErrBusy
	case former == nil && len(k.of) >= most:
		return nil, ErrMany
	case former != nil:
		former.end()
	}
	g := &gathering{of: of, asked: make(chan struct{}), counts: map[string]tap.Report{}, view: Capture{ID: rand.Text()[:12], Spec: spec, State: Running, By: by, Began: now, Until: now.Add(spec.For.Std()), Events: []tap.Event{}}}
	var ctx context.Context
	ctx, g.end = context.WithCancel(k.ctx)
	k.of[of] = g
	k.wg.Go(func() { k.gather(ctx, g) })
	return g, nil
}

// Of returns the capture of a function with its events, if there is one.
func (k *Keeper) Of(of catalog.Name) (Capture, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.of[of]
	if g == nil {
		return Capture{}, false
	}
	return g.after(0), true
}

// Get returns a capture with its events behind one of a number.
func (k *Keeper) Get(of catalog.Name, id string, after int64) (Capture, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.of[of]
	if g == nil || g.view.ID != id {
		return Capture{}, ErrNotFound
	}
	return g.after(after), nil
}

func (g *gathering) after(seq int64) Capture {
	c := g.view
	i := slices.IndexFunc(c.Events, func(e tap.Event) bool { return e.Seq > seq })
	if i < 0 {
		i = len(c.Events)
	}
	c.Events = append([]tap.Event{}, c.Events[i:]...)
	return c
}

// End ends a capture and keeps its events for a while.
func (k *Keeper) End(of catalog.Name, id string) (Capture, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.of[of]
	if g == nil || g.view.ID != id {
		return Capture{}, ErrNotFound
	}
	if g.view.State == Running {
		g.view.State = Ended
		g.end()
	}
	return g.after(0), nil
}

// Remove ends a capture and forgets its events.
func (k *Keeper) Remove(of catalog.Name, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.of[of]
	if g == nil || g.view.ID != id {
		return ErrNotFound
	}
	delete(k.of, of)
	g.end()
	return nil
}

// gather looks at the processors until the capture ends.
func (k *Keeper) gather(ctx context.Context, g *gathering) {
	defer g.end()
	k.ask(ctx, g)
	close(g.asked)
	tick := time.NewTicker(k.look)
	defer tick.Stop()
	for k.goesOn(g) && ctx.Err() == nil {
		select {
		case <-tick.C:
			k.ask(ctx, g)
		case <-ctx.Done():
		}
	}
	k.release(g)
	k.mu.Lock()
	defer k.mu.Unlock()
	time.AfterFunc(k.forget, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.of[g.of] == g {
			delete(k.of, g.of)
		}
	})
}

// goesOn ends a capture that is full, or whose time is up.
func (k *Keeper) goesOn(g *gathering) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case g.view.State != Running:
	case g.view.Captured >= g.view.Spec.Count:
		g.view.State = Full
	case !time.Now().Before(g.view.Until):
		g.view.State = Over
	}
	return g.view.State == Running
}

// deployments are what of the function runs.
func (k *Keeper) deployments(ctx context.Context, of catalog.Name) (out []catalog.Deployment, err error) {
	found, err := k.platform.Observe(ctx, "")
	for _, o := range found {
		if d, ok := catalog.ParseDeployment(o.Name); ok && d.Name == of {
			out = append(out, d)
		}
	}
	return out, err
}

// request is what the processors are asked.
func (k *Keeper) request(g *gathering) tap.Request {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := tap.Request{ID: g.view.ID, Spec: g.view.Spec, Left: time.Until(g.view.Until).Milliseconds(), Have: map[string]int64{}}
	for instance, c := range g.counts {
		r.Have[instance] = c.Events[0].Seq
	}
	return r
}

// ask asks each processor for what came.
func (k *Keeper) ask(ctx context.Context, g *gathering) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	all, err := k.deployments(ctx, g.of)
	asked := 0
	r := k.request(g)
	body, merr := json.Marshal(r)
	err = errors.Join(err, merr)
	for _, d := range all {
		for _, reply := range k.platform.Ask(ctx, d.String(), http.MethodPost, "/capture", body) {
			if aerr := k.add(g, r, d, reply); aerr != nil {
				err = errors.Join(err, fmt.Errorf("processor %s: %w", reply.Replica, aerr))
				continue
			}
			asked++
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() == nil {
		g.view.Processors, g.view.Problem = asked, ""
		if err != nil {
			g.view.Problem = fmt.Sprintf("%.500s", err)
		}
	}
}

// add takes what a processor says.
func (k *Keeper) add(g *gathering, r tap.Request, d catalog.Deployment, reply platform.Reply) error {
	if err := reply.Err(); err != nil {
		return err
	}
	report, err := tap.Read(reply.Body, r)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	g.add(report, d, reply.Replica)
	return nil
}

// mostInstances bounds what is remembered of processors, of which one that lies
// could be many.
const mostInstances = 1000

// add takes events as long as there is room. The caller holds the keeper's mu.
func (g *gathering) add(report tap.Report, d catalog.Deployment, replica string) {
	before, known := g.counts[report.Instance]
	if !known && len(g.counts) >= mostInstances {
		return
	}
	g.view.Seen += max(report.Seen-before.Seen, 0)
	g.view.Dropped += max(report.Dropped-before.Dropped, 0)
	last := tap.Event{}
	if known {
		last = before.Events[0]
	}
	for _, e := range report.Events {
		last.Seq = e.Seq
		if g.view.State != Running || g.view.Captured >= g.view.Spec.Count {
			continue
		}
		if g.size += e.Weight(); g.size > 2*g.view.Spec.Size.Bytes()+int64(g.view.Spec.Count)*1024 {
			g.size -= e.Weight()
			g.view.Dropped++
			continue
		}
		g.view.Captured++
		e.Seq, e.Replica, e.FVersion = int64(g.view.Captured), replica, ""
		if d.Version > 0 {
			e.FVersion = d.Label()
		}
		g.view.Events = append(g.view.Events, e)
	}
	g.counts[report.Instance] = tap.Report{Seen: report.Seen, Dropped: report.Dropped, Events: []tap.Event{last}}
}

// release has the processors forget the capture.
func (k *Keeper) release(g *gathering) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), askTime)
	defer cancel()
	all, _ := k.deployments(ctx, g.of) // one that is not reached forgets by itself
	for _, d := range all {
		k.platform.Ask(ctx, d.String(), http.MethodDelete, "/capture/"+g.view.ID, nil)
	}
}
