package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	A int    `json:"a"`
	B string `json:"b"`
}

type embedded struct {
	Deep string `json:"deep"`
}

type sample struct {
	Text  string            `json:"text"`
	Loose string            `json:"loose" document:"scalar"`
	Bool  bool              `json:"bool"`
	I8    int8              `json:"i8"`
	U8    uint8             `json:"u8"`
	F     float64           `json:"f"`
	Ptr   *int              `json:"ptr"`
	List  []inner           `json:"list"`
	Map   map[string]string `json:"map"`
	Raw   json.RawMessage   `json:"raw"`
	Any   any               `json:"any"`
	When  time.Time         `json:"when"`
	Bytes []byte            `json:"bytes"`
	ByNum map[int]string    `json:"byNum"`
	Skip  string            `json:"-"`
	embedded
}

func decode(t *testing.T, text string, v any) error {
	t.Helper()
	d, err := Parse("f.yaml", []byte(text))
	if err != nil {
		return err
	}
	return d.Decode(v)
}

func TestDecode(t *testing.T) {
	s := sample{Text: "kept", List: []inner{{A: 9}}, Map: map[string]string{"old": "o"}}
	err := decode(t, `
loose: 1.10
bool: true
i8: -128
u8: 0xff
f: 1e3
ptr: 3
list: [{a: 1, b: "on"}, {b: no}]
map: {on: yes, k: ~}
raw: {a: [1, "x", null, true, 1.10, 2024-01-01, 0o17]}
any: {n: 1}
when: 2024-01-02T03:04:05Z
bytes: aGk=
byNum: {1: a}
deep: d
`, &s)
	if err != nil {
		t.Fatal(err)
	}
	want := sample{
		Text: "kept", Loose: "1.10", Bool: true, I8: -128, U8: 255, F: 1000, Ptr: new(3),
		List: []inner{{1, "on"}, {0, "no"}}, Map: map[string]string{"old": "o", "on": "yes", "k": ""},
		Raw: json.RawMessage(`{"a":[1,"x",null,true,1.10,"2024-01-01",15]}`),
		Any: map[string]any{"n": 1.0}, When: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC),
		Bytes: []byte("hi"), ByNum: map[int]string{1: "a"}, embedded: embedded{"d"},
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(sample{}, embedded{})); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"i8: 128":               `f.yaml:1: i8: expected a whole number from -128 to 127, got the number 128`,
		"i8: 1.0":               `f.yaml:1: i8: expected a whole number, got the number 1.0`,
		"u8: -1":                `f.yaml:1: u8: expected a whole number from 0 to 255, got the number -1`,
		"u8: 256":               `f.yaml:1: u8: expected a whole number from 0 to 255, got the number 256`,
		"f: x":                  `f.yaml:1: f: expected a number, got "x"`,
		"f: .inf":               `f.yaml:1: f: the number .inf cannot be used here`,
		"bool: on":              `f.yaml:1: bool: expected true or false, got "on"`,
		"text: true":            `f.yaml:1: text: expected text, got true (put it in quotes)`,
		"text: [a]":             `f.yaml:1: text: expected text, got a list`,
		"loose: {a: b}":         `f.yaml:1: loose: expected text, got fields`,
		"list:\n  - {a: x}":     `f.yaml:2: list[0].a: expected a whole number, got "x"`,
		"list: {a: 1}":          `f.yaml:1: list: expected a list, got fields`,
		"map: {a.b: 1}":         `f.yaml:1: map["a.b"]: expected text, got the number 1 (put it in quotes)`,
		"Text: x\ndep: y":       "f.yaml:1: unknown field Text, did you mean text?\nf.yaml:2: unknown field dep, did you mean deep?",
		"Skip: x\nembedded: {}": "f.yaml:1: unknown field Skip\nf.yaml:2: unknown field embedded",
		"text: !foo x":          `f.yaml:1: text: unknown tag !foo`,
		"? [a]\n: b":            `f.yaml:1: the name of a field must be text`,
		"<<: x":                 `f.yaml:1: << merges fields, got "x"`,
		"bytes: '*'":            `f.yaml:1: bytes: expected []uint8, got "*"`,
		"text: *nope":           `f.yaml:1: not valid YAML: unknown anchor 'nope' referenced`,
	} {
		var s sample
		if err := decode(t, text, &s); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for name, text := range map[string]string{
		"f.json": deep, "f.yaml": "a: " + deep,
		"many.yaml": "[" + strings.Repeat("0,", maxNodes) + "]",
		"many.json": `{"a":[` + strings.Repeat("0,", maxNodes) + "0]}",
		"big.yaml":  strings.Repeat("# x\n", MaxBytes/4+1),
		"name.yaml": strings.Repeat("n", maxName+1) + ": 1",
		"name.json": `{"` + strings.Repeat("n", maxName+1) + `": 1}`,
	} {
		if _, err := Parse(name, []byte(text)); !isErrors(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	var wrong strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&wrong, "unknown%d: 1\n", i)
	}
	err := decode(t, wrong.String(), new(sample))
	if n := strings.Count(err.Error(), "\n") + 1; n != maxError {
		t.Errorf("%d mistakes told, want %d", n, maxError)
	}
}

func isErrors(err error) bool {
	var es Errors
	return errors.As(err, &es) && len(es) > 0
}

const placed = `# comment
spec:
  triggers:
    web:
      attributes: {port: 1}
  env:
  - name: A
  - value: B
    name: C
  labels:
    a.b/c: x
`

func TestPosition(t *testing.T) {
	d, err := Parse("f.yaml", []byte("\xef\xbb\xbf"+placed))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"": "2:1", "spec": "2:1", "spec.triggers.web.attributes.port": "5:20",
		"spec.env[1].name": "9:5", "spec.env[1]": "8:5", "spec.env[7].name": "6:3",
		`spec.labels["a.b/c"]`: "11:5", "spec.nothing.here": "2:1", "..": "2:1", "spec.env[-1]": "6:3", "spec.env[x": "6:3",
	} {
		line, col := d.Position(path)
		if got := fmt.Sprintf("%d:%d", line, col); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
	j, err := Parse("f.json", []byte("{\n\t\"a\": [1,\n\t\t{\"é\": 2, \"b\": 3}]\n}"))
	if err != nil {
		t.Fatal(err)
	}
	if line, col := j.Position("a[1].b"); line != 3 || col != 13 {
		t.Errorf("a[1].b is at %d:%d", line, col)
	}
}

func TestLocate(t *testing.T) {
	d, err := Parse("f.yaml", []byte(placed))
	if err != nil {
		t.Fatal(err)
	}
	var component struct {
		Port  string `json:"prt"`
		Other inner  `json:"other"`
	}
	component.Other.B = "default"
	relative := DecodeJSON([]byte(`{"port":1,"other":{"a":"x"}}`), &component)
	const bare = "unknown field port, did you mean prt?\nother.a: expected a whole number, got \"x\""
	if relative == nil || relative.Error() != bare {
		t.Fatalf("got %v", relative)
	}
	if component.Other.B != "default" {
		t.Error("a default was lost")
	}
	joined := errors.Join(fmt.Errorf("wrapped: %w", relative), errors.New("plain"))
	const want = `f.yaml:5: unknown field spec.triggers.web.attributes.port, did you mean prt?
f.yaml:5: spec.triggers.web.attributes: plain
f.yaml:5: spec.triggers.web.attributes.other.a: expected a whole number, got "x"`
	got := d.Locate(joined, "spec.triggers.web.attributes").Error()
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	slices.Sort(gotLines)
	slices.Sort(wantLines)
	if diff := cmp.Diff(wantLines, gotLines); diff != "" {
		t.Error(diff)
	}
	sentence := fmt.Errorf("%w: because of %w", errors.New("a"), errors.New("b"))
	if got := d.Locate(sentence, "spec.env[1].name").Error(); got != "f.yaml:9: spec.env[1].name: a: because of b" {
		t.Errorf("got %s", got)
	}
	if d.Locate(nil, "spec") != nil || Under("x", nil) != nil {
		t.Error("no error became one")
	}
	if again := d.Locate(d.Locate(joined, "spec"), "spec"); again.Error() != d.Locate(joined, "spec").Error() {
		t.Errorf("locating twice changed the error: %v", again)
	}
	if relative.Error() != bare {
		t.Error("Locate changed the error it was given")
	}
}

func TestDecodeJSONSyntax(t *testing.T) {
	for raw, want := range map[string]string{
		"":                   "not valid JSON: the text ends too early",
		`{"a": 1`:            "not valid JSON: the text ends too early",
		`{"a": 1} {}`:        "not valid JSON: a second value begins here",
		`{"a": 1, "a": 2}`:   "duplicate field a (first on line 1)",
		`{"a": "1", "c": 2}`: "a: expected a whole number, got \"1\"\nunknown field c",
	} {
		if err := DecodeJSON([]byte(raw), new(inner)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", raw, err, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"http", "kafka", "rabbit-mq", "cron", "nats", "numWorkers", "v3ioStream"}
	for got, want := range map[string]string{
		"htpt": "http", "HTTP": "http", "kafak": "kafka", "rabbitMQ": "rabbit-mq", "rabbit_mq": "rabbit-mq",
		"num-workers": "numWorkers", "numworker": "numWorkers", "crn": "cron", "x": "", "": "", "zzzz": "", "at": "",
		strings.Repeat("k", 10000): "",
	} {
		hint := ""
		if want != "" {
			hint = fmt.Sprintf(", did you mean %q?", want)
		}
		if s := DidYouMean(got, names); s != hint {
			t.Errorf("%s: got %q, want %q", got, s, hint)
		}
	}
}

func TestSet(t *testing.T) {
	start := sample{Text: "old", List: []inner{{A: 1}}}
	for _, c := range []struct{ path, value, wrong string }{
		{"text", "8080", ""}, {"text", "a: b # c", ""}, {"text", "", ""}, {"text", `"quoted"`, ""},
		{"bool", "true", ""}, {"i8", "7", ""}, {"ptr", "null", ""}, {"list[0].b", "x", ""}, {"list[1].a", "2", ""},
		{"list", `[{"a": 4}]`, ""}, {"list", "[{a: 4}]", ""}, {`map["a.b"]`, "true", ""}, {"raw.port", "8080", ""},
		{"list[3].a", "1", "list: has 1 items, the next is [1]"},
		{"i8", "1000", "i8: expected a whole number from -128 to 127, got the number 1000"},
		{"txt", "x", "unknown field txt, did you mean text?"},
		{"text.x", "y", `text: has no fields, it is "old"`},
		{"text[0]", "y", `text: is no list, it is "old"`},
		{"", "y", "no field is named"},
		{"list", "[", "list: not valid YAML: did not find expected node content"},
	} {
		s := start
		err := Set(&s, c.path, c.value)
		if got := fmt.Sprint(err); c.wrong != "" && got != c.wrong || c.wrong == "" && err != nil {
			t.Errorf("%s=%s: got %v, want %q", c.path, c.value, err, c.wrong)
		}
		if err != nil && !cmp.Equal(s, start, cmp.AllowUnexported(sample{}, embedded{})) {
			t.Errorf("%s=%s failed and changed the value", c.path, c.value)
		}
	}
	s := start
	for _, set := range [][2]string{{"text", "8080"}, {"raw.port", "8080"}, {"raw.tls.on", "yes"}, {`map["a.b"]`, "true"}, {"list[1].a", "2"}} {
		if err := Set(&s, set[0], set[1]); err != nil {
			t.Fatal(err)
		}
	}
	if s.Text != "8080" || string(s.Raw) != `{"port":8080,"tls":{"on":"yes"}}` || s.Map["a.b"] != "true" || len(s.List) != 2 || s.List[0].A != 1 {
		t.Errorf("got %+v, raw %s", s, s.Raw)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{placed, `{"a": [1, {"b": "\ud83d"}]}`, "a: &a {b: *a}", "a: 1\n---\nb: 2", "<<: [{a: 1}]", "{a: 1,}", "x: 0x_1\ny: -.inf\nz: 1_0", "? a\n: b", "a: |\n\tx", "list: [{a: 99}]\nraw: [.5, +1, 0b1, 08]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse("f.yaml", text)
		if err != nil {
			if !isErrors(err) {
				t.Fatalf("%T is not Errors: %v", err, err)
			}
			return
		}
		raw := d.JSON()
		if !json.Valid(raw) {
			t.Fatalf("not JSON: %s", raw)
		}
		if err := d.Decode(new(sample)); err != nil && !isErrors(err) {
			t.Fatalf("%T is not Errors: %v", err, err)
		}
		written, err := YAML(raw)
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		again, err := Parse("f.yaml", written)
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, raw, written)
		}
		if got := again.JSON(); string(got) != string(raw) {
			t.Fatalf("%s became %s through\n%s", raw, got, written)
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add("spec.env[2].name")
	f.Add(`a["b.c"].d`)
	f.Fuzz(func(t *testing.T, name string) {
		steps := splitPath(Join("x", name))
		if len(steps) != 2 || steps[1].isIndex || strings.ToValidUTF8(name, "") == name && steps[1].name != name {
			t.Errorf("%q became %v", name, steps)
		}
		splitPath(name)
	})
}

func FuzzSet(f *testing.F) {
	f.Add("list[0].a", "1")
	f.Add(`map["a.b"]`, "true")
	f.Add("raw.a[0].b", `{"x": [1, "\ud83d"]}`)
	f.Add("i8", "{a: &a [*a]}")
	f.Fuzz(func(t *testing.T, path, value string) {
		s := sample{Text: "old", List: []inner{{A: 1}}}
		if err := Set(&s, path, value); err != nil && !isErrors(err) {
			t.Fatalf("%T is not Errors: %v", err, err)
		}
		if _, err := MarshalRevealed(s); err != nil {
			t.Fatalf("%s=%s made what cannot be written: %v", path, value, err)
		}
	})
}
