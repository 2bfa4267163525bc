package main

import (
	"strings"
	"testing"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/control/api"
)

// What a kind types as secret among its attributes is hidden wherever
// functions are shown: there attributes have no types, and names decide.
func TestSecretAttributesAreHidden(t *testing.T) {
	found := map[string]bool{}
	look := func(kind string, fields [][]string) {
		for _, path := range fields {
			found[kind+" "+strings.Join(path, ".")] = true
			if name := path[len(path)-1]; !api.LooksSecret(name) {
				t.Errorf("%s: the attribute %s is a secret, and is not hidden by its name: see secretName in control/api", kind, strings.Join(path, "."))
			}
		}
	}
	all(t, triggers, look)
	all(t, runtimes, look)
	for _, want := range []string{"kafka sasl.password", "kafka sasl.oauth.clientSecret", "kafka accessKey"} {
		if !found[want] {
			t.Errorf("%s was not found among %v", want, found)
		}
	}
}

func all[T, S any](t *testing.T, set *component.Set[T, S], look func(string, [][]string)) {
	t.Helper()
	for _, kind := range set.Kinds() {
		f, err := set.Lookup(kind)
		if err != nil {
			t.Fatal(err)
		}
		look(kind, f.SecretFields())
	}
}
