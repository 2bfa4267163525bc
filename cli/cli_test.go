package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

func screen() (*app, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &app{ctx: context.Background(), api: DefaultAPI, term: &terminal.Terminal{In: strings.NewReader(""), Out: &out, Err: &errs}}, &out, &errs
}

func TestNouns(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"function", "delete", "x"}, []string{"delete", "x"}},
		{[]string{"functions", "get"}, []string{"get"}},
		{[]string{"delete", "function", "x"}, []string{"delete", "function", "x"}},
		{[]string{"fn"}, []string{"fn"}},
		{nil, nil},
	} {
		if got := nounFirst(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q", c.in, got)
		}
	}
	if got := withoutNoun([]string{"function"}); !slices.Equal(got, []string{"function"}) {
		t.Errorf("a function called function: got %q", got)
	}
}

func TestExitCodes(t *testing.T) {
	a, _, _ := screen()
	refusedConn := &url.Error{Op: "Get", URL: "http://x", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("x"), exitFailed},
		{usage("x"), exitUsage},
		{fmt.Errorf("run: %w", usage("x")), exitUsage},
		{document.Errors{{Msg: "x"}}, exitUsage},
		{fmt.Errorf("build: %w", &build.Error{Msg: "x"}), exitBuild},
		{a.asked(problem.New(http.StatusNotFound, "x")), exitNotFound},
		{a.asked(problem.New(http.StatusConflict, "x")), exitConflict},
		{a.asked(problem.New(http.StatusUnprocessableEntity, "x")), exitUsage},
		{a.asked(problem.New(http.StatusInternalServerError, "x")), exitFailed},
		{a.asked(fmt.Errorf("ask: %w", refusedConn)), exitUnreachable},
		{buildMistake(problem.New(http.StatusUnprocessableEntity, "x"), "f.py"), exitBuild},
	} {
		if got := a.finish(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a.ctx = ctx
	if got := a.finish(fmt.Errorf("build: %w", context.Canceled)); got != exitInterrupted {
		t.Errorf("interrupted: got %d", got)
	}
}

func TestBuildMistakesComeBackWithTheirPlace(t *testing.T) {
	p := problem.New(http.StatusUnprocessableEntity, "x")
	p.Errors = []problem.Field{{File: "main.go", Line: 3, Column: 2, Text: "\tx()", Detail: "undefined: x"}}
	a, _, errs := screen()
	a.finish(buildMistake(p, ""))
	if want := "error: main.go:3:2: undefined: x\n  3 | \tx()\n    | \t^\n"; errs.String() != want {
		t.Errorf("got\n%s\nwant\n%s", errs, want)
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{"localhost:80": "127.0.0.1:80", ":0": "0.0.0.0:0", "[::1]:5": "[::1]:5"} {
		if got, err := address(in); got != want || err != nil {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "80", "host:x", "example.com:80", "127.0.0.1:99999"} {
		if got, err := address(in); err == nil {
			t.Errorf("%q: got %s", in, got)
		}
	}
}

func TestAFailedStartIsToldOnce(t *testing.T) {
	lines := []string{
		`time=2026-01-02T03:04:05Z level=ERROR msg="processor ends" error="open worker 0: ValueError: no"`,
		`time=2026-01-02T03:04:05Z level=ERROR msg="cannot be loaded" traceback="a\n  File \"/d/artefacts/` + strings.Repeat("a", 64) + `/src/main.py\", line 2\nValueError: no"`,
	}
	reason, shown := because("replica r1: exit code 1: "+lines[1], append(lines, lines...))
	if reason != "replica r1: exit code 1" || len(shown) != 1 || !strings.Contains(shown[0], `File "main.py", line 2`) {
		t.Errorf("got %q, %q", reason, shown)
	}
	if _, shown = because("x", lines[:1]); len(shown) != 1 {
		t.Errorf("the only line is left out: %q", shown)
	}
}

func TestSettled(t *testing.T) {
	a, _, _ := screen()
	p := a.term.Progress()
	defer p.Close()
	at := func(version string, observed int64, state function.State) function.Function {
		f := function.Function{Status: function.Status{State: state, Observed: observed}}
		f.Metadata.ResourceVersion = version
		return f
	}
	for _, c := range []struct {
		f    function.Function
		want int // -1: not yet, 0: settled
	}{
		{at("7", 6, function.Ready), -1}, // of the version before
		{at("7", 7, function.Configuring), -1},
		{at("7", 7, function.Ready), 0},
		{at("7", 7, function.Disabled), 0},
		{at("7", 7, function.Failed), exitNotReady},
		{at("8", 8, function.Ready), exitConflict},
	} {
		err := settled(c.f, "7", p)
		got := -1
		var fl *failure
		switch {
		case errors.Is(err, errSettled):
			got = 0
		case errors.As(err, &fl):
			got = fl.code
		}
		if got != c.want {
			t.Errorf("%s %s: got %d (%v), want %d", c.f.Metadata.ResourceVersion, c.f.Status.State, got, err, c.want)
		}
	}
}

func TestAnswersOnATerminal(t *testing.T) {
	a, out, errs := screen()
	resp := &http.Response{Status: "200 OK", Header: http.Header{"Content-Type": {"text/plain"},
		logsHeader: {`[{"level":"info","message":"hi","time":1,"name":"worker","n":2}]`}}, Body: http.NoBody}
	if err := a.showAnswer(resp, false); err != nil {
		t.Fatal(err)
	}
	want := "> Status: 200 OK\n> Response headers:\nContent-Type = text/plain\n\n> Response body:\n\n"
	if out.String() != want || errs.String() != "[info] hi n=2\n" {
		t.Errorf("got %q and %q", out, errs)
	}
}

func TestPage(t *testing.T) {
	a, _, _ := screen()
	var f function.Function
	f.Metadata.Name, f.Metadata.Namespace = "hello", "default"
	f.Spec.Runtime, f.Spec.Handler = "python", "main:handler"
	f.Spec.Env = []function.EnvVar{{Name: "A", Value: "1"}}
	f.Spec.Triggers = map[string]function.Trigger{"web": {Kind: "http"}}
	f.Status = function.Status{State: function.Ready, URL: "http://x/hello",
		Replicas: []function.Replica{{Name: "r1", State: "ready", PID: 7, Started: time.Now()}}}
	want := `Name:          hello
Namespace:     default
State:         ready
URL:           http://x/hello
Runtime:       python
Handler:       main:handler
Variables:     A=1
Trigger:       web (http)

Replicas:
  NAME   STATE   PID   STARTED   RESTARTS   MESSAGE
  r1     ready   7     0s ago    0          -
`
	if got := a.page(f); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
