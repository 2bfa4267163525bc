package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/function"
)

func jobs(of, name string) string {
	path := named(of) + "/jobs"
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// StartJob begins a job, open and without items.
func (c *Client) StartJob(ctx context.Context, j function.Job, who Author) (out function.Job, err error) {
	err = c.call(ctx, http.MethodPost, c.url(jobs(j.Spec.Function, ""), who.query()), j, &out)
	return out, err
}

// Jobs lists the jobs of a function.
func (c *Client) Jobs(ctx context.Context, of string) ([]function.Job, error) {
	return list[function.Job](ctx, c, jobs(of, "")[1:], Selection{})
}

// Job returns one job.
func (c *Client) Job(ctx context.Context, of, name string) (j function.Job, err error) {
	err = c.call(ctx, http.MethodGet, c.url(jobs(of, name), nil), nil, &j)
	return j, err
}

// SteerJob does one of pause, resume, close and cancel.
func (c *Client) SteerJob(ctx context.Context, of, name, verb string, who Author) (j function.Job, err error) {
	err = c.call(ctx, http.MethodPost, c.url(jobs(of, name)+"/"+url.PathEscape(verb), who.query()), nil, &j)
	return j, err
}

// DeleteJob removes a job that has ended, with its records.
func (c *Client) DeleteJob(ctx context.Context, of, name string) error {
	return c.call(ctx, http.MethodDelete, c.url(jobs(of, name), nil), nil, nil)
}

// AddJobItems adds items to a job and returns how many it has then. at is how
// many there are before the first of these, so that the same may be said again;
// -1: as many as there are.
func (c *Client) AddJobItems(ctx context.Context, of, name string, at int64, items []string) (int64, error) {
	in := api.JobItemsInput{Items: items}
	if at >= 0 {
		in.At = &at
	}
	var out api.JobItemsAdded
	err := c.call(ctx, http.MethodPost, c.url(jobs(of, name)+"/items", nil), in, &out)
	return out.Items, err
}

// JobItems returns a page of the items of a job with their records, of those in
// a state if it is not "". next is for after; 0: there are no more.
func (c *Client) JobItems(ctx context.Context, of, name, state string, after int64) (items []function.JobItem, next int64, err error) {
	q := url.Values{}
	if state != "" {
		q.Set("state", state)
	}
	if after > 0 {
		q.Set("after", strconv.FormatInt(after, 10))
	}
	var out api.JobItemList
	err = c.call(ctx, http.MethodGet, c.url(jobs(of, name)+"/items", q), nil, &out)
	return out.Items, out.Next, err
}

// WatchJob calls f with a job as it is and whenever it changes, until ctx is
// done, f fails, or the connection ends; it returns why.
func (c *Client) WatchJob(ctx context.Context, of, name string, f func(function.Job) error) error {
	return c.WatchObjects(ctx, jobs(of, "")[1:], "", Selection{Fields: "metadata.name=" + name}, func(e ObjectEvent) error {
		if e.Kind != api.EventPut {
			return nil
		}
		var j function.Job
		if err := json.Unmarshal(e.Object, &j); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		return f(j)
	})
}
