package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// way is one of the ways in which events come to a pool.
type way struct {
	gathers bool // the function gets lists
	lists   bool // of events that come together; without gathers each is submitted before the one before it is done
	lends   bool // bodies are read into the memory of a worker
	takes   event.Takes
}

// ways are those of the callers, in turn.
var ways = []way{
	{}, {takes: event.TakesViews}, {takes: event.TakesViews | event.TakesStreams}, {lends: true, takes: event.TakesViews},
	{lists: true}, {lists: true, takes: event.TakesViews}, {lists: true, gathers: true}, {gathers: true, takes: event.TakesViews},
}

// most is how many events a list has.
const most = 24

// caller sends events, one or a list at a time.
type caller struct {
	*soak
	way
	r     *rand.Rand
	qs    []*request
	evs   []*event.Event
	resps []*event.Response
	errs  []error
	read  bytes.Buffer // of a stream
}

// send takes the next numbers until there is none.
func (c *caller) send() error {
	defer func() {
		for _, resp := range c.resps {
			resp.Reset()
		}
	}()
	for {
		want := 1
		if c.lists {
			want += c.r.IntN(most)
		}
		first := int(c.next.Add(int64(want))) - want
		n := min(want, c.n-first)
		if n <= 0 {
			return nil
		}
		if first <= c.n/2 && c.n/2 < first+n {
			c.half <- measure()
		}
		c.fill(first, n)
		c.deliver(n)
		if err := c.settle(n); err != nil {
			return err
		}
	}
}

// fill makes n events, the first of that number.
func (c *caller) fill(first, n int) {
	var lender event.Lender
	if c.lends {
		lender = c.door.(event.Lender)
	}
	for len(c.qs) < n {
		c.qs, c.resps = append(c.qs, &request{}), append(c.resps, &event.Response{})
		c.evs, c.errs = append(c.evs, nil), append(c.errs, nil)
	}
	for i := range n {
		c.qs[i].fill(c.r, first+i, c.language.paths, lender)
		c.evs[i] = &c.qs[i].ev
		resp := c.resps[i]
		resp.Reset() // gives the last view back
		if resp.Takes = c.takes; cap(resp.Body) > roomy {
			resp.Body = nil
		}
	}
}

func (c *caller) deliver(n int) {
	door := c.door
	if c.gathers {
		door = c.gathered
	}
	if c.lists {
		door.(trigger.BatchHandler).HandleBatch(context.Background(), c.evs[:n], c.resps[:n], c.errs[:n])
		return
	}
	c.errs[0] = door.Handle(context.Background(), c.evs[0], c.resps[0])
}

// settle judges the outcomes. What an abandoned function still has is left to it.
func (c *caller) settle(n int) error {
	abandoned := slices.ContainsFunc(c.errs[:n], event.Abandoned)
	for i := range n {
		q := c.qs[i]
		body, err := c.contentOf(c.resps[i], c.errs[i])
		if problem := c.judge(q, body, err); problem != nil {
			return fmt.Errorf("event %d, %d bytes to %s: %w", q.n, len(q.body), q.path, problem)
		}
		q.done()
	}
	if abandoned {
		c.qs, c.evs, c.resps, c.errs = nil, nil, nil, nil
	}
	return nil
}

// contentOf is the body of resp, wherever it lies, unless there is an error; a
// stream is read to its end.
func (c *caller) contentOf(resp *event.Response, err error) ([]byte, error) {
	switch {
	case err != nil:
		return nil, err
	case resp.Owner != nil:
		return resp.View, nil
	case resp.Stream == nil:
		return resp.Body, nil
	}
	c.read.Reset()
	_, err = io.Copy(&c.read, io.LimitReader(resp.Stream, 4<<20))
	err = errors.Join(err, resp.Stream.Close())
	resp.Stream = nil
	return c.read.Bytes(), err
}
