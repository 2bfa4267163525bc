package api

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/problem"
)

// crowd bounds what one client may have under way, and how often it may be
// wrong about who it is.
type crowd struct {
	most int // requests of one client at once

	mu     sync.Mutex
	within map[string]int
	wrong  map[string]*misses
}

// misses are a client's wrong credentials since a time.
type misses struct {
	since time.Time
	count int
}

const (
	maxWithin    = 512
	maxMisses    = 30 // in missesWindow
	missesWindow = 10 * time.Second
	maxSuspects  = 4096
)

func newCrowd() *crowd {
	return &crowd{most: maxWithin, within: map[string]int{}, wrong: map[string]*misses{}}
}

// enter counts a request; leave is to be called at its end.
func (c *crowd) enter(client string) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.within[client] >= c.most {
		return nil, problem.New(http.StatusTooManyRequests, fmt.Sprintf("%d requests are under way from here: wait until one has ended", c.most))
	}
	c.within[client]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.within[client]--; c.within[client] == 0 {
			delete(c.within, client)
		}
	}, nil
}

// suspicious refuses who was wrong too often lately. What is refused so does
// not cost the verifying of a signature.
func (c *crowd) suspicious(client string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.wrong[client]
	if m == nil || m.count < maxMisses || time.Since(m.since) > missesWindow {
		return nil
	}
	return problem.New(http.StatusTooManyRequests, "too many wrong tokens from here: wait a moment")
}

func (c *crowd) failed(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.wrong[client]
	if m == nil || time.Since(m.since) > missesWindow {
		if len(c.wrong) >= maxSuspects {
			clear(c.wrong)
		}
		m = &misses{since: time.Now()}
		c.wrong[client] = m
	}
	m.count++
}
