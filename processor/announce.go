package processor

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"time"
)

// ReadyFile is written to the working directory when all triggers can be
// reached, by rename, so that whoever sees it sees all of it, and removed when a
// processor that drains takes no more connections.
const ReadyFile = "ready.json"

// Ready is the content of a ReadyFile.
type Ready struct {
	PID       int               `json:"pid"`
	Addresses map[string]string `json:"addresses"` // host:port by trigger name
	Admin     string            `json:"admin"`
}

// closer is implemented by triggers that can say when they take no more connections.
type closer interface{ Closed() <-chan struct{} }

// addressed is implemented by triggers that listen.
type addressed interface{ Addr() net.Addr }

// announce waits until every trigger is ready and says so.
func (p *Processor) announce(ctx context.Context) error {
	r := Ready{PID: os.Getpid(), Addresses: map[string]string{}, Admin: p.adminAddr}
	for _, f := range p.feeds {
		if err := f.settled(ctx); err != nil {
			return err
		}
		if t, ok := f.trigger().(addressed); ok {
			r.Addresses[f.name] = t.Addr().String()
		}
	}
	p.ready.Store(true)
	p.log.Info("ready", "after", time.Since(p.started).Round(100*time.Microsecond), "addresses", r.Addresses, "admin", r.Admin)
	if !p.cfg.WriteReady {
		return nil
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := "." + ReadyFile
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, ReadyFile)
}

// retract removes the ReadyFile once no trigger takes connections any more, so that who
// waits for that need not guess; unless the processor has ended before.
func (p *Processor) retract(ended context.Context) {
	if !p.cfg.WriteReady {
		return
	}
	for _, f := range p.feeds {
		c, ok := f.trigger().(closer)
		if !ok {
			continue
		}
		select {
		case <-c.Closed():
		case <-ended.Done():
			return
		}
	}
	if err := os.Remove(ReadyFile); err != nil && !os.IsNotExist(err) {
		p.log.Warn("take readiness back", "error", err)
	}
}
