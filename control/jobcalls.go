package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/job"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
)

// The headers of an item's event.
const (
	headerJob        = "X-Myelin-Job"
	headerJobItem    = "X-Myelin-Job-Item"
	headerJobAttempt = "X-Myelin-Job-Attempt"
)

const (
	// jobGrace is how long items that run are waited for at the end.
	jobGrace = 5 * time.Second
	// known is how long an address that was looked up is used.
	known = 200 * time.Millisecond
	// maxIdle bounds the connections to functions that wait for the next item.
	maxIdle = 1000
	// maxAnswer is how much of an answer is read to use its connection again.
	maxAnswer = 256 << 10
)

// jobCalls asks functions where they listen themselves: the platform keeps that
// socket open while processors come and go.
type jobCalls struct {
	catalog *catalog.Catalog
	client  *http.Client

	mu    sync.Mutex
	found map[jobTarget]lookup
}

// jobTarget is what runs an item.
type jobTarget struct {
	catalog.Name
	alias, version string
}

// lookup is what was found about a target: where a version listens, or what an
// alias names.
type lookup struct {
	at       time.Time
	address  string
	versions []function.Weighted
	err      error
}

func newJobCalls(c *catalog.Catalog) *jobCalls {
	t := &http.Transport{MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: 10 * time.Second, DisableCompression: true, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext}
	return &jobCalls{catalog: c, found: map[jobTarget]lookup{}, client: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Call implements [job.Caller].
func (c *jobCalls) Call(ctx context.Context, r job.Run) plan.JobOutcome {
	address, err := c.address(ctx, r)
	if err != nil {
		return plan.JobOutcome{Verdict: plan.JobNotRun, Text: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/", strings.NewReader(r.Item))
	if err != nil {
		return plan.JobOutcome{Verdict: plan.JobNotRun, Text: err.Error()}
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header.Set(headerJob, r.Job)
	req.Header.Set(headerJobItem, strconv.FormatInt(r.Number, 10))
	req.Header.Set(headerJobAttempt, strconv.Itoa(r.Attempt))
	resp, err := c.client.Do(req)
	if err != nil {
		return unanswered(ctx, r, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unanswered(ctx, r, err)
	}
	return answered(resp.StatusCode, text)
}

// unanswered is the outcome of an item whose answer did not come.
func unanswered(ctx context.Context, r job.Run, err error) plan.JobOutcome {
	var op *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return plan.JobOutcome{Verdict: plan.JobAgain, Text: fmt.Sprintf("no answer within %s", r.Spec.Timeout)}
	case errors.As(err, &op) && op.Op == "dial":
		return plan.JobOutcome{Verdict: plan.JobNotRun, Text: fmt.Sprintf("%s cannot be reached: %v", r.Of.Name, op.Err)}
	}
	return plan.JobOutcome{Verdict: plan.JobAgain, Text: fmt.Sprintf("the processor ended, or its answer did: %v", err)}
}

// answered is the outcome that an answer means.
func answered(status int, text []byte) plan.JobOutcome {
	said := string(bytes.ToValidUTF8(bytes.TrimSpace(text[:min(len(text), 2*plan.MaxResult)]), []byte("\ufffd")))
	refused := func(why error) bool { return strings.Contains(said, `{"error": "`+why.Error()+`"}`) }
	switch {
	case status >= 200 && status < 300:
		return plan.JobOutcome{Verdict: plan.JobDone, Text: said}
	case status == http.StatusServiceUnavailable && (refused(event.ErrBusy) || refused(event.ErrStopping)):
		return plan.JobOutcome{Verdict: plan.JobNotRun, Text: "all workers of the function are busy"}
	}
	out := plan.JobOutcome{Verdict: plan.JobAgain, Text: strings.TrimSuffix(fmt.Sprintf("%d: %s", status, said), ": ")}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		if status < 500 {
			out.Verdict = plan.JobBad
		}
	}
	return out
}

// address is where an item is run. An alias deals items by their numbers: as
// long as the weights stay, each goes to the same version each time.
func (c *jobCalls) address(ctx context.Context, r job.Run) (string, error) {
	t := jobTarget{Name: r.Of, version: r.Spec.Version}
	if r.Spec.Alias != "" {
		l := c.lookup(jobTarget{Name: r.Of, alias: r.Spec.Alias}, func(t jobTarget) lookup { return c.alias(ctx, t) })
		if l.err != nil {
			return "", l.err
		}
		t.version = route.Deal(l.versions, r.Job+"/"+strconv.FormatInt(r.Number, 10))
	}
	l := c.lookup(t, func(t jobTarget) lookup { return c.listens(ctx, t) })
	return l.address, l.err
}

// lookup finds something out, unless that was done a moment ago.
func (c *jobCalls) lookup(t jobTarget, find func(jobTarget) lookup) lookup {
	c.mu.Lock()
	l, ok := c.found[t]
	c.mu.Unlock()
	if ok && time.Since(l.at) < known {
		return l
	}
	l = find(t)
	l.at = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) > maxIdle {
		clear(c.found)
	}
	c.found[t] = l
	return l
}

// alias finds what an alias leads to.
func (c *jobCalls) alias(ctx context.Context, t jobTarget) (l lookup) {
	a, err := c.catalog.Alias(ctx, t.Name, t.alias)
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%s has no alias %q any more", t.Name.Name, t.alias)
	}
	l.versions, l.err = a.Spec.Versions, err
	if a.Status.Effective != nil {
		l.versions = a.Status.Effective.Versions
	}
	return l
}

// listens finds where a version listens.
func (c *jobCalls) listens(ctx context.Context, t jobTarget) (l lookup) {
	v, err := function.ParseVersion(t.version)
	if err != nil {
		return lookup{err: err}
	}
	var st function.Status
	what := t.Name.Name
	if v == 0 {
		var f function.Function
		f, err = c.catalog.Get(ctx, t.Name)
		st = f.Status
	} else {
		var ver function.Version
		ver, err = c.catalog.Version(ctx, catalog.Deployment{Name: t.Name, Version: v})
		st, what = ver.Status.Status, what+":"+t.version
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return lookup{err: fmt.Errorf("there is no %s any more", what)}
	case err != nil:
		return lookup{err: err}
	case st.Address == "" || len(st.Replicas) == 0:
		return lookup{err: fmt.Errorf("%s has nothing that answers HTTP, it is %s", what, strings.TrimSuffix(fmt.Sprintf("%s: %s", st.State, st.Message), ": "))}
	}
	return lookup{address: st.Address}
}
