package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/function"
)

// Selection says which objects are wanted; the zero value: all of the
// namespace.
type Selection struct {
	Labels, Fields string // selectors, as in the API
	Project        string
	All            bool // of all namespaces
	Reveal         bool // with their secrets
}

func (s Selection) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"labelSelector": s.Labels, "fieldSelector": s.Fields, "project": s.Project} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if s.Reveal {
		q.Set("reveal", "true")
	}
	return q
}

// pageSize is how many objects are asked for at once.
const pageSize = 500

// list reads all pages of a list; kind is the plural in the path.
func list[T any](ctx context.Context, c *Client, kind string, s Selection) ([]T, error) {
	var all []T
	q := s.query()
	q.Set("limit", strconv.Itoa(pageSize))
	for {
		var page api.List[T]
		address := c.url("/"+kind, q)
		if s.All {
			q.Set("namespace", "*")
			address = c.base + "/api/v1/" + kind + "?" + q.Encode()
		}
		if err := c.call(ctx, http.MethodGet, address, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Continue == "" {
			return all, nil
		}
		q.Set("continue", page.Continue)
	}
}

// List returns the objects of a kind, "functions", as JSON.
func (c *Client) List(ctx context.Context, kind string, s Selection) ([]json.RawMessage, error) {
	return list[json.RawMessage](ctx, c, kind, s)
}

// Get returns one object as JSON; path is its place, "functions/hello".
func (c *Client) Get(ctx context.Context, path string, reveal bool) (out json.RawMessage, err error) {
	err = c.call(ctx, http.MethodGet, c.url("/"+path, Selection{Reveal: reveal}.query()), nil, &out)
	return out, err
}

// Remove deletes the object at a path. With cascade what is in it goes too.
func (c *Client) Remove(ctx context.Context, path string, cascade bool) error {
	q := url.Values{}
	if cascade {
		q.Set("cascade", "true")
	}
	return c.call(ctx, http.MethodDelete, c.url("/"+path, q), nil, nil)
}

// ApplyOptions say how an object is applied.
type ApplyOptions struct {
	Owner  string // the set that it belongs to
	DryRun bool
	Force  bool // take over what belongs to another set
}

// Apply merges what is declared, an object as JSON, into the object at a path.
func (c *Client) Apply(ctx context.Context, path string, declared []byte, o ApplyOptions) (out api.Applied[json.RawMessage], err error) {
	q := url.Values{}
	if o.Owner != "" {
		q.Set("owner", o.Owner)
	}
	if o.DryRun {
		q.Set("dryRun", "true")
	}
	if o.Force {
		q.Set("force", "true")
	}
	resp, err := c.do(ctx, http.MethodPatch, c.url("/"+path, q), "application/vnd.myelin.apply+json", bytes.NewReader(declared))
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("read answer: %w", err)
	}
	return out, nil
}

// Projects lists the projects of the namespace.
func (c *Client) Projects(ctx context.Context) ([]function.Project, error) {
	return list[function.Project](ctx, c, "projects", Selection{})
}

// Project returns one project.
func (c *Client) Project(ctx context.Context, name string) (p function.Project, err error) {
	err = c.call(ctx, http.MethodGet, c.url("/projects/"+url.PathEscape(name), nil), nil, &p)
	return p, err
}

// PutProject stores a project, new or not, as Put does a function.
func (c *Client) PutProject(ctx context.Context, p function.Project) (out function.Project, err error) {
	err = c.call(ctx, http.MethodPut, c.url("/projects/"+url.PathEscape(p.Metadata.Name), nil), p, &out)
	return out, err
}

// WatchObjects is Watch for any kind, "projects": f gets the objects as JSON.
func (c *Client) WatchObjects(ctx context.Context, kind, from string, s Selection, f func(ObjectEvent) error) error {
	q := s.query()
	q.Set("watch", "true")
	if from != "" {
		q.Set("resourceVersion", from)
	}
	resp, err := c.do(ctx, http.MethodGet, c.url("/"+kind, q), "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return readEvents(resp.Body, f)
}

// ObjectEvent is one event of a watch of any kind.
type ObjectEvent struct {
	Kind     string // see package api
	Object   json.RawMessage
	Revision string // from which a watch can be resumed; "" until all is sent
}

// CreateProject stores a new project.
func (c *Client) CreateProject(ctx context.Context, p function.Project) error {
	return c.call(ctx, http.MethodPost, c.url("/projects", nil), p, nil)
}

// Store puts an object, as JSON with its secrets, at a path, new or not.
func (c *Client) Store(ctx context.Context, path string, object []byte) error {
	return c.call(ctx, http.MethodPut, c.url("/"+path, nil), json.RawMessage(object), nil)
}
