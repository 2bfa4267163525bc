package terminal

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestTableAligns(t *testing.T) {
	var b bytes.Buffer
	if err := Table(&b, [][]string{{"NAME", "STATE", "URL"}, {"héllo", "", "x\ny"}, {"a-long-name", "ready", ""}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME          STATE   URL\nhéllo         -       x y\na-long-name   ready   -\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestMistakeShowsLineAndCaret(t *testing.T) {
	term := &Terminal{}
	for _, c := range []struct {
		in   Mistake
		want string
	}{
		{Mistake{File: "f.py", Line: 12, Column: 3, Text: "\tx = (", Msg: "never closed"}, "f.py:12:3: never closed\n  12 | \tx = (\n     | \t ^"},
		{Mistake{File: "f.py", Line: 2, Column: 4, Text: "éa(", Msg: "bad"}, "f.py:2:4: bad\n  2 | éa(\n    |   ^"},
		{Mistake{File: "f.py", Line: 2, Column: 40, Text: "short", Msg: "bad"}, "f.py:2:40: bad\n  2 | short\n    | " + strings.Repeat(" ", 39) + "^"},
		{Mistake{File: "f.py", Msg: "no handler"}, "f.py: no handler"},
		{Mistake{Msg: "nothing known"}, "nothing known"},
	} {
		if got := term.Show(c.in); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

func TestProgressIsPlainLinesWithoutATerminal(t *testing.T) {
	var b bytes.Buffer
	term := &Terminal{Err: &b}
	p := term.Progress()
	p.Step("build hello")
	p.Done("built %s", "hello")
	p.Note("warning: %d", 3)
	p.Close()
	p.Close()
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "built hello (0.") || lines[1] != "warning: 3" || strings.Contains(b.String(), "\x1b") {
		t.Errorf("got %q", b.String())
	}
}

// Close waits for the moving line to be gone, so nothing is written after it.
func TestProgressMovesOnATerminal(t *testing.T) {
	var b bytes.Buffer
	term := &Terminal{Err: &b, ErrTTY: true}
	p := term.Progress()
	p.Step("build hello")
	p.draw("*")
	p.Close()
	if got := b.String(); !strings.Contains(got, "build hello") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("got %q", got)
	}
}

func TestColoursOnlyOnATerminalThatWantsThem(t *testing.T) {
	if got := (&Terminal{ErrTTY: true}).OnErr(Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
	for _, term := range []*Terminal{{}, {ErrTTY: true, Plain: true}} {
		if got := term.OnErr(Red, "x"); got != "x" {
			t.Errorf("got %q", got)
		}
	}
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{310 * time.Millisecond: "0.31s", 12400 * time.Millisecond: "12.4s", 125 * time.Second: "2m05s"} {
		if got := elapsed(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestMovingLinesFit(t *testing.T) {
	term := &Terminal{Width: func() int { return 20 }}
	for in, want := range map[string]string{"short": "short", "12345678": "12345678", "123456789": "1234567…", "one\ntwo": "one"} {
		if got := term.fit(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := (&Terminal{}).fit("a text of any length"); got != "a text of any length" {
		t.Errorf("got %q", got)
	}
}
