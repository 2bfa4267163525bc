package runtimetest

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// ahead is how many parts a function may have made that nobody has read.
const ahead = 100

// stream checks that parts arrive as they are made, that a slow reader slows
// the function, and that one who leaves ends it.
func stream(t *testing.T, f Fixture) {
	if !f.Streams {
		t.Skip("the fixture has no function that streams")
	}
	in := f.open(t, Stream)
	const many = 3000
	var want strings.Builder
	for i := range many {
		want.WriteString(strconv.Itoa(i) + ";")
	}
	answers(t, in, itoa(many), want.String()) // for a caller that takes no streams
	resp := openStream(t, in, many)
	b, err := io.ReadAll(resp.Stream)
	if err != nil || string(b) != want.String() {
		t.Fatalf("%d bytes of %d, %v", len(b), want.Len(), err)
	}
	if err := resp.Stream.Close(); err != nil {
		t.Fatal(err)
	}
	resp = openStream(t, in, 1<<30)
	if _, err := io.ReadFull(resp.Stream, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- resp.Stream.Close() }()
	if err := await(t, closed); err != nil {
		t.Fatal(err)
	}
	last, err := invoke(t, in, newEvent("made"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(string(last.Body)); err != nil || n < 1 || n > ahead {
		t.Fatalf("%q parts were made for a reader that read one", last.Body)
	}
}

func openStream(t *testing.T, in runtime.Instance, parts int) *event.Response {
	t.Helper()
	resp := &event.Response{Takes: event.TakesStreams}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), newEvent(itoa(parts)), resp) }()
	if err := await(t, done); err != nil || resp.Stream == nil {
		t.Fatalf("no stream: %v", err)
	}
	if resp.ContentType != "text/event-stream" {
		t.Fatalf("content type %q", resp.ContentType)
	}
	return resp
}
