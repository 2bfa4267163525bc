package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

func tree(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestMerge(t *testing.T) {
	for name, c := range map[string]struct{ live, before, wanted, want string }{
		"set and kept":      {`{"a":1,"theirs":2}`, `{"a":1}`, `{"a":3}`, `{"a":3,"theirs":2}`},
		"not any more":      {`{"a":1,"b":{"c":1,"theirs":2}}`, `{"a":1,"b":{"c":1}}`, `{}`, `{"b":{"theirs":2}}`},
		"never owned":       {`{"a":1}`, `{}`, `{}`, `{"a":1}`},
		"new within":        {`{}`, `{}`, `{"a":{"b":[1,2]}}`, `{"a":{"b":[1,2]}}`},
		"list whole":        {`{"a":[1,2,3]}`, `{"a":[1]}`, `{"a":[4]}`, `{"a":[4]}`},
		"list by name":      {`{"e":[{"name":"A","value":"1"},{"name":"T","value":"2"}]}`, `{"e":[{"name":"A","value":"1"}]}`, `{"e":[{"name":"B","value":"3"}]}`, `{"e":[{"name":"T","value":"2"},{"name":"B","value":"3"}]}`},
		"item merged":       {`{"e":[{"name":"A","value":"1","x":9}]}`, `{"e":[{"name":"A","value":"1"}]}`, `{"e":[{"name":"A","value":"2"}]}`, `{"e":[{"name":"A","value":"2","x":9}]}`},
		"list not any more": {`{"e":[{"name":"A"},{"name":"T"}]}`, `{"e":[{"name":"A"}]}`, `{}`, `{"e":[{"name":"T"}]}`},
		"another form":      {`{"a":{"b":1}}`, `{"a":{"b":1}}`, `{"a":[1]}`, `{"a":[1]}`},
		"names twice":       {`{"e":[{"name":"A"},{"name":"A"}]}`, `{}`, `{"e":[{"name":"A","v":1}]}`, `{"e":[{"name":"A","v":1}]}`},
	} {
		wanted := tree(t, c.wanted)
		got := Merge(tree(t, c.live), wanted, FieldsOf(tree(t, c.before)), FieldsOf(wanted))
		if !reflect.DeepEqual(got, tree(t, c.want)) {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
	// What is declared to be nothing goes, whoever set it.
	if got := Merge(tree(t, `{"a":true,"b":1}`), tree(t, `{}`), nil, FieldsOf(tree(t, `{"a":false}`))); !reflect.DeepEqual(got, tree(t, `{"b":1}`)) {
		t.Errorf("got %v", got)
	}
}

func TestDiff(t *testing.T) {
	got := fmt.Sprint(Diff(tree(t, `{"a":1,"b":{"x.y":"o"},"e":[{"name":"DB_PASSWORD","value":"1"}],"n":1.0,"gone":{"z":1}}`),
		tree(t, `{"a":2,"b":{"x.y":"p"},"e":[{"name":"DB_PASSWORD","value":"2"}],"n":1,"new":[1]}`)))
	want := `[{a 1 2 a} {b["x.y"] o p x.y} {e[DB_PASSWORD].value 1 2 DB_PASSWORD} {gone map[z:1] <nil> gone} {new <nil> [1] new}]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Applying again changes nothing, and nothing of others is lost, whatever the
// objects are.
func TestApplyingAgainChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		live, before, wanted := grown(r, 3), grown(r, 3), grown(r, 3)
		declared := FieldsOf(wanted)
		once := Merge(live, wanted, FieldsOf(before), declared)
		if twice := Merge(once, wanted, declared, declared); !reflect.DeepEqual(once, twice) {
			t.Fatalf("live %v, before %v, wanted %v: %v, then %v", live, before, wanted, once, twice)
		}
		if d := Diff(once, once); len(d) != 0 {
			t.Fatalf("%v differs from itself: %v", once, d)
		}
		for name, child := range live {
			if declared[name] == nil && FieldsOf(before)[name] == nil && !reflect.DeepEqual(once.(map[string]any)[name], child) {
				t.Fatalf("%s of %v is lost: %v", name, live, once)
			}
		}
	}
}

func grown(r *rand.Rand, depth int) map[string]any {
	out := map[string]any{}
	for range r.IntN(4) {
		out[string(rune('a'+r.IntN(4)))] = value(r, depth)
	}
	return out
}

func value(r *rand.Rand, depth int) any {
	switch n := r.IntN(4); {
	case n == 0 && depth > 0:
		return grown(r, depth-1)
	case n == 1 && depth > 0:
		var list []any
		for i := range 1 + r.IntN(3) {
			item := grown(r, depth-1)
			item["name"] = fmt.Sprint("n", i+r.IntN(2)*5)
			list = append(list, item)
		}
		return list
	case n == 2:
		return "text"
	}
	return json.Number(fmt.Sprint(r.IntN(3)))
}
