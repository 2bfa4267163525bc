package logline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		in   string
		want Line
	}{
		{`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"hi","n":3}`, Line{at, "INFO", "hi", []Field{{"n", "3"}}}},
		{`time=2026-01-02T03:04:05Z level=ERROR msg="a \"b\"" error="x\ny"`, Line{at, "ERROR", `a "b"`, []Field{{"error", "x\ny"}}}},
		{`time=2026-01-02T03:04:05Z level=INFO msg=hi a= b=2`, Line{at, "INFO", "hi", []Field{{"a", ""}, {"b", "2"}}}},
		{`plain text`, Line{Message: "plain text"}},
		{`{"a":1}`, Line{Message: `{"a":1}`}},
		{`{"level":"INFO"`, Line{Message: `{"level":"INFO"`}},
		{`{"level":"INFO","msg":"x"} more`, Line{Message: `{"level":"INFO","msg":"x"} more`}},
		{`time=`, Line{Message: `time=`}},
		{`time="unclosed`, Line{Message: `time="unclosed`}},
		{``, Line{}},
	} {
		if diff := cmp.Diff(c.want, Parse(c.in)); diff != "" {
			t.Errorf("%q: %s", c.in, diff)
		}
	}
}

func TestTextShowsTheAuthorsFrames(t *testing.T) {
	l := Line{Level: "ERROR", Message: "function cannot be loaded", Fields: []Field{{"worker", "0"}, {"code", "7"}, {"traceback",
		"Traceback (most recent call last):\n  File \"/x/_myelin_main.py\", line 5, in main\n    load()\n    ^^^^^^\n  File \"/f/main.py\", line 2, in <module>\n    raise ValueError(\"no\")\nValueError: no\n"}}}
	want := "function cannot be loaded code=7\n    Traceback (most recent call last):\n      File \"/f/main.py\", line 2, in <module>\n        raise ValueError(\"no\")\n    ValueError: no"
	if got := l.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`time=x level=INFO msg="a" b=c`)
	f.Add(`{"level":"INFO","msg":"x"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if l := Parse(text); l.Level == "" && l.Message != text {
			t.Errorf("%q: a line that is no record became %q", text, l.Message)
		}
		_ = Parse(text).Text()
	})
}
