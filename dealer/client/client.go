// Package client is a processor's end of the dealer: it beats for all that the
// processor takes part in over one stream, and tells who works on a resource when
// to begin and when to let go. It decides nothing; that is [dealer.Holder]'s. It
// must not know what a resource is.
package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/myelin-run/myelin/dealer"
)

// Work is told what to work on. Its methods return at once, and are called by
// one goroutine.
type Work interface {
	// Start says to begin to work under a lease: nobody of this processor works
	// under an earlier one.
	Start(l dealer.Lease)
	// Stop says to let go in order: finish what runs, store the checkpoint, and
	// then call [Member.Released]. at once says not to finish: the lease may be
	// another's.
	Stop(l dealer.Lease, atOnce bool)
}

// Options of a client.
type Options struct {
	// Addresses of dealers, tried in turn: "unix:/path" or "host:port".
	Addresses []string
	// Processor is this processor's name, which no other has.
	Processor string
	// Session is greater than that of any earlier process of the name; default
	// the time.
	Session  uint64
	Capacity int    // default 1
	Zone     string // for resources that shall be apart
	// Beat is how often the processor says that it is there; default 1 s, and
	// never more than a quarter of the dealer's ttl.
	Beat time.Duration
	// Strict lets go of everything when the dealer cannot be heard for most of a
	// ttl. Otherwise the processor works on under the leases that it has, and is
	// fenced by their epochs if they were given to another meanwhile.
	Strict bool
	// Leave bounds how long the end waits for what is let go; default 15 s.
	Leave time.Duration
	Log   *slog.Logger // default: none
}

// Client is a processor's membership. Its life: New, Join for each table, Run
// once; Join may also come later.
type Client struct {
	o     Options
	begun time.Time
	kick  chan struct{} // there is something to say at once

	mu      sync.Mutex
	members map[string]*Member
	leaving bool

	// Of Run's goroutine:
	at    int // which address
	fails int
	every time.Duration
}

// Member is the processor's part in one table.
type Member struct {
	c         *Client
	table     string
	edition   uint64
	resources []dealer.Resource
	work      Work

	// Guarded by c.mu:
	h      *dealer.Holder
	untold bool           // the resources are to be told
	seen   []dealer.Lease // epochs to be told of
	queue  []call
}

// call is one call of Work that is due.
type call struct {
	lease  dealer.Lease
	stop   bool
	atOnce bool
}

// New fills in defaults and checks; it opens nothing.
func New(o Options) (*Client, error) {
	if o.Processor == "" || len(o.Addresses) == 0 {
		return nil, errors.New("make dealer client: a processor's name and an address are needed")
	}
	if o.Session == 0 {
		o.Session = uint64(time.Now().UnixNano())
	}
	if o.Beat <= 0 {
		o.Beat = time.Second
	}
	if o.Leave <= 0 {
		o.Leave = 15 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{o: o, begun: time.Now(), kick: make(chan struct{}, 1), members: map[string]*Member{}, every: o.Beat}, nil
}

// Join takes part in a table. resources are all that it has, and edition says
// how new that list is; nil: others know them.
func (c *Client) Join(table string, edition uint64, resources []dealer.Resource, w Work) (*Member, error) {
	m := &Member{c: c, table: table, edition: edition, resources: resources, work: w, untold: true}
	m.h = dealer.NewHolder(dealer.Beat{Processor: c.o.Processor, Session: c.o.Session, Capacity: c.o.Capacity, Zone: c.o.Zone}, c.o.Strict)
	probe := dealer.Call{Table: table, Resources: resources, Beat: dealer.Beat{Processor: c.o.Processor, Zone: c.o.Zone, Capacity: c.o.Capacity}}
	if err := probe.Check(); err != nil {
		return nil, fmt.Errorf("join table: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members[table] != nil {
		return nil, fmt.Errorf("join table: %q is joined already", table)
	}
	if c.leaving {
		return nil, errors.New("join table: the processor is leaving")
	}
	c.members[table] = m
	c.hurry()
	return m, nil
}

// hurry has a beat sent soon.
func (c *Client) hurry() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Released says that nobody works under the lease any more: it was let go, or a
// checkpoint under it was refused. Any goroutine may call it.
func (m *Member) Released(l dealer.Lease) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	m.order(m.h.Released(l))
	m.c.hurry()
}

// Refused is Released of a lease whose checkpoint was refused since the store
// has seen a greater epoch.
func (m *Member) Refused(l dealer.Lease, seen dealer.Epoch) {
	m.c.mu.Lock()
	m.seen = append(m.seen, dealer.Lease{Resource: l.Resource, Epoch: seen})
	m.c.mu.Unlock()
	m.Released(l)
}

// order queues what Work is to be told.
func (m *Member) order(o dealer.Orders) {
	for _, l := range o.Stop {
		m.queue = append(m.queue, call{lease: l, stop: true})
	}
	for _, l := range o.Start {
		m.queue = append(m.queue, call{lease: l})
	}
}

func (c *Client) now() dealer.Time { return dealer.Time(time.Since(c.begun).Milliseconds()) }

// Run beats until ctx is done, then lets go of everything and leaves.
func (c *Client) Run(ctx context.Context) error {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		c.leave()
		time.AfterFunc(c.o.Leave, cancel)
	})()
	for !c.left() && run.Err() == nil {
		err := c.talk(run)
		if err == nil || run.Err() != nil {
			continue
		}
		if c.fails++; c.fails%20 == 1 {
			c.o.Log.Warn("the dealer cannot be heard; working on", "address", c.o.Addresses[c.at], "error", err)
		}
		c.at = (c.at + 1) % len(c.o.Addresses)
		c.pause(run)
	}
	if run.Err() != nil && !c.left() {
		return errors.New("leave dealer: it did not hear of it in time")
	}
	return nil
}

// pause waits between attempts to connect; what is overdue ends meanwhile.
func (c *Client) pause(ctx context.Context) {
	most := min(50*time.Millisecond<<min(c.fails, 5), time.Second)
	t := time.NewTimer(most/2 + rand.N(most/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	c.expire()
	c.tell()
}

// leave has all members let go.
func (c *Client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	for _, m := range c.members {
		m.order(m.h.Leave())
	}
	c.hurry()
}

func (c *Client) left() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leaving {
		return false
	}
	for _, m := range c.members {
		if !m.h.Left() {
			return false
		}
	}
	return true
}

func (c *Client) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		for _, l := range m.h.Expire(c.now()) {
			m.queue = append(m.queue, call{lease: l, stop: true, atOnce: true})
		}
	}
}

// tell calls Work with what is queued. No lock is held meanwhile.
func (c *Client) tell() {
	c.mu.Lock()
	all := make([]*Member, 0, len(c.members))
	for _, m := range c.members {
		all = append(all, m)
	}
	c.mu.Unlock()
	for _, m := range all {
		for {
			c.mu.Lock()
			due := m.queue
			m.queue = nil
			c.mu.Unlock()
			if len(due) == 0 {
				break
			}
			for _, d := range due {
				if d.stop {
					m.work.Stop(d.lease, d.atOnce)
				} else {
					m.work.Start(d.lease)
				}
			}
		}
	}
}
