package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/trigger/letter"
)

const (
	adminSocket = "admin.sock" // of a processor, in its run directory
	// mostRecalled is how many events can be run again.
	mostRecalled = 20
	recallTime   = 5 * time.Second
	maxRecalled  = 256 << 20
)

var errNothing = errors.New("no event came yet")

// wish does what was typed.
func (l *loop) wish(ctx context.Context, w Wish) {
	if w <= 0 {
		l.observer.Recalled(l.recalled(ctx))
		return
	}
	l.replay(ctx, int(w))
}

// replay runs one of the last events again, 1 being the last.
func (l *loop) replay(ctx context.Context, back int) {
	all := l.recalled(ctx)
	if back > len(all) {
		err := errNothing
		if len(all) > 0 {
			err = fmt.Errorf("the last %d events are kept", len(all))
		}
		l.observer.Replayed(tap.Event{}, letter.Outcome{}, err)
		return
	}
	e := all[len(all)-back]
	var out letter.Outcome
	text, err := letter.Encode(e.Letter())
	if err == nil {
		err = l.ask(ctx, http.MethodPost, "/letters", text, &out)
	}
	if ctx.Err() == nil {
		l.observer.Replayed(e, out, err)
	}
}

// recalled are the last events, those of processors before the current one
// included. A processor that died has taken its own along.
func (l *loop) recalled(ctx context.Context) []tap.Event {
	ctx, cancel := context.WithTimeout(ctx, recallTime)
	defer cancel()
	var now []tap.Event
	if l.current != nil && l.current.running() {
		_ = l.ask(ctx, http.MethodGet, "/recalled", nil, &now) // then those from before are what there is
	}
	all := slices.Concat(l.recent, now)
	return all[max(0, len(all)-mostRecalled):]
}

// ask asks the current processor.
func (l *loop) ask(ctx context.Context, method, path string, body []byte, into any) error {
	if l.current == nil || !l.current.running() {
		return errors.New("nothing runs now")
	}
	socket := filepath.Join(l.current.dir, adminSocket)
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://processor"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask processor: %w", err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("ask processor: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRecalled))
	if err != nil {
		return fmt.Errorf("ask processor: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask processor: %s", bytes.TrimSpace(text))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("ask processor: %w", err)
	}
	return nil
}
