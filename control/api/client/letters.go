package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

func letters(id string) string {
	path := "/letters"
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	return path
}

// Letters returns a page of the dead letters of a function, or of a version of
// it as "hello:3", the oldest first, after
// what a former page named as Next; limit 0 is the API's.
func (c *Client) Letters(ctx context.Context, name, after string, limit int) (out api.LetterList, err error) {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	err = c.call(ctx, http.MethodGet, c.of(name, letters(""), q), nil, &out)
	return out, err
}

// Letter returns one dead letter, whole.
func (c *Client) Letter(ctx context.Context, name, id string) (k letterbox.Kept, err error) {
	err = c.call(ctx, http.MethodGet, c.of(name, letters(id), nil), nil, &k)
	return k, err
}

// Redrive runs the event of a letter again in what to names, as "orders",
// "orders:3", "orders:prod" or ":3"; "" for what failed.
func (c *Client) Redrive(ctx context.Context, name, id, to string) (out api.Redriven, err error) {
	q := url.Values{}
	if to != "" {
		q.Set("to", to)
	}
	err = c.call(ctx, http.MethodPost, c.of(name, letters(id)+"/redrive", q), nil, &out)
	return out, err
}

// RemoveLetter removes one letter.
func (c *Client) RemoveLetter(ctx context.Context, name, id string) error {
	return c.call(ctx, http.MethodDelete, c.of(name, letters(id), nil), nil, nil)
}

// Purge removes the letters whose event was last tried before a time, all of
// them if it is zero, and returns how many.
func (c *Client) Purge(ctx context.Context, name string, before time.Time) (int, error) {
	q := url.Values{}
	if !before.IsZero() {
		q.Set("before", before.UTC().Format(time.RFC3339))
	}
	var out api.Purged
	err := c.call(ctx, http.MethodDelete, c.of(name, letters(""), q), nil, &out)
	return out.Removed, err
}
