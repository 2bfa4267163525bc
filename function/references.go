package function

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// SecretNames returns the names of the secrets that a configuration refers to,
// in order.
func SecretNames(cfg Config) []string {
	found := map[string]bool{}
	_, err := ResolveSecrets(cfg, func(name string) (string, error) {
		found[name] = true
		return "", nil
	})
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(found))
}

// ResolveSecrets returns cfg with what find has for it in place of every
// reference to a secret: a value that is "$secret:NAME" as a whole, anywhere in
// the environment, the triggers, the bindings and the runtime's attributes.
// "$$secret:" stands for "$secret:" itself. Its errors name the field that refers.
func ResolveSecrets(cfg Config, find func(name string) (string, error)) (Config, error) {
	raw, err := document.MarshalRevealed(cfg.Spec)
	if err != nil {
		return cfg, fmt.Errorf("resolve secrets: %w", err)
	}
	if !bytes.Contains(raw, []byte(quantity.SecretReference)) {
		return cfg, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var spec map[string]any
	if err := d.Decode(&spec); err != nil {
		return cfg, fmt.Errorf("resolve secrets: %w", err)
	}
	r := resolver{find: find}
	for _, field := range []string{"env", "triggers", "dataBindings", "runtimeAttributes"} {
		if v, ok := spec[field]; ok {
			spec[field] = r.walk("spec."+field, v)
		}
	}
	if r.err != nil {
		return cfg, r.err
	}
	if raw, err = json.Marshal(spec); err != nil {
		return cfg, fmt.Errorf("resolve secrets: %w", err)
	}
	out := cfg
	out.Spec = Spec{}
	if err := json.Unmarshal(raw, &out.Spec); err != nil {
		return cfg, errors.New("resolve secrets: a secret does not fit the field that refers to it")
	}
	return out, nil
}

type resolver struct {
	find func(string) (string, error)
	err  error // the first
}

func (r *resolver) walk(path string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			v[k] = r.walk(document.Join(path, k), v[k])
		}
	case []any:
		for i := range v {
			v[i] = r.walk(fmt.Sprintf("%s[%d]", path, i), v[i])
		}
	case string:
		return r.text(path, v)
	}
	return v
}

func (r *resolver) text(path, v string) string {
	if strings.HasPrefix(v, "$"+quantity.SecretReference) {
		return v[1:]
	}
	name, ok := quantity.ReferredSecret(v)
	if !ok {
		return v
	}
	value, err := r.find(name)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", path, err)
	}
	return value
}
