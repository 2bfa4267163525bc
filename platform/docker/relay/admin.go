package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"time"

	"github.com/myelin-run/myelin/processor/handoff"
)

// ask is a question to the container's processor.
func (r *relay) ask(ctx context.Context, method, path string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.Admin+path, http.NoBody)
	if err != nil { // the address is the engine's
		req = (&http.Request{Method: method, Header: http.Header{}}).WithContext(ctx)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	return req
}

// serveHere answers for the container where a process would: on its admin socket, and
// with its listening sockets for a later control plane.
func (r *relay) serveHere(sockets []handoff.Socket) (stop func(), err error) {
	_ = os.Remove(r.AdminSocket) // a predecessor's
	l, err := net.Listen("unix", r.AdminSocket)
	if err != nil {
		return nil, fmt.Errorf("listen for the platform: %w", err)
	}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: &httputil.ReverseProxy{
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", r.Admin, r.Admin
			p.Out.Header.Set("Authorization", "Bearer "+r.token)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "ask the container: "+err.Error(), http.StatusBadGateway)
		},
	}}
	go func() { _ = server.Serve(l) }()
	ctx, cancel := context.WithCancel(context.Background())
	stop = func() { cancel(); _ = server.Close() }
	if len(sockets) == 0 {
		return stop, nil
	}
	offer, err := handoff.OfferAt(filepath.Join(filepath.Dir(r.AdminSocket), handoff.File))
	if err != nil {
		stop()
		return nil, err
	}
	go func() {
		if err := handoff.Serve(ctx, offer, sockets); err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "relay: offer sockets:", err)
		}
	}()
	return stop, nil
}
