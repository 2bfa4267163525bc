// Package calls lets functions call other functions: over HTTP, on connections
// that are kept, with the trace carried on. It knows where functions are
// reached, because it is told, and nothing of gateways, workers and channels.
package calls

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

const (
	// Variable of the environment that says where functions are reached, as
	// "name=http://host:port,other=http://...,*=http://gateway".
	Variable = "MYELIN_FUNCTIONS"
	// Any is the name that stands for every function without a place of its own;
	// a function's name is added to the path of its URL.
	Any = "*"
	// DefaultTimeout bounds a call that has no other limit.
	DefaultTimeout = 60 * time.Second
	// RefusedHeader marks an answer that is a gateway's own and no function's.
	RefusedHeader = "X-Myelin-Refused"
)

// Options say what may be called and for how long.
type Options struct {
	Functions map[string]string // URLs by name, or unix:/path; see [Any]
	// Limit bounds every call, whatever it asks for; 0: only those that ask for nothing,
	// by DefaultTimeout.
	Limit time.Duration
}

// Client calls functions. It implements [runtime.Caller]. Its life: [New],
// which opens nothing; Do from any goroutine; Close, once no Do runs.
type Client struct {
	limit time.Duration
	base  map[string]place
	seed  [16]byte // of trace ids that are made of event ids

	mu    sync.Mutex
	pools map[string]*pool // by host and port, or socket
}

// place is where a function is reached.
type place struct{ host, path string }

// New checks o; it opens nothing.
func New(o Options) (*Client, error) {
	c := &Client{limit: o.Limit, base: map[string]place{}, pools: map[string]*pool{}}
	_, _ = rand.Read(c.seed[:]) // never fails
	for name, text := range o.Functions {
		if path, ok := strings.CutPrefix(text, "unix:"); ok && filepath.IsAbs(path) {
			c.base[name] = place{host: text}
			continue
		}
		u, err := url.Parse(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("functions.%s: %w", name, err)
		case u.Scheme != "http" || u.Hostname() == "" || u.RawQuery != "" || u.User != nil:
			return nil, fmt.Errorf("functions.%s: %q is not of the form http://host:port/path or unix:/path/of/socket", name, text)
		}
		host := u.Host
		if u.Port() == "" {
			host += ":80"
		}
		c.base[name] = place{host, strings.TrimSuffix(u.EscapedPath(), "/")}
	}
	return c, nil
}

// FromEnvironment adds what the environment says to known, whose entries win.
func FromEnvironment(known map[string]string) (map[string]string, error) {
	all := map[string]string{}
	for part := range strings.SplitSeq(os.Getenv(Variable), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, where, ok := strings.Cut(part, "=")
		if !ok {
			return nil, fmt.Errorf("%s: %q is not of the form name=url", Variable, part)
		}
		all[strings.TrimSpace(name)] = strings.TrimSpace(where)
	}
	maps.Copy(all, known)
	return all, nil
}

// nameForm is what may be put in the path of a URL.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)

// find says where a function is reached.
func (c *Client) find(name string) (place, error) {
	if p, ok := c.base[name]; ok && name != Any {
		return p, nil
	}
	if p, ok := c.base[Any]; ok && nameForm.MatchString(name) {
		return place{p.host, p.path + "/" + name}, nil
	}
	known := slices.DeleteFunc(slices.Sorted(maps.Keys(c.base)), func(n string) bool { return n == Any })
	hint := "none is; see " + Variable
	if len(known) > 0 {
		hint = "known are " + strings.Join(known, ", ")
	}
	if c.base[Any] != (place{}) {
		hint = "it cannot be a function's name"
	}
	return place{}, event.Errorf(http.StatusNotFound, "function %q is not known here (%s)", name, hint)
}

// Do implements [runtime.Caller].
func (c *Client) Do(ctx context.Context, call *runtime.Call, answer *event.Response) error {
	if call.Kind != runtime.CallFunction {
		return event.Errorf(http.StatusNotImplemented, "this processor does not know calls of kind %d", call.Kind)
	}
	to, err := c.find(call.Name)
	if err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok || c.limit > 0 {
		limit := c.limit
		if limit == 0 {
			limit = DefaultTimeout
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	x, err := c.exchange(to, call)
	if err != nil {
		return event.Errorf(http.StatusBadRequest, "call function %s: %s", call.Name, err)
	}
	defer x.free()
	began := time.Now()
	if err := c.pool(to.host).do(ctx, x); err != nil {
		return explain(ctx, call.Name, time.Since(began), err)
	}
	if why := x.resp.Header.Peek(RefusedHeader); len(why) > 0 {
		return refused(call.Name, x.resp.StatusCode(), x.resp.Body())
	}
	x.answer(answer)
	return nil
}

// explain names the function in an error of its connection.
func explain(ctx context.Context, name string, took time.Duration, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("call function %s: %w", name, ctx.Err())
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fasthttp.ErrTimeout):
		return event.Errorf(http.StatusGatewayTimeout, "function %s did not answer in %s", name, took.Round(time.Millisecond))
	case errors.Is(err, syscall.ECONNREFUSED):
		return event.Errorf(http.StatusBadGateway, "function %s is not running: connection refused", name)
	}
	return event.Errorf(http.StatusBadGateway, "call function %s: %s", name, err)
}

func (c *Client) pool(host string) *pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[host]
	if p == nil {
		p = &pool{address: host}
		c.pools[host] = p
	}
	return p
}

// Close closes the connections that are kept.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pools {
		p.close()
	}
	return nil
}
