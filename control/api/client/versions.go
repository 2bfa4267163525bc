package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/function"
)

func versions(name string, number int) string {
	path := named(name) + "/versions"
	if number > 0 {
		path += "/" + strconv.Itoa(number)
	}
	return path
}

// Author says who changes something, and why. Either may be empty.
type Author struct{ By, Note string }

func (a Author) query() url.Values {
	q := url.Values{}
	if a.By != "" {
		q.Set("by", a.By)
	}
	if a.Note != "" {
		q.Set("note", a.Note)
	}
	return q
}

// Publish makes a version of a function as it is. fresh is false if nothing has
// changed since the last version, which is returned then.
func (c *Client) Publish(ctx context.Context, name string, who Author) (v function.Version, fresh bool, err error) {
	resp, err := c.do(ctx, http.MethodPost, c.url(versions(name, 0), who.query()), "", nil)
	if err != nil {
		return v, false, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, false, fmt.Errorf("read answer: %w", err)
	}
	return v, resp.StatusCode == http.StatusCreated, nil
}

// Versions lists the versions of a function, the newest first.
func (c *Client) Versions(ctx context.Context, name string) ([]function.Version, error) {
	return list[function.Version](ctx, c, versions(name, 0)[1:], Selection{})
}

// FunctionVersion returns one version.
func (c *Client) FunctionVersion(ctx context.Context, name string, number int) (v function.Version, err error) {
	err = c.call(ctx, http.MethodGet, c.url(versions(name, number), nil), nil, &v)
	return v, err
}

// DeleteVersion deletes a version that nothing names.
func (c *Client) DeleteVersion(ctx context.Context, name string, number int) error {
	return c.call(ctx, http.MethodDelete, c.url(versions(name, number), nil), nil, nil)
}

func aliases(of, name string) string {
	path := named(of) + "/aliases"
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// MoveOptions say how an alias is moved.
type MoveOptions struct {
	Author
	// Version is the resourceVersion that is moved; "": any; "0": there is none.
	Version string
	// Wait is how long to wait until the alias leads there. 0: not at all.
	Wait time.Duration
}

func (o MoveOptions) query() url.Values {
	q := o.Author.query()
	if o.Version != "" {
		q.Set("resourceVersion", o.Version)
	}
	if o.Wait > 0 {
		q.Set("wait", o.Wait.String())
	}
	return q
}

// PutAlias moves an alias, or makes it. Its status says whether it leads there
// already.
func (c *Client) PutAlias(ctx context.Context, a function.Alias, o MoveOptions) (out function.Alias, err error) {
	err = c.call(ctx, http.MethodPut, c.url(aliases(a.Spec.Function, a.Metadata.Name), o.query()), a, &out)
	return out, err
}

// Rollback moves an alias back to where it was before its last move.
func (c *Client) Rollback(ctx context.Context, of, name string, o MoveOptions) (out function.Alias, err error) {
	err = c.call(ctx, http.MethodPost, c.url(aliases(of, name)+"/rollback", o.query()), nil, &out)
	return out, err
}

// Aliases lists the aliases of a function.
func (c *Client) Aliases(ctx context.Context, of string) ([]function.Alias, error) {
	return list[function.Alias](ctx, c, aliases(of, "")[1:], Selection{})
}

// Alias returns one alias.
func (c *Client) Alias(ctx context.Context, of, name string) (a function.Alias, err error) {
	err = c.call(ctx, http.MethodGet, c.url(aliases(of, name), nil), nil, &a)
	return a, err
}

// DeleteAlias deletes an alias; with force also one that mappings follow.
func (c *Client) DeleteAlias(ctx context.Context, of, name string, force bool) error {
	q := url.Values{}
	if force {
		q.Set("force", "true")
	}
	return c.call(ctx, http.MethodDelete, c.url(aliases(of, name), q), nil, nil)
}

// Effective says whether an alias leads where it was moved to.
func Effective(a function.Alias) bool {
	return strconv.FormatInt(a.Status.Observed, 10) == a.Metadata.ResourceVersion
}

// CollectOptions say which versions stay though nothing names them.
type CollectOptions struct {
	Keep      int           // so many of the newest
	OlderThan time.Duration // only those that were published longer ago go
	DryRun    bool
}

// Collect removes old versions of a function and returns them.
func (c *Client) Collect(ctx context.Context, name string, o CollectOptions) ([]function.Version, error) {
	q := url.Values{"keep": {strconv.Itoa(o.Keep)}}
	if o.OlderThan > 0 {
		q.Set("olderThan", o.OlderThan.String())
	}
	if o.DryRun {
		q.Set("dryRun", "true")
	}
	var out api.VersionList
	err := c.call(ctx, http.MethodPost, c.url(versions(name, 0)+"/collect", q), nil, &out)
	return out.Items, err
}
