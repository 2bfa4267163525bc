package function

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTemplate(t *testing.T) {
	for text, want := range map[string]Template{
		"":                               nil,
		"all":                            {{Text: "all"}},
		"user:{event.body.user.0}":       {{Text: "user:"}, {Field: "body", Path: []string{"user", "0"}}},
		"{event.key}{event.topic}":       {{Field: "key", Path: []string{}}, {Field: "topic", Path: []string{}}},
		"a{{b}}{event.headers.X-A.b}":    {{Text: "a{b}"}, {Field: "headers", Path: []string{"X-A.b"}}},
		"{event.fields.q}/{event.body}.": {{Field: "fields", Path: []string{"q"}}, {Text: "/"}, {Field: "body", Path: []string{}}, {Text: "."}},
	} {
		got, err := ParseTemplate(text)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%q: %v %s", text, err, d)
		}
	}
}

func TestTemplateMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"{":                      "without its }",
		"a}":                     "without its {",
		"{event.body.user":       "without its }",
		"{}":                     "no place",
		"{body.user}":            "no place",
		"{event}":                "no place",
		"{event.bodi}":           `no "bodi"`,
		"{event.headers}":        "name is missing",
		"{event.key.a}":          "at most 0",
		"{event.body..a}":        "empty",
		"{event.body.{x}":        "characters",
		"\xff":                   "not text",
		strings.Repeat("a", 5e3): "at most 4096",
	} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// What is read is what was written: the parts of any template that is taken,
// written again, are read as the same.
func FuzzParseTemplate(f *testing.F) {
	for _, s := range []string{"user:{event.body.user}", "{{}}{event.key}", "{event.headers.a.b}x", "}", "{event.body.{"} {
		f.Add(s)
	}
	brace := strings.NewReplacer("{", "{{", "}", "}}")
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := ParseTemplate(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, p := range parts {
			if p.Field == "" {
				b.WriteString(brace.Replace(p.Text))
				continue
			}
			b.WriteString("{" + strings.Join(append([]string{"event", p.Field}, p.Path...), ".") + "}")
		}
		again, err := ParseTemplate(b.String())
		if d := cmp.Diff(parts, again); err != nil || d != "" {
			t.Errorf("%q, written as %q: %v %s", text, b.String(), err, d)
		}
	})
}
