package story

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
)

//go:embed witness/witness.go witness/function.yaml
var sources embed.FS

// packed is the function's source as it is uploaded.
func packed() (io.Reader, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for _, name := range []string{"witness.go", "function.yaml"} {
		text, err := sources.ReadFile("witness/" + name)
		if err == nil {
			err = t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		}
		if err == nil {
			_, err = t.Write(text)
		}
		if err != nil {
			return nil, err
		}
	}
	return &b, errors.Join(t.Close(), z.Close())
}

// witness is the configuration of a function that notes what it is given.
func (s *story) witness(name, version string) function.Config {
	cfg := s.artefact.Config
	cfg.Metadata = function.Metadata{Name: name, Annotations: map[string]string{plan.ArtefactAnnotation: s.artefact.Digest}}
	cfg.Spec.Env = []function.EnvVar{{Name: "VERSION", Value: version}}
	cfg.Spec.Triggers = map[string]function.Trigger{"web": {Kind: "http", NumWorkers: 8}}
	cfg.Spec.DataBindings = map[string]function.DataBinding{"seen": {Kind: "redis", URL: "redis://" + s.reached, Path: seen}}
	return cfg
}

// deploy deploys and returns when what is deployed is in the state.
func (s *story) deploy(cfg function.Config, want function.State) {
	s.Helper()
	put, err := s.client.Put(s.Context(), cfg)
	s.must(err)
	s.await("the function to be "+string(want), func(ctx context.Context) error {
		f, err := s.client.Function(ctx, cfg.Metadata.Name)
		if err == nil && (fmt.Sprint(f.Status.Observed) != put.Metadata.ResourceVersion || f.Status.State != want) {
			err = fmt.Errorf("status %+v", f.Status)
		}
		return err
	})
}

// publish makes a version of what is deployed.
func (s *story) publish(name string) int {
	s.Helper()
	v, fresh, err := s.client.Publish(s.Context(), name, client.Author{By: "story"})
	s.must(err)
	if !fresh {
		s.Fatalf("version %d was there before", v.Number)
	}
	return v.Number
}

// leads moves the alias prod and returns when the gateway knows.
func (s *story) leads(weighted ...function.Weighted) {
	s.Helper()
	a := function.Alias{Metadata: function.Metadata{Name: "prod"}, Spec: function.AliasSpec{Function: "story-witness", Versions: weighted}}
	out, err := s.client.PutAlias(s.Context(), a, client.MoveOptions{Wait: patience})
	s.must(err)
	if !client.Effective(out) {
		s.Fatalf("alias %+v", out)
	}
}

func weight(version int, of100 float64) function.Weighted {
	return function.Weighted{Version: fmt.Sprint(version), Weight: of100}
}

// invoke asks a function, as "story-witness" or "story-witness:prod", through the gateway.
func (s *story) invoke(c *http.Client, name, body string) (string, error) {
	resp, err := c.Post("http://"+s.doors.Gateway+"/"+name, "text/plain", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", resp.Status, text)
	}
	return string(text), err
}

// clients returns a client that keeps its connections and one that does not.
func (s *story) clients() (kept, fresh *http.Client) {
	tr := &http.Transport{MaxIdleConnsPerHost: 16}
	s.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
}

// answers wants a version's answer from a function.
func (s *story) answers(name, version string) {
	s.Helper()
	_, fresh := s.clients()
	s.await(name+" to answer as "+version, func(context.Context) error {
		got, err := s.invoke(fresh, name, "x")
		if err == nil && got != version {
			err = fmt.Errorf("%s answers", got)
		}
		return err
	})
}
