package function

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/myelin-run/myelin/document"
)

// Merge returns base, such as the configuration found in the code, with what
// over says put over it. Fields and named entries (triggers, labels,
// attributes) are merged one by one; of lists over's is taken whole; env is
// appended, over's variables taking the place of base's with the same name.
// What over leaves empty, zero or false does not change base. Neither is changed.
func Merge(base, over Config) Config {
	env := mergeEnv(base.Spec.Env, over.Spec.Env)
	out := merged(reflect.ValueOf(base), reflect.ValueOf(over)).Interface().(Config)
	out.Spec.Env = env
	return out
}

// MergeBuild returns file, from build.yaml, with spec, from function.yaml, put
// over it as [Merge] does.
func MergeBuild(file, spec Build) Build {
	return merged(reflect.ValueOf(file), reflect.ValueOf(spec)).Interface().(Build)
}

func mergeEnv(base, over []EnvVar) []EnvVar {
	var out []EnvVar
	for _, v := range base {
		if !slices.ContainsFunc(over, func(o EnvVar) bool { return o.Name == v.Name }) {
			out = append(out, v)
		}
	}
	return append(out, over...)
}

func merged(base, over reflect.Value) reflect.Value {
	switch {
	case isNothing(over):
		return base
	case isNothing(base):
		return over
	}
	if raw, ok := over.Interface().(json.RawMessage); ok {
		return reflect.ValueOf(mergeRaw(base.Interface().(json.RawMessage), raw))
	}
	switch over.Kind() {
	case reflect.Struct:
		out := reflect.New(over.Type()).Elem()
		for i := range over.NumField() {
			out.Field(i).Set(merged(base.Field(i), over.Field(i)))
		}
		return out
	case reflect.Map:
		out := reflect.MakeMap(over.Type())
		for k, v := range base.Seq2() {
			out.SetMapIndex(k, v)
		}
		for k, v := range over.Seq2() {
			if had := base.MapIndex(k); had.IsValid() {
				v = merged(had, v)
			}
			out.SetMapIndex(k, v)
		}
		return out
	case reflect.Pointer:
		if over.Elem().Kind() == reflect.Struct {
			out := reflect.New(over.Type().Elem())
			out.Elem().Set(merged(base.Elem(), over.Elem()))
			return out
		}
	}
	return over
}

func isNothing(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice:
		return v.Len() == 0
	}
	return v.IsZero()
}

// mergeRaw merges fields; anything else is replaced.
func mergeRaw(base, over json.RawMessage) json.RawMessage {
	var b, o map[string]json.RawMessage
	if !isObject(base) || !isObject(over) || json.Unmarshal(base, &b) != nil || json.Unmarshal(over, &o) != nil {
		return over
	}
	for name, v := range o {
		b[name] = mergeRaw(b[name], v)
	}
	out, err := json.Marshal(b)
	if err != nil {
		return over
	}
	return out
}

func isObject(raw json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
}

// SetField sets the field at path, such as spec.eventTimeout or
// spec.env[0].value, to value: text, a number, true, false, null, or a list or
// fields as JSON. A name with dots is written in brackets:
// metadata.labels["example.com/team"]. The result is checked as [Parse] checks;
// if anything is wrong cfg stays as it was.
func SetField(cfg *Config, path, value string) error {
	fresh := *cfg
	if err := document.Set(&fresh, path, value); err != nil {
		return err
	}
	before := check(cfg)
	var found document.Errors
	for _, e := range check(&fresh) {
		if !slices.ContainsFunc(before, func(b *document.Error) bool { return *b == *e }) {
			found = append(found, e)
		}
	}
	if err := found.Err(); err != nil {
		return err
	}
	*cfg = fresh
	return nil
}
