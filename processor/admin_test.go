package processor_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// A processor that anybody can reach answers who brings its token, and nobody else;
// then it shows what functions are sent, and removes letters that are kept elsewhere.
func TestToken(t *testing.T) {
	cfg := config(t, "")
	cfg.Admin.Token, cfg.Letters.Dir = "s3cret", t.TempDir()
	box, kept := letterbox.New(letterbox.Options{Dir: cfg.Letters.Dir}), &letter.Letter{Trigger: "in", Reason: "in vain", ID: "e1"}
	if err := box.Send(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	r := start(t, cfg, echo)
	ask := func(token, method, path string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, r.admin+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	at := "/letters/" + letterbox.Name(kept)
	for _, token := range []string{"", "s3cret", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "Bearer "} {
		for path, method := range map[string]string{"/ready": "GET", "/metrics": "GET", "/recalled": "GET", "/shares": "PUT", at: "DELETE", "/nothing": "GET"} {
			if code := ask(token, method, path); code != 401 {
				t.Errorf("%q: %s %s: %d", token, method, path, code)
			}
		}
	}
	if n, err := box.Count(); err != nil || n != 1 {
		t.Fatalf("%d letters, %v", n, err)
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/ready", 200}, {"GET", "/metrics", 200}, {"GET", "/recalled", 200}, {"GET", "/nothing", 404},
		{"DELETE", at, 200}, {"DELETE", at, 404}, {"DELETE", "/letters/..%2fx", 404},
	} {
		if code := ask("Bearer s3cret", c.method, c.path); code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, code, c.want)
		}
	}
	if n, err := box.Count(); err != nil || n != 0 {
		t.Errorf("%d letters are left, %v", n, err)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// Whoever reaches a port without a token removes no letters.
func TestNoRemovalOverTCP(t *testing.T) {
	r := start(t, config(t, ""), echo)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, r.admin+"/letters/"+letterbox.Name(&letter.Letter{}), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 404 || string(text) != "404 page not found\n" {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// With open health, who has no token is told how a processor is, and nothing else.
func TestOpenHealth(t *testing.T) {
	cfg := config(t, "")
	cfg.Admin.Token, cfg.Admin.OpenHealth = "s3cret", true
	r := start(t, cfg, echo)
	for path, want := range map[string]int{"/ready": 200, "/live": 200, "/metrics": 200, "/load": 401, "/shares": 401, "/recalled": 401, "/nothing": 401} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.admin+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}
