package plan

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/function"
)

func TestDiff(t *testing.T) {
	want := Want{Exists: true, Artefact: "a", Fingerprint: "1", Replicas: 1}
	runs := Have{Exists: true, Fingerprint: "1", Replicas: 1}
	disabled, unbuilt, scaled := want, want, want
	disabled.Disabled, unbuilt.Artefact, scaled.Replicas = true, "", 3
	for name, c := range map[string]struct {
		w    Want
		h    Have
		want []Step
	}{
		"new":                 {want, Have{}, []Step{Apply}},
		"as it shall be":      {want, runs, nil},
		"another version":     {want, Have{Exists: true, Fingerprint: "0", Replicas: 1}, []Step{Apply}},
		"more replicas":       {scaled, runs, []Step{Apply}},
		"deleted":             {Want{}, runs, []Step{Remove}},
		"deleted and gone":    {Want{}, Have{}, nil},
		"disabled":            {disabled, runs, []Step{Remove}},
		"disabled and gone":   {disabled, Have{}, nil},
		"not built":           {unbuilt, Have{}, []Step{AwaitBuild}},
		"unbuilt but running": {unbuilt, runs, []Step{AwaitBuild}},
	} {
		if d := cmp.Diff(c.want, Diff(c.w, c.h)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func config(t *testing.T, text string) function.Config {
	t.Helper()
	var c function.Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// Only what changes how a replica runs changes the fingerprint.
func TestFingerprint(t *testing.T) {
	base := `{"metadata":{"name":"f","annotations":{"myelin.run/artefact":"a"}},"spec":{"env":[{"name":"A","value":"1"}],"triggers":{"q":{"kind":"nats","password":"x"}}}}`
	same := []string{
		`{"metadata":{"name":"f","labels":{"a":"b"},"annotations":{"myelin.run/artefact":"a"}},"spec":{"replicas":3,"description":"d","env":[{"name":"A","value":"1"}],"triggers":{"q":{"kind":"nats","password":"x"}}}}`,
	}
	other := []string{
		`{"metadata":{"name":"f","annotations":{"myelin.run/artefact":"b"}},"spec":{"env":[{"name":"A","value":"1"}],"triggers":{"q":{"kind":"nats","password":"x"}}}}`,
		`{"metadata":{"name":"f","annotations":{"myelin.run/artefact":"a"}},"spec":{"env":[{"name":"A","value":"2"}],"triggers":{"q":{"kind":"nats","password":"x"}}}}`,
		`{"metadata":{"name":"f","annotations":{"myelin.run/artefact":"a"}},"spec":{"env":[{"name":"A","value":"1"}],"triggers":{"q":{"kind":"nats","password":"y"}}}}`,
	}
	of := func(text string) string {
		w, err := For(config(t, text))
		if err != nil {
			t.Fatal(err)
		}
		return w.Fingerprint
	}
	for _, s := range same {
		if of(s) != of(base) {
			t.Errorf("another fingerprint for %s", s)
		}
	}
	for _, s := range other {
		if of(s) == of(base) {
			t.Errorf("the same fingerprint for %s", s)
		}
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		`{"spec":{"triggers":{"h":{"kind":"http","attributes":{"port":8085}}}}}`: "127.0.0.1:8085",
		`{"spec":{"triggers":{"h":{"kind":"http","attributes":{"port":"x"}}}}}`:  "",
		`{"spec":{"triggers":{"h":{"kind":"http"}}}}`:                            "",
		`{"spec":{"triggers":{"k":{"kind":"kafka","attributes":{"port":1}}}}}`:   "",
	} {
		if got := Address(config(t, text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
