package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"

	"github.com/myelin-run/myelin/platform"
)

const (
	// AdminSocket is where a replica answers its platform, in its scratch directory.
	AdminSocket = "admin.sock"
	maxReply    = 16 << 20
)

// Ask implements [platform.Processors].
func (p *Platform) Ask(ctx context.Context, name, method, path string, body []byte) []platform.Reply {
	var out []platform.Reply
	for _, ask := range p.processors(name) {
		out = append(out, ask(ctx, method, path, body))
	}
	return out
}

// asker asks one processor.
type asker func(ctx context.Context, method, path string, body []byte) platform.Reply

// processors are those of a function that run and are not told to stop, each
// to be asked.
func (p *Platform) processors(name string) []asker {
	g := p.lookup(name)
	if g == nil {
		return nil
	}
	var out []asker
	for _, scratch := range g.Serving() {
		out = append(out, func(ctx context.Context, method, path string, body []byte) platform.Reply {
			r := platform.Reply{Replica: filepath.Base(scratch)}
			text, status, err := request(ctx, filepath.Join(scratch, AdminSocket), method, path, body)
			if r.Status, r.Body = status, text; err != nil {
				r.Status, r.Body = 0, []byte(err.Error())
			}
			return r
		})
	}
	return out
}

// request makes one over a unix socket. What comes back is the function's
// to forge.
func request(ctx context.Context, socket, method, path string, body []byte) ([]byte, int, error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, method, "http://processor"+path, bytes.NewReader(body))
	if err != nil {
		return nil, 0, fmt.Errorf("ask processor: %w", err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("ask processor: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, 0, fmt.Errorf("ask processor: %w", err)
	}
	return text, resp.StatusCode, nil
}
