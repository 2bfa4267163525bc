package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/function"
)

func rollouts(of, alias string) string {
	path := named(of) + "/rollouts"
	if alias != "" {
		path += "/" + url.PathEscape(alias)
	}
	return path
}

// StartRollout begins a rollout of the alias that it is named after. One that
// has ended is replaced; one that is under way is a conflict.
func (c *Client) StartRollout(ctx context.Context, r function.Rollout, who Author) (out function.Rollout, err error) {
	err = c.call(ctx, http.MethodPost, c.url(rollouts(r.Spec.Function, ""), who.query()), r, &out)
	return out, err
}

// PutRollout begins a rollout unless the last one of its alias was the same.
func (c *Client) PutRollout(ctx context.Context, r function.Rollout, who Author) (out function.Rollout, err error) {
	err = c.call(ctx, http.MethodPut, c.url(rollouts(r.Spec.Function, r.Metadata.Name), who.query()), r, &out)
	return out, err
}

// Rollouts lists the rollouts of a function, one for each alias at most.
func (c *Client) Rollouts(ctx context.Context, of string) ([]function.Rollout, error) {
	return list[function.Rollout](ctx, c, rollouts(of, "")[1:], Selection{})
}

// Rollout returns the rollout of an alias that is under way, or the last one.
func (c *Client) Rollout(ctx context.Context, of, alias string) (r function.Rollout, err error) {
	err = c.call(ctx, http.MethodGet, c.url(rollouts(of, alias), nil), nil, &r)
	return r, err
}

// SteerRollout does one of pause, resume, promote and abort.
func (c *Client) SteerRollout(ctx context.Context, of, alias, verb string, who Author) (r function.Rollout, err error) {
	err = c.call(ctx, http.MethodPost, c.url(rollouts(of, alias)+"/"+url.PathEscape(verb), who.query()), nil, &r)
	return r, err
}

// DeleteRollout forgets a rollout that has ended.
func (c *Client) DeleteRollout(ctx context.Context, of, alias string) error {
	return c.call(ctx, http.MethodDelete, c.url(rollouts(of, alias), nil), nil, nil)
}

// WatchRollout calls f with the rollout of an alias as it is and whenever it
// changes, until ctx is done, f fails, or the connection ends; it returns why.
func (c *Client) WatchRollout(ctx context.Context, of, alias string, f func(function.Rollout) error) error {
	return c.WatchObjects(ctx, rollouts(of, "")[1:], "", Selection{Fields: "metadata.name=" + alias}, func(e ObjectEvent) error {
		if e.Kind != api.EventPut {
			return nil
		}
		var r function.Rollout
		if err := json.Unmarshal(e.Object, &r); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		return f(r)
	})
}
