package nodejs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// stream runs one event for a caller that takes streams and views.
func stream(t testing.TB, in runtime.Instance, body string) *event.Response {
	t.Helper()
	resp := &event.Response{Takes: event.TakesViews | event.TakesStreams}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), &event.Event{Body: []byte(body)}, resp) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("no answer")
	}
	return resp
}

const streaming = `
const state = { closed: 0, made: 0 }
async function* parts(n, size) {
  try {
    for (let i = 0; i < n; i++) { state.made++; yield Buffer.alloc(size, 97 + i % 26) }
  } finally { state.closed++ }
}
async function* broken() { yield 'begun'; throw new Error('midway') }
let go
async function* waits() { yield 'first'; await new Promise((f) => { go = f }); yield 'second' }
exports.handler = async (context, event) => eval(String(event.body))
`

func TestStreams(t *testing.T) {
	in, _ := fixture{code: streaming}.open(t)
	for _, c := range []struct{ n, size int }{{0, 0}, {1, 1}, {3, 0}, {10, 1000}, {100, 70_000}, {3, 3_000_000}} {
		resp := stream(t, in, fmt.Sprintf("new context.Response(parts(%d, %d), {'X-A': 'b'}, 'text/x', 201)", c.n, c.size))
		if resp.Status != 201 || resp.ContentType != "text/x" || len(resp.Header) != 1 {
			t.Errorf("head: %d %s %v", resp.Status, resp.ContentType, resp.Header)
		}
		var want bytes.Buffer
		for i := range c.n {
			want.Write(bytes.Repeat([]byte{byte('a' + i%26)}, c.size))
		}
		if got := all(t, resp); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%+v: %d bytes, want %d", c, len(got), want.Len())
		}
	}
	// A caller that takes no streams gets the whole.
	if resp, err := call(t, in, &event.Event{Body: []byte("parts(3, 100000)")}); err != nil || len(resp.Body) != 300_000 {
		t.Errorf("%d bytes, %v", len(resp.Body), err)
	}
}

// all reads what an answer has, streamed or not.
func all(t *testing.T, resp *event.Response) []byte {
	t.Helper()
	got := bytes.Clone(resp.Body)
	if resp.Owner != nil {
		got = bytes.Clone(resp.View)
	}
	if resp.Stream != nil {
		var err error
		if got, err = io.ReadAll(resp.Stream); err != nil {
			t.Error(err)
		}
		if err := resp.Stream.Close(); err != nil {
			t.Error(err)
		}
	}
	resp.Reset()
	return got
}

// Parts come as they are made.
func TestStreamIsLive(t *testing.T) {
	in, _ := fixture{code: streaming}.open(t)
	resp := stream(t, in, "waits()")
	b := make([]byte, 100)
	if n, err := resp.Stream.Read(b); err != nil || string(b[:n]) != "first" {
		t.Fatalf("%q, %v", b[:n], err)
	}
	if _, err := call(t, in, &event.Event{Body: []byte("go()")}); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(resp.Stream); err != nil || string(rest) != "second" {
		t.Errorf("%q, %v", rest, err)
	}
	_ = resp.Stream.Close()
}

func TestStreamFails(t *testing.T) {
	in, logs := fixture{code: streaming}.open(t)
	resp := stream(t, in, "broken()")
	got, err := io.ReadAll(resp.Stream)
	var failed *event.Error
	if !errors.As(err, &failed) || failed.Status != 500 || !strings.Contains(failed.Message, "midway") || string(got) != "begun" {
		t.Errorf("%q, %v", got, err)
	}
	_ = resp.Stream.Close()
	closeNow(t, in)
	if !strings.Contains(logs.String(), "midway") {
		t.Errorf("the log does not tell:\n%s", logs)
	}
}

// A reader that is slow slows the source; one that goes away ends it.
func TestStreamIsHeldBack(t *testing.T) {
	in, _ := fixture{code: streaming}.open(t)
	resp := stream(t, in, "parts(1000, 60000)")
	if _, err := io.ReadFull(resp.Stream, make([]byte, 60_000)); err != nil {
		t.Fatal(err)
	}
	if got, err := call(t, in, &event.Event{Body: []byte("state.made")}); err != nil || len(got.Body) > 2 {
		t.Errorf("made %s parts, and one was read: %v", got.Body, err)
	}
	if err := resp.Stream.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := call(t, in, &event.Event{Body: []byte("state.closed")}); err != nil || string(got.Body) != "1" {
		t.Errorf("closed %s sources, %v", got.Body, err)
	}
}

// More data than the arena holds is on its way at once, in both forms.
func TestManyStreams(t *testing.T) {
	in, _ := fixture{code: streaming, attrs: map[string]any{"arena": "1Mi"}}.open(t)
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for range 5 {
				resp := stream(t, in, fmt.Sprintf("parts(%d, 50000)", g))
				if got := all(t, resp); len(got) != g*50_000 {
					t.Errorf("%d bytes, want %d", len(got), g*50_000)
				}
				resp = stream(t, in, "Buffer.alloc(100000, 'x')")
				if got := all(t, resp); len(got) != 100_000 {
					t.Errorf("%d bytes", len(got))
				}
			}
		})
	}
	wg.Wait()
}

// A source that waits for something is told when nobody reads any more.
func TestSignalOfStream(t *testing.T) {
	in, _ := fixture{code: `
let state = 'waits'
async function* parts(signal) {
  yield 'first'
  await new Promise((_, fail) => signal.addEventListener('abort', () => { state = 'aborted'; fail(signal.reason) }))
}
exports.handler = async (context, event) => event.text() === 'state' ? state : parts(context.signal)
`}.open(t)
	resp := stream(t, in, "stream")
	if _, err := io.ReadFull(resp.Stream, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if got := stream(t, in, "state"); string(got.Body) != "waits" {
		t.Errorf("before: %q", got.Body)
	}
	resp.Stream.(event.Canceller).Cancel()
	if rest, err := io.ReadAll(resp.Stream); err != nil || len(rest) > 0 {
		t.Errorf("after it: %q, %v", rest, err)
	}
	if got := stream(t, in, "state"); string(got.Body) != "aborted" {
		t.Errorf("after: %q", got.Body)
	}
	resp.Stream.(event.Canceller).Cancel() // too late, and harmless
	if err := resp.Stream.Close(); err != nil {
		t.Error(err)
	}
}
