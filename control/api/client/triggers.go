package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/myelin-run/myelin/control/api"
)

// Triggers returns how the triggers of a function are, in each processor.
func (c *Client) Triggers(ctx context.Context, name string) ([]api.TriggerView, error) {
	var out api.TriggerList
	err := c.call(ctx, http.MethodGet, c.url(named(name)+"/triggers", nil), nil, &out)
	return out.Items, err
}

// Steer pauses or resumes a trigger in all processors of a function, or has it
// read from elsewhere: verb is pause, resume or seek; to is for seek, as in the
// spec's startAt.
func (c *Client) Steer(ctx context.Context, name, trigger, verb, to string) error {
	q := url.Values{}
	if to != "" {
		q.Set("to", to)
	}
	return c.call(ctx, http.MethodPost, c.url(named(name)+"/triggers/"+url.PathEscape(trigger)+"/"+verb, q), nil, nil)
}
