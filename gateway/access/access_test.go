package access

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func logged(t *testing.T, o Options, lines ...Line) string {
	t.Helper()
	o.File = filepath.Join(t.TempDir(), "access.log")
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	l := New(o)
	for i := range lines {
		l.Write(&lines[i])
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var line = Line{Time: time.Unix(0, 0).UTC(), Took: 1500 * time.Microsecond, Peer: "192.0.2.1", Subject: "ada", Method: "GET", Host: "x", Target: "/a?key=secret&b=c",
	Proto: "HTTP/1.1", Status: 200, Sent: 12, Function: "f", Version: "3", Agent: "a\"\n\xff", Referer: "http://y/?token=secret"}

func TestFormats(t *testing.T) {
	got := logged(t, Options{}, line)
	var m map[string]any
	if err := json.Unmarshal([]byte(got), &m); err != nil || m["target"] != "/a?key&b" || m["micros"] != 1500.0 || m["agent"] != "a\"\n\ufffd" || strings.Contains(got, "secret") || strings.Count(got, "\n") != 1 {
		t.Errorf("%s %v", got, err)
	}
	want := `192.0.2.1 - ada [01/Jan/1970:00:00:00 +0000] "GET /a?key&b HTTP/1.1" 200 12 "http://y/?token" "a\"\u000a` + "\ufffd\"\n"
	if got := logged(t, Options{Format: "common"}, line); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, o := range []Options{{}, {File: "x", Format: "xml"}, {File: "x", Sample: 2}} {
		if o.Validate() == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestSample(t *testing.T) {
	l := New(Options{File: "unused", Sample: 0.1})
	n := 0
	for range 10_000 {
		if l.Wanted(200) {
			n++
		}
	}
	if n < 700 || n > 1300 || !l.Wanted(500) {
		t.Errorf("%d of 10000", n)
	}
	if (*Log)(nil).Wanted(500) {
		t.Error("a log that is off wants a line")
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\"b\\c\n", "/x?y=z")
	f.Fuzz(func(t *testing.T, agent, target string) {
		x := line
		x.Agent, x.Target, x.Subject = agent, target, agent
		var m map[string]any
		if b := x.json(nil); json.Unmarshal(b, &m) != nil || strings.ContainsAny(string(b), "\n\r") {
			t.Errorf("%q", b)
		}
		if b := x.common(nil); strings.ContainsAny(string(b), "\n\r") {
			t.Errorf("%q", b)
		}
	})
}
