package function

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/document"
)

func parsed(t *testing.T, text string) Config {
	t.Helper()
	l, err := Parse("function.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l.Config
}

func TestMerge(t *testing.T) {
	code := parsed(t, `
metadata: {name: code, labels: {a: "1", b: "1"}}
spec:
  runtime: python
  handler: h:code
  minReplicas: 1
  env: [{name: A, value: code}, {name: B, value: code}]
  build: {commands: [x, y], args: {P: p}}
  triggers:
    k: {kind: kafka, numWorkers: 4, attributes: {topics: [t], sasl: {user: u, password: p}}, batch: {mode: enable, batchSize: 4}}
    c: {kind: cron}
`)
	explicit := parsed(t, `
metadata: {name: explicit, labels: {b: "2"}}
spec:
  minReplicas: 0
  env: [{name: C, value: explicit}, {name: B, value: explicit}]
  build: {commands: [z]}
  triggers:
    k: {kind: kafka, url: u, attributes: {topics: [v], sasl: {user: w}}, batch: {batchSize: 8}}
`)
	want := parsed(t, `
metadata: {name: explicit, labels: {a: "1", b: "2"}}
spec:
  runtime: python
  handler: h:code
  minReplicas: 0
  env: [{name: A, value: code}, {name: C, value: explicit}, {name: B, value: explicit}]
  build: {commands: [z], args: {P: p}}
  triggers:
    k: {kind: kafka, url: u, numWorkers: 4, attributes: {sasl: {password: p, user: w}, topics: [v]}, batch: {mode: enable, batchSize: 8}}
    c: {kind: cron}
`)
	before, err := json.Marshal([]Config{code, explicit})
	if err != nil {
		t.Fatal(err)
	}
	got := Merge(code, explicit)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	Defaults(&got)
	after, err := json.Marshal([]Config{code, explicit})
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Errorf("Merge or Defaults changed what it was given:\n%s\n%s", before, after)
	}
	for _, c := range []Config{code, explicit, {}} {
		if diff := cmp.Diff(c, Merge(c, Config{})); diff != "" {
			t.Errorf("merging nothing over it changed it:\n%s", diff)
		}
		if diff := cmp.Diff(c, Merge(Config{}, c)); diff != "" {
			t.Errorf("merging it over nothing changed it:\n%s", diff)
		}
	}
}

func TestDefaults(t *testing.T) {
	for text, want := range map[string]map[string]int{ // trigger and its workers
		`spec: {}`: {"default-http": 0},
		`spec: {disableDefaultHTTPTrigger: true}`: {},
		`spec: {triggers: {w: {kind: http}}}`:     {"w": 0},
		`spec: {triggers: {c: {kind: cron}}}`:     {"c": 0, "default-http": 0},
		`{apiVersion: nuclio.io/v1, spec: {triggers: {c: {kind: cron}, k: {kind: kafka, maxWorkers: 3}}}}`: {"c": 1, "k": 3, "default-http": 1},
		`spec: {triggers: {k: {kind: kafka, numWorkers: 5}}, disableDefaultHTTPTrigger: true}`:             {"k": 5},
	} {
		cfg := parsed(t, text)
		Defaults(&cfg)
		got := map[string]int{}
		for name, tr := range cfg.Spec.Triggers {
			got[name] = tr.NumWorkers
			if tr.Name != name || tr.MaxWorkers != 0 || *tr.WorkerAvailabilityTimeoutMilliseconds != 10000 {
				t.Errorf("%s: %s is %+v", text, name, tr)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
	cfg := parsed(t, `spec: {triggers: {a: {kind: http, name: n, workerAvailabilityTimeoutMilliseconds: 0}, b: {kind: x, workerAvailabilityTimeoutMilliseconds: -1}}}`)
	Defaults(&cfg)
	a, b := cfg.Spec.Triggers["a"], cfg.Spec.Triggers["b"]
	if a.Name != "n" || *a.WorkerAvailabilityTimeoutMilliseconds != 0 || *b.WorkerAvailabilityTimeoutMilliseconds != 10000 {
		t.Errorf("got %+v %+v", a, b)
	}
}

func TestSetField(t *testing.T) {
	cfg := parsed(t, `
metadata: {name: x}
spec: {runtime: go, triggers: {web: {kind: http, password: hunter2, attributes: {port: 1}}}}
`)
	for _, set := range [][2]string{
		{"spec.eventTimeout", "5s"}, {"spec.triggers.web.numWorkers", "4"}, {"spec.triggers.web.attributes.port", "8080"},
		{"spec.env[0].name", "A"}, {"spec.env[0].value", "8080"}, {`metadata.labels["a.b/c"]`, "true"}, {"metadata.labels.x", "1"},
		{"spec.resources.limits.cpu", "2"}, {"spec.replicas", "0"}, {"spec.triggers.c", `{"kind": "cron", "attributes": {"interval": "3s"}}`},
		{"spec.build.commands", "[a, b]"}, {"spec.disable", "true"}, {"spec.triggers.c.secret", "1234"},
	} {
		if err := SetField(&cfg, set[0], set[1]); err != nil {
			t.Fatalf("%s=%s: %v", set[0], set[1], err)
		}
	}
	want := parsed(t, `
metadata: {name: x, labels: {a.b/c: "true", x: "1"}}
spec:
  runtime: go
  disable: true
  eventTimeout: 5s
  replicas: 0
  env: [{name: A, value: "8080"}]
  resources: {limits: {cpu: "2"}}
  build: {commands: [a, b]}
  triggers:
    web: {kind: http, numWorkers: 4, password: hunter2, attributes: {port: 8080}}
    c: {kind: cron, secret: "1234", attributes: {interval: 3s}}
`)
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for set, wrong := range map[[2]string]string{
		{"spec.eventTimout", "5s"}:                     "unknown field spec.eventTimout, did you mean eventTimeout?",
		{"spec.eventTimeout", "5 s"}:                   `spec.eventTimeout: "5 s" is not a duration such as "30s"`,
		{"spec.triggers.web.numWorkers", "200000"}:     "spec.triggers.web.numWorkers: is 200000, expected 0 to 100000",
		{"spec.triggers.web.explicitAckMode", "enabl"}: `spec.triggers.web.explicitAckMode: unknown value "enabl", did you mean "enable"? (known: enable, disable, explicitOnly)`,
		{"metadata.name", "Not_A_Name"}:                `metadata.name: "Not_A_Name" is not a name of a-z, 0-9 and -, beginning and ending with a letter or digit, of at most 63`,
	} {
		if err := SetField(&cfg, set[0], set[1]); err == nil || err.Error() != wrong {
			t.Errorf("%v: got %v", set, err)
		}
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("failed sets changed it:\n%s", diff)
	}
}

func TestLocateComponentError(t *testing.T) {
	l, err := Parse("function.yaml", []byte("spec:\n  triggers:\n    web:\n      kind: http\n      attributes:\n        prot: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	var attributes struct {
		Port int `json:"port"`
	}
	err = document.DecodeJSON(l.Config.Spec.Triggers["web"].Attributes, &attributes)
	const want = "function.yaml:6: unknown field spec.triggers.web.attributes.prot, did you mean port?"
	if got := l.Locate(err, "spec.triggers.web.attributes"); got == nil || got.Error() != want {
		t.Errorf("got %v", got)
	}
}

func TestSplitRuntime(t *testing.T) {
	for in, want := range map[string][2]string{"go": {"golang", ""}, "golang:1.26": {"golang", "1.26"}, "python:3.12": {"python", "3.12"}, "": {}} {
		if name, version := SplitRuntime(in); name != want[0] || version != want[1] {
			t.Errorf("%s: %s, %s", in, name, version)
		}
	}
}

func TestRestoreSecrets(t *testing.T) {
	old := parsed(t, `
metadata: {name: x}
spec: {runtime: go, triggers: {k: {kind: kafka, password: p, secret: s}}, dataBindings: {d: {kind: table, secret: b}}}
`)
	shown, err := Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	back := parsed(t, string(shown))
	const wrong = `spec.triggers.k.password: is only *** as a secret is shown, give the secret itself
spec.triggers.k.secret: is only *** as a secret is shown, give the secret itself
spec.dataBindings.d.secret: is only *** as a secret is shown, give the secret itself`
	if err := Validate(back); err == nil || err.Error() != wrong {
		t.Errorf("got %v", err)
	}
	RestoreSecrets(&back, old)
	if err := Validate(back); err != nil || !cmp.Equal(back, old) {
		t.Errorf("%v: %s", err, cmp.Diff(old, back))
	}
}

// The control plane keeps a function with its status; the secrets stay.
func TestFunctionRoundTrips(t *testing.T) {
	in := Function{Config: parsed(t, "metadata: {name: x}\nspec: {triggers: {k: {kind: kafka, password: hunter2}}}"), Status: Status{State: Ready, Replicas: []Replica{{Name: "x-0", PID: 7}}}}
	raw, err := document.MarshalRevealed(in)
	if err != nil {
		t.Fatal(err)
	}
	var loose, strict Function
	if err := json.Unmarshal(raw, &loose); err != nil {
		t.Fatal(err)
	}
	if err := document.DecodeJSON(raw, &strict); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(in, loose) || !cmp.Equal(in, strict) {
		t.Errorf("%s became\n%+v\n%+v", raw, loose, strict)
	}
}
