package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// processorFiles are the processor.yaml of a function's replicas.
func (w *world) processorFiles(name string) (text string) {
	w.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "run", "default."+name, "*", "processor.yaml"))
	if err != nil {
		w.Fatal(err)
	}
	for _, path := range found {
		st, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // of one that has just ended
		}
		if err != nil || st.Mode().Perm() != 0o600 {
			w.Errorf("%s: mode %v, %v", path, st.Mode(), err)
		}
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.Fatal(err)
		}
		text += string(b)
	}
	return text
}

// Secrets, given by reference or in a configuration itself, reach processors
// and are found nowhere else: in no file of the data directory, no answer of
// the API or the gateway, no command line or environment of a processor, and
// nothing that the control plane prints.
func TestSecretsAreNowhere(t *testing.T) {
	t.Setenv(authEnv, "on")
	w := newWorld(t)
	w.start()
	token, err := os.ReadFile(filepath.Join(w.dir, TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Functions(t.Context()); err == nil {
		t.Fatal("the API answers without a token")
	}
	bearer := strings.TrimSpace(string(token))
	web := client.WithToken(bearer, nil)
	w.client = client.New("http://"+w.api, "", web)

	fresh := func(what string) string { return what + "-" + rand.Text() }
	env, kafka, inline, sasl, later := fresh("env"), fresh("kafka"), fresh("inline"), fresh("sasl"), fresh("later")
	set := func(name, value string) {
		t.Helper()
		if _, err := w.client.SetSecret(t.Context(), "", name, quantity.Secret(value)); err != nil {
			t.Fatal(err)
		}
	}
	set("env", env)
	set("kafka", kafka)

	one := config("one", "1")
	one.Spec.Env = append(one.Spec.Env, function.EnvVar{Name: "TOKEN", Value: "$secret:env"})
	two := config("two", "1")
	attributes, err := json.Marshal(map[string]any{"topics": []string{"t"}, "consumerGroup": "g", "sasl": map[string]string{"user": "u", "password": sasl}})
	if err != nil {
		t.Fatal(err)
	}
	two.Spec.Triggers = map[string]function.Trigger{"in": {Kind: "kafka", Disabled: true, URL: "127.0.0.1:1", Password: "$secret:kafka", Attributes: attributes}}
	three := config("three", "1")
	three.Spec.Env = append(three.Spec.Env, function.EnvVar{Name: "DB_PASSWORD", Value: inline})
	for _, cfg := range []function.Config{one, two, three} {
		w.deploy(cfg, function.Ready)
	}
	four := config("four", "1")
	four.Spec.Env = append(four.Spec.Env, function.EnvVar{Name: "TOKEN", Value: "$secret:later"})
	if f := w.deploy(four, function.Failed); !strings.Contains(f.Status.Message, `no secret "later" in project default`) {
		t.Errorf("a secret that is missing: %q", f.Status.Message)
	}
	set("later", later)
	for name, values := range map[string][]string{"one": {env}, "two": {kafka, sasl}, "three": {inline}, "four": {later}} {
		w.await("the secrets of "+name, func(context.Context) error {
			text := w.processorFiles(name)
			for _, v := range values {
				if !strings.Contains(text, v) {
					return fmt.Errorf("%s has not got %s", name, v)
				}
			}
			return nil
		})
	}
	// One that is written anew is deployed.
	anew := fresh("anew")
	set("env", anew)
	w.await("the new value", func(ctx context.Context) error {
		f, err := w.client.Function(ctx, "one")
		if text := w.processorFiles("one"); err != nil || !strings.Contains(text, anew) || strings.Contains(text, env) || f.Status.State != function.Ready {
			return errors.Join(err, fmt.Errorf("it is %s", f.Status.State))
		}
		return nil
	})
	values := []string{env, kafka, inline, sasl, later, anew}
	w.searchAnswers(web, append(values, bearer))
	w.searchProcesses(append(values, bearer))
	w.kill()
	w.searchFiles(values, bearer)
	for _, v := range append(values, bearer) {
		if strings.Contains(w.said.String(), v) {
			t.Errorf("the control plane printed %s", v)
		}
	}
}

func (w *world) searchAnswers(web *http.Client, values []string) {
	w.Helper()
	paths := []string{"functions", "functions?namespace=*", "secrets", "tokens", "audit", "projects", "whoami", "version", "openapi.json"}
	for _, name := range []string{"one", "two", "three", "four"} {
		for _, below := range []string{"", "/logs", "/logs?which=processor", "/triggers", "/letters", "/versions", "/aliases", "/invoke/"} {
			paths = append(paths, "functions/"+name+below)
		}
	}
	for _, path := range paths {
		resp, err := web.Get("http://" + w.api + "/api/v1/" + path)
		if err != nil {
			w.Fatal(err)
		}
		w.searchAnswer(path, resp, values)
	}
	for _, path := range []string{"/", "/one", "/healthz", "/metrics"} {
		resp, err := http.Get("http://" + w.gateway + path)
		if err != nil {
			w.Fatal(err)
		}
		w.searchAnswer("gateway "+path, resp, values)
	}
}

func (w *world) searchAnswer(path string, resp *http.Response, values []string) {
	w.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	for _, v := range values {
		if bytes.Contains(b, []byte(v)) || strings.Contains(fmt.Sprint(resp.Header), v) {
			w.Errorf("%s answers %s", path, b)
		}
	}
}

// searchProcesses looks at what other users can, or could, see of processors.
func (w *world) searchProcesses(values []string) {
	w.Helper()
	all, err := w.client.Functions(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	seen := 0
	for _, f := range all {
		for _, r := range f.Status.Replicas {
			for _, file := range []string{"cmdline", "environ"} {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", r.PID, file))
				if err != nil {
					continue // another one has taken its place
				}
				seen++
				for _, v := range values {
					if bytes.Contains(b, []byte(v)) {
						w.Errorf("%s of %s has %s", file, f.Metadata.Name, v)
					}
				}
			}
		}
	}
	if seen == 0 {
		w.Error("no processor was looked at")
	}
}

func (w *world) searchFiles(values []string, bearer string) {
	w.Helper()
	for _, name := range []string{TokenFile, "store.keys"} {
		if st, err := os.Stat(filepath.Join(w.dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			w.Errorf("%s: %v", name, err)
		}
	}
	looked := 0
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // it has just gone
		}
		looked++
		for _, v := range append(values, bearer) {
			mine := d.Name() == "processor.yaml" && v != bearer || d.Name() == TokenFile && v == bearer
			if !mine && bytes.Contains(b, []byte(v)) {
				w.Errorf("%s has %s", path, v)
			}
		}
		return nil
	})
	if err != nil || looked < 10 {
		w.Errorf("looked at %d files, %v", looked, err)
	}
}
