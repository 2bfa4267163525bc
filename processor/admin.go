package processor

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// stuckLimit is how many native functions may be past their timeout and still
// running before the processor says that it is not alive.
const stuckLimit = 1000

type admin struct {
	srv  *http.Server
	done chan struct{}
}

// startAdmin serves health and metrics; it is the first to start and the last
// to stop.
func (p *Processor) startAdmin() (*admin, error) {
	if p.cfg.Admin.Listen == "none" {
		return &admin{}, nil
	}
	network, addr := "tcp", p.cfg.Admin.Listen
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
		_ = os.Remove(path) // left by a killed predecessor
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		return nil, fmt.Errorf("serve health on %s: %w", p.cfg.Admin.Listen, err)
	}
	p.adminAddr = p.cfg.Admin.Listen
	if network == "tcp" {
		p.adminAddr = ln.Addr().String()
	}
	a := &admin{srv: &http.Server{Handler: p.adminHandler(), ReadHeaderTimeout: 5 * time.Second}, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		if err := a.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("serve health", "error", err)
		}
	}()
	return a, nil
}

func (a *admin) stop() error {
	if a.srv == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := a.srv.Shutdown(ctx); err != nil {
		_ = a.srv.Close()
	}
	<-a.done
	return nil
}

func (p *Processor) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		why := p.bindings.Unready(r.Context())
		health(w, p.ready.Load() && len(why) == 0, "not ready: "+p.whyNot(why))
		p.tellShares(w)
	})
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) {
		health(w, p.stuck() < stuckLimit, "too many functions are past their timeout and still running")
	})
	mux.HandleFunc("GET /triggers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.overview())
	})
	mux.HandleFunc("GET /bindings", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.bindings.Reports())
	})
	mux.HandleFunc("POST /triggers/{name}/{verb}", p.steer)
	mux.HandleFunc("GET /shares", p.showShares)
	mux.HandleFunc("PUT /shares", p.putShares)
	mux.HandleFunc("POST /letters", p.redrive)
	if strings.HasPrefix(p.cfg.Admin.Listen, "unix:") || p.cfg.Admin.Token != "" { // what functions are sent is not for whoever reaches a port
		mux.HandleFunc("POST /capture", p.capture)
		mux.HandleFunc("DELETE /capture/{id}", p.endCapture)
		mux.HandleFunc("GET /recalled", p.recalled)
		mux.HandleFunc("DELETE /letters/{id}", p.forget)
	}
	mux.HandleFunc("GET /load", p.tellLoad)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.meters.registry, promhttp.HandlerOpts{}))
	return p.cfg.Admin.guarded(mux)
}

// harmless are the places of health and metrics, which show nothing of what functions are sent.
var harmless = map[string]bool{"/ready": true, "/live": true, "/metrics": true}

// guarded lets in who brings the token; everybody, if there is none, and to harmless
// places if that is wished.
func (a Admin) guarded(h http.Handler) http.Handler {
	if a.Token == "" {
		return h
	}
	want := []byte("Bearer " + a.Token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (!a.OpenHealth || !harmless[r.URL.Path]) && subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "this is for the platform of the function", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func health(w http.ResponseWriter, ok bool, why string) {
	if !ok {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func (p *Processor) stuck() (n int) {
	for _, pool := range p.pools {
		n += pool.Stats().Abandoned
	}
	return n
}
