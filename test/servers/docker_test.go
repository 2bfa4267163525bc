package servers

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// engine runs the command line of Docker with an engine.
func engine(t *testing.T, s *Server, in []byte, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(limit(t), "/usr/bin/docker", append([]string{"--host", s.Addr}, args...)...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docker %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// empty is an archive with no file in it.
var empty = make([]byte, 1024)

// An engine keeps its images, and knows registries that it is let reach.
func TestDocker(t *testing.T) {
	s := took(t, Docker)
	put := func(t *testing.T, s *Server) { engine(t, s, empty, "import", "-", "nothing:1") }
	look := func(t *testing.T, s *Server) {
		if out := engine(t, s, nil, "images", "-q", "nothing"); len(out) != 12 {
			t.Errorf("images: %q", out)
		}
	}
	lasts(t, s, put, look)
	r := took(t, Registry)
	s.Reach(t, r.Addr)
	engine(t, s, nil, "tag", "nothing:1", r.Addr+"/nothing:1")
	engine(t, s, nil, "push", r.Addr+"/nothing:1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := s.Dial(ctx, "tcp", r.Addr) // by the way that the engine goes
	check(t, err)
	defer conn.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+"/v2/nothing/tags/list", http.NoBody)
	check(t, err)
	c := http.Client{Transport: &http.Transport{DialContext: s.Dial, DisableKeepAlives: true}}
	resp, err := c.Do(req)
	check(t, err)
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), `"1"`) {
		t.Errorf("tags: %s, %v", text, err)
	}
}

func TestRegistryWithLogin(t *testing.T) {
	s := took(t, Registry, Login("someone", "secret"), WithTLS())
	c := http.Client{Transport: &http.Transport{TLSClientConfig: s.TLS, DisableKeepAlives: true}}
	for password, want := range map[string]int{"secret": http.StatusOK, "guess": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(limit(t), http.MethodGet, "https://"+s.Addr+"/v2/", http.NoBody)
		check(t, err)
		req.SetBasicAuth("someone", password)
		resp, err := c.Do(req)
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", password, resp.Status)
		}
	}
}
