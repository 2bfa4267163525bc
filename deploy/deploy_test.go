package deploy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	generate "github.com/invopop/jsonschema"

	"github.com/myelin-run/myelin/test/servers"
)

var update = flag.Bool("update", false, "write generated files anew")

const helmChart = "chart/myelin"

// release is that of the tests.
var release = Release{"myelin", "myelin"}

func values(t *testing.T, files ...string) Values {
	t.Helper()
	v, err := Defaults()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if v, err = v.Over(name, body); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return servers.Helm(t.Context(), t.TempDir(), args...)
}

// What is rendered here is what Helm renders, whatever is said.
func TestHelmRendersTheSame(t *testing.T) {
	least := filepath.Join(t.TempDir(), "least.yaml")
	few := filepath.Join(t.TempDir(), "few.yaml")
	for name, body := range map[string]string{
		least: "registry: {repository: r.example.com/x}\n",
		few: "registry: {repository: r.example.com/x}\nstorage: {ephemeral: true}\nserviceAccount: {create: false}\nrbac: {create: false}\n" +
			"networkPolicy: {enabled: false}\nresources: null\ningress: {enabled: true, gateway: {host: a.example.com}}\nhttpRoute: {enabled: true, parentRefs: [{name: a}]}\n",
	} {
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{least, few, "testdata/everything.yaml"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			said, err := helm(t, "template", release.Name, helmChart, "--namespace", release.Namespace, "--values", file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := split("helm", said)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Render(release, values(t, file))
			if err != nil {
				t.Fatal(err)
			}
			byName := cmpopts.SortSlices(func(a, b Object) bool { return a.Kind()+a.Name() < b.Kind()+b.Name() })
			if diff := cmp.Diff(want, got.Objects, byName); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Helm finds nothing wrong with the chart, and takes the mistakes that we find for mistakes.
func TestHelmLints(t *testing.T) {
	if out, err := helm(t, "lint", "--strict", helmChart, "--values", "testdata/everything.yaml"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for said, want := range map[string]string{
		"registry: {repository: r/x}\nimage: {repo: x}\n":             "repo",
		"registry: {repository: r/x}\napi: {service: {port: many}}\n": "port",
		"registry: {repository: r/x}\nstorage: {ephemeral: 1}\n":      "ephemeral",
		"registry: {repository: r/x}\nextraArgs: x\n":                 "extraArgs",
		"{}\n": "registry.repository",
		"registry: {repository: r/x}\ningress: {enabled: true}\n":          "ingress.gateway.host",
		"registry: {repository: r/x}\nfunctions: {bases: {python: [a]}}\n": "python",
		"registry: {repository: r/x}\nregistrry: {}\n":                     "registrry",
	} {
		file := filepath.Join(t.TempDir(), "wrong.yaml")
		if err := os.WriteFile(file, []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := helm(t, "template", "myelin", helmChart, "--values", file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("helm of %q: %v", said, err)
		}
		v, err := values(t).Over(file, []byte(said))
		if err == nil {
			_, err = Render(release, v)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", said, err)
		}
	}
}

// The schema that Helm checks values by is that of the type that we check them by.
func TestSchema(t *testing.T) {
	const file = helmChart + "/values.schema.json"
	r := generate.Reflector{Anonymous: true, DoNotReference: true, RequiredFromJSONSchemaTags: true}
	schema := r.Reflect(&Values{})
	schema.Version = "http://json-schema.org/draft-07/schema#"
	got, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	fresh(t, file, append(got, '\n'))
}

// The base for Kustomize is the chart with what it has if nothing is said, and Kustomize
// changes of it what the page says.
func TestKustomizeIsFresh(t *testing.T) {
	v := values(t)
	v.Registry.Repository = "registry.example.com/myelin"
	r, err := Render(release, v)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range r.Objects {
		delete(o.meta(), "namespace") // which is the overlay's to say
		for _, subject := range listOf(o["subjects"]) {
			delete(subject, "namespace")
		}
	}
	got, err := YAML(r.Objects)
	if err != nil {
		t.Fatal(err)
	}
	fresh(t, "kustomize/base/myelin.yaml", append([]byte("# Generated of deploy/chart by make docs.\n"), got...))

	said, err := servers.Kustomize(t.Context(), "kustomize/example")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"image: registry.example.com/team/myelin:2", "value: registry.example.com/team/functions", "namespace: functions", "--base=python=registry.example.com/team/base-python:2", "storage: 50Gi"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %s", want, said)
		}
	}
	objects, err := split("kustomize", said)
	if err != nil || len(objects) != len(r.Objects) {
		t.Errorf("%d objects of %d, %v", len(objects), len(r.Objects), err)
	}
	for _, o := range objects {
		if o.Namespace() != "functions" {
			t.Errorf("%s %s is in %q", o.Kind(), o.Name(), o.Namespace())
		}
		for _, subject := range listOf(o["subjects"]) {
			if subject["namespace"] != "functions" {
				t.Errorf("%s is bound to %v", o.Name(), subject)
			}
		}
	}
}

func listOf(v any) (all []map[string]any) {
	list, _ := v.([]any)
	for _, one := range list {
		all = append(all, one.(map[string]any))
	}
	return all
}

func fresh(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(want, got) {
		t.Errorf("%s is stale: make docs (%v)", file, err)
	}
}

// A value is set by its path, and one that is not there is told.
func TestSet(t *testing.T) {
	v := values(t)
	for path, value := range map[string]string{"registry.repository": "r/x", "api.service.port": "9000", "extraArgs[0]": "--linger=1m", "functions.bases": `{"python":"b"}`} {
		if err := v.Set(path, value); err != nil {
			t.Error(err)
		}
	}
	if v.Registry.Repository != "r/x" || v.API.Service.Port != 9000 || v.ExtraArgs[0] != "--linger=1m" || v.Functions.Bases["python"] != "b" || v.Storage.Size != "10Gi" {
		t.Errorf("%+v", v)
	}
	if err := v.Set("registry.repo", "x"); err == nil || !strings.Contains(err.Error(), "registry.repo") {
		t.Errorf("%v", err)
	}
}
