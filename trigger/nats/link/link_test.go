package link

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

func TestAddresses(t *testing.T) {
	for s, want := range map[string]address{
		"nats://h":                        {servers: []string{"nats://h"}},
		"h:1, tls://i:2":                  {servers: []string{"nats://h:1", "tls://i:2"}},
		"nats://ann:s%20ecret@h:1,ws://i": {servers: []string{"nats://h:1", "ws://i"}, user: "ann", password: "s ecret"},
		"nats://token@[::1]:4222":         {servers: []string{"nats://[::1]:4222"}, user: "token"},
	} {
		got, err := parseURL(s)
		if err != nil || !slices.Equal(got.servers, want.servers) || got.user != want.user || got.password != want.password {
			t.Errorf("%s: %+v, %v, want %+v", s, got, err, want)
		}
	}
}

// Whatever is given, an error does not show what stands before the @.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"", "nats://a:b@c", "nats://hush:hush@", "nats://hush@h:%", "x://hush@h", ",", "nats://h:99999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseURL(s)
		switch {
		case err == nil && len(a.servers) == 0:
			t.Errorf("%q: no servers", s)
		case err != nil && strings.Contains(s, "hush") && strings.Contains(err.Error(), "hush") && !strings.Contains(s, "hush://"):
			t.Errorf("%q: %v", s, err)
		}
	})
}

func TestSubjects(t *testing.T) {
	for s, wild := range map[string]bool{"a": false, "a.b.c": false, "a.*": true, "a.>": true, ">": true, "*.a": true, "a*": false} {
		if err := CheckSubject(s, true); err != nil {
			t.Error(err)
		}
		if err := CheckSubject(s, false); (err != nil) != wild {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r\nPUB", "a.>.b"} {
		if CheckSubject(s, true) == nil {
			t.Errorf("%q is taken for a subject", s)
		}
	}
}

// TestLetter: what a message cannot carry is left out, and the rest is there.
func TestLetter(t *testing.T) {
	l := &letter.Letter{ID: "l", Error: "no\r\nway", Event: letter.Event{ContentType: "x/y", Body: letter.Bytes("b"), Headers: []letter.Header{
		{Key: "a", Value: letter.Bytes("\xff")}, {Key: "a", Value: letter.Bytes("2")}, {Key: "b: c", Value: letter.Bytes("1")}, {Key: "\xff"}, {Key: ""},
		{Key: "Nats-Expected-Stream", Value: letter.Bytes("other")}, {Key: "content-type", Value: letter.Bytes("old")},
	}}}
	m := Letter("s", l)
	if !slices.Equal(m.Header["a"], []string{"\xff", "2"}) || m.Header.Get(ID) != "l" || m.Header.Get(ContentType) != "x/y" || string(m.Data) != "b" {
		t.Errorf("message %+v", m)
	}
	for k := range m.Header {
		if k != "a" && k != ID && k != ContentType && !strings.HasPrefix(k, letter.Prefix) {
			t.Errorf("header %q", k)
		}
	}
}

func TestFailures(t *testing.T) {
	for err, want := range map[error]string{
		errors.New("x"): "500", event.ErrTimeout: "408", fmt.Errorf("w: %w", event.ErrCrashed): "502",
		event.Permanent(event.Errorf(404, "none")): "404", event.Errorf(200, "odd"): "500", errors.New(strings.Repeat("x", 1<<20)): "500",
	} {
		m := Failure("to", err)
		if m.Header.Get(ServiceCode) != want || m.Header.Get(Status) != want || len(m.Header.Get(ServiceError)) > 5000 {
			t.Errorf("%.20v: %v, want %s", err, m.Header, want)
		}
	}
}

func TestValues(t *testing.T) {
	v := Values(nats.Header{"b": {"1", "2"}, "A": {"\xff"}, "empty": nil})
	var got []string
	for k, val := range v.All() {
		got = append(got, string(k)+"="+string(val))
	}
	if !slices.Equal(got, []string{"A=\xff", "b=1", "b=2"}) || string(v.Get("a")) != "\xff" || string(v.Get("B")) != "1" || v.Get("c") != nil || v.Get("empty") != nil {
		t.Errorf("values %q", got)
	}
}
