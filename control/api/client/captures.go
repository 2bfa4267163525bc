package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/capture"
	"github.com/myelin-run/myelin/processor/tap"
)

func captures(id string) string {
	if id == "" {
		return "/captures"
	}
	return "/captures/" + url.PathEscape(id)
}

// StartCapture has events of a function captured as they come.
func (c *Client) StartCapture(ctx context.Context, name string, spec tap.Spec) (out capture.Capture, err error) {
	err = c.call(ctx, http.MethodPost, c.of(name, captures(""), nil), spec, &out)
	return out, err
}

// Captures tells of the capture of a function, without its events.
func (c *Client) Captures(ctx context.Context, name string) (out api.CaptureList, err error) {
	err = c.call(ctx, http.MethodGet, c.of(name, captures(""), nil), nil, &out)
	return out, err
}

// Capture returns a capture with its events behind one of a number.
func (c *Client) Capture(ctx context.Context, name, id string, after int64) (out capture.Capture, err error) {
	q := url.Values{}
	if after > 0 {
		q.Set("after", strconv.FormatInt(after, 10))
	}
	err = c.call(ctx, http.MethodGet, c.of(name, captures(id), q), nil, &out)
	return out, err
}

// EndCapture ends a capture and keeps its events for a while.
func (c *Client) EndCapture(ctx context.Context, name, id string) (out capture.Capture, err error) {
	err = c.call(ctx, http.MethodPost, c.of(name, captures(id)+"/end", nil), nil, &out)
	return out, err
}

// RemoveCapture ends a capture and forgets its events.
func (c *Client) RemoveCapture(ctx context.Context, name, id string) error {
	return c.call(ctx, http.MethodDelete, c.of(name, captures(id), nil), nil, nil)
}

// Replay runs an event once more, in what to names, as "orders", "orders:3",
// "orders:prod" or ":3"; "" for the function itself.
func (c *Client) Replay(ctx context.Context, name string, e tap.Event, to string) (out api.Replayed, err error) {
	q := url.Values{}
	if to != "" {
		q.Set("to", to)
	}
	err = c.call(ctx, http.MethodPost, c.of(name, "/replay", q), e, &out)
	return out, err
}
