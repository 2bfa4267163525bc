// Package client asks the control plane's API. It is what the command line
// uses. It knows nothing of how the control plane works.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Client asks one control plane. It may be used from any goroutine. Errors
// that the API answered with are [*problem.Problem].
type Client struct {
	base      string
	namespace string
	http      *http.Client
}

// New returns a client of the API at base, "http://127.0.0.1:8070", for one
// namespace, "" for the default one. h is nil for a client without a timeout:
// contexts bound every call.
func New(base, namespace string, h *http.Client) *Client {
	if namespace == "" {
		namespace = api.DefaultNamespace
	}
	if h == nil {
		h = &http.Client{}
	}
	return &Client{base: strings.TrimSuffix(base, "/"), namespace: namespace, http: h}
}

// WithToken returns a client of HTTP that says who asks, with token, and by
// next, nil for the default. It follows no redirects: the API makes none, and
// what it is given is for the API alone.
func WithToken(token string, next http.RoundTripper) *http.Client {
	if next == nil {
		next = http.DefaultTransport
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: bearer{token, next}, CheckRedirect: stay}
}

type bearer struct {
	token string
	next  http.RoundTripper
}

// RoundTrip adds the token. A request that brings an Authorization of its own
// means it for the function that is invoked.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if own := r.Header.Get("Authorization"); own != "" {
		r.Header.Set("X-Myelin-Authorization", own)
	}
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

// url builds the address of a resource.
func (c *Client) url(path string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	query.Set("namespace", c.namespace)
	return c.base + "/api/v1" + path + "?" + query.Encode()
}

// of builds the address of something of a function, or of one of its versions,
// "hello:3".
func (c *Client) of(name, path string, q url.Values) string {
	name, version, has := strings.Cut(name, ":")
	if has {
		if q == nil {
			q = url.Values{}
		}
		q.Set("version", version)
	}
	return c.url(named(name)+path, q)
}

func named(name string) string { return "/functions/" + url.PathEscape(name) }

// do sends a request and returns an answer that is no error; the caller closes
// its body.
func (c *Client) do(ctx context.Context, method, address, kind string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("ask control plane: %w", err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask control plane: %w", err)
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, readProblem(resp)
	}
	return resp, nil
}

func readProblem(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("ask control plane: %w", err)
	}
	var p problem.Problem
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == problem.MediaType && json.Unmarshal(text, &p) == nil && p.Status != 0 {
		return &p
	}
	return problem.New(resp.StatusCode, fmt.Sprintf("%s: %s", resp.Status, bytes.TrimSpace(text)))
}

// call sends in as JSON and reads the answer into out; either may be nil.
func (c *Client) call(ctx context.Context, method, address string, in, out any) error {
	var body io.Reader
	kind := ""
	if in != nil {
		b, err := document.MarshalRevealed(in)
		if err != nil {
			return fmt.Errorf("ask control plane: %w", err)
		}
		body, kind = bytes.NewReader(b), "application/json"
	}
	resp, err := c.do(ctx, method, address, kind, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// Functions lists the functions of the namespace.
func (c *Client) Functions(ctx context.Context) ([]function.Function, error) {
	return list[function.Function](ctx, c, "functions", Selection{})
}

// Function returns one function.
func (c *Client) Function(ctx context.Context, name string) (f function.Function, err error) {
	err = c.call(ctx, http.MethodGet, c.url(named(name), nil), nil, &f)
	return f, err
}

// Create stores a new function.
func (c *Client) Create(ctx context.Context, cfg function.Config) (f function.Function, err error) {
	err = c.call(ctx, http.MethodPost, c.url("/functions", nil), cfg, &f)
	return f, err
}

// Put stores a function, new or not. If cfg has a resourceVersion, that one
// and no other is replaced.
func (c *Client) Put(ctx context.Context, cfg function.Config) (f function.Function, err error) {
	err = c.call(ctx, http.MethodPut, c.url(named(cfg.Metadata.Name), nil), cfg, &f)
	return f, err
}

// Delete deletes a function.
func (c *Client) Delete(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, c.url(named(name), nil), nil, nil)
}

// Version returns the control plane's version.
func (c *Client) Version(ctx context.Context) (string, error) {
	var out struct {
		Version string `json:"version"`
	}
	err := c.call(ctx, http.MethodGet, c.url("/version", nil), nil, &out)
	return out.Version, err
}

// Healthy says whether the control plane answers and can read its store.
func (c *Client) Healthy(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, c.url("/healthz", nil), nil, nil)
}

// NotFound says whether an error is that there is no such thing.
func NotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

// Conflict says whether an error is that something exists or was changed.
func Conflict(err error) bool { return hasStatus(err, http.StatusConflict) }

func hasStatus(err error, status int) bool {
	var p *problem.Problem
	return errors.As(err, &p) && p.Status == status
}
