package python

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
)

// take runs one event for a caller that takes everything.
func take(t testing.TB, in interface {
	Invoke(context.Context, *event.Event, *event.Response) error
}, body []byte) (*event.Response, error) {
	t.Helper()
	resp := &event.Response{Takes: event.TakesViews | event.TakesStreams}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), &event.Event{Body: body}, resp) }()
	select {
	case err := <-done:
		return resp, err
	case <-time.After(time.Minute):
		t.Fatal("no answer")
		return nil, nil
	}
}

func content(resp *event.Response) []byte {
	if resp.Owner != nil {
		return resp.View
	}
	return resp.Body
}

// Views that a function keeps stay as they were, however many events come
// after, and when they go their memory is used again.
func TestViewsAreKept(t *testing.T) {
	code := `
kept = []
def handler(context, event):
    text = bytes(event.body_view[:4])
    if text == b"keep":
        kept.append((event.body_view[4:], bytes(event.body_view[4:])))
    elif text == b"both":
        kept.append((event.body_view[4:], event.body[4:]))
        kept.append((event, event.body))
    elif text == b"drop":
        kept.clear()
    elif text == b"back":
        return kept[-1][0]
    elif text == b"same":
        for view, copy in kept:
            if (view.body_view if hasattr(view, "body_view") else view) != copy:
                return "changed"
    return str(len(kept))
`
	both(t, func(t *testing.T, attrs map[string]any) {
		attrs["arena"] = "1Mi"
		for _, code := range []string{code, asynchronous(code)} {
			in, _ := fixture{code: code, attrs: attrs}.open(t)
			ask := func(what string, size int, want string) {
				t.Helper()
				body := append([]byte(what), bytes.Repeat([]byte(what[:1]), size)...)
				resp, err := take(t, in, body)
				if err != nil || want != "" && string(content(resp)) != want {
					t.Fatalf("%s: %.50q, %v", what, content(resp), err)
				}
				resp.Reset()
			}
			for round := range 4 {
				n := 0
				for i := range 150 { // more than there are slots
					ask("keep", i*i*7%200_000, fmt.Sprint(n+1))
					n++
					if i%10 == 0 {
						ask("both", i*300, fmt.Sprint(n+2))
						n += 2
					}
					ask("none", i*1000, "")
				}
				ask("back", 0, "")
				ask("same", 0, fmt.Sprint(n))
				ask("none", 250_000, "")
				if round%2 == 0 {
					ask("drop", 0, "0")
				} else {
					ask("drop", 100_000, "0")
				}
			}
		}
	})
}

// A view of the request is answered where it lies.
func TestEchoByView(t *testing.T) {
	for name, code := range map[string]string{
		"bare":     "def handler(c, e):\n    return e.body_view\n",
		"response": "def handler(c, e):\n    return c.Response(body=e.body_view, content_type='x/y', headers={'a': 'b'})\n",
		"status":   "def handler(c, e):\n    return 200, e.body_view[5:]\n",
		"async":    "async def handler(c, e):\n    return e.body_view\n",
	} {
		t.Run(name, func(t *testing.T) {
			in, _ := fixture{code: code}.open(t)
			body := bytes.Repeat([]byte("0123456789"), 100_000)
			for range 300 { // each must free its block
				resp, err := take(t, in, body)
				if err != nil || resp.Owner == nil || !bytes.HasSuffix(body, resp.View) || len(resp.View) < len(body)-5 {
					t.Fatalf("%d bytes, owner %v, %v", len(resp.View), resp.Owner, err)
				}
				if in.Offset(resp.View) >= in.Offset(nil) {
					t.Fatalf("the answer lies at %#x, not in the request's arena", in.Offset(resp.View))
				}
				resp.Reset()
			}
		})
	}
}

// Responses that their callers hold on to do not hold up the rest.
func TestSlowReaders(t *testing.T) {
	in, _ := fixture{code: "def handler(c, e):\n    return e.body_view\n", attrs: map[string]any{"arena": "1Mi"}}.open(t)
	var held []*event.Response
	for i := range 100 {
		body := bytes.Repeat([]byte{byte(i)}, 40_000)
		resp, err := take(t, in, body)
		if err != nil || !bytes.Equal(content(resp), body) {
			t.Fatalf("event %d: %v", i, err)
		}
		held = append(held, resp)
	}
	for i, resp := range held {
		if b := content(resp); b[0] != byte(i) || b[39_999] != byte(i) {
			t.Fatalf("response %d changed while it was held", i)
		}
	}
	if err := in.Kill(); err != nil {
		t.Fatal(err)
	}
	<-in.Broken()
	closeNow(t, in)
	for i, resp := range held { // the memory is there even now
		if content(resp)[0] != byte(i) {
			t.Fatalf("response %d changed", i)
		}
		resp.Reset()
	}
}

const streams = `
import time
state = {"made": 0, "end": "open"}
def parts(n, size):
    state.update(made=0, end="open")
    try:
        for i in range(n):
            state["made"] += 1
            yield b"%d;" % i + b"." * size
    except GeneratorExit:
        state["end"] = "exit"
        raise
def failing():
    yield "first"
    raise ValueError("deliberate midway")
def failing_at_once():
    raise ValueError("deliberate at once")
    yield
def handler(context, event):
    return eval(event.body.decode())
`

// The forms of streams, each with a plain and an asynchronous handler.
func TestStreams(t *testing.T) {
	async := strings.ReplaceAll(strings.ReplaceAll(streams, "def handler", "async def handler"), "def parts", "async def parts")
	async = strings.ReplaceAll(async, "def failing", "async def failing")
	mixed := strings.ReplaceAll(streams, "def parts", "async def parts")
	both(t, func(t *testing.T, attrs map[string]any) {
		for name, code := range map[string]string{"plain": streams, "async": async, "mixed": mixed} {
			t.Run(name, func(t *testing.T) {
				in, _ := fixture{code: code, attrs: attrs}.open(t)
				read := func(expr string) (string, *event.Response, error) {
					resp, err := take(t, in, []byte(expr))
					if err != nil || resp.Stream == nil {
						return "", resp, err
					}
					b, err := io.ReadAll(resp.Stream)
					if cerr := resp.Stream.Close(); cerr != nil {
						t.Error(cerr)
					}
					return string(b), resp, err
				}
				var want strings.Builder
				for i := range 100 {
					fmt.Fprintf(&want, "%d;%s", i, strings.Repeat(".", 30_000))
				}
				if got, _, err := read("parts(100, 30000)"); err != nil || got != want.String() {
					t.Errorf("%d bytes of %d, %v", len(got), want.Len(), err)
				}
				got, resp, err := read("context.Response(body=parts(1, 200000), content_type='text/event-stream', status_code=201, headers={'X-A': 'b'})")
				if err != nil || len(got) != 200_002 || resp.Status != 201 || resp.ContentType != "text/event-stream" || resp.Header[0].Value != "b" {
					t.Errorf("%d bytes, %+v, %v", len(got), resp, err)
				}
				var failed *event.Error
				if got, _, err := read("failing()"); !errors.As(err, &failed) || got != "first" || !strings.Contains(failed.Message, "deliberate midway") {
					t.Errorf("%q, %v", got, err)
				}
				if _, _, err := read("failing_at_once()"); !errors.As(err, &failed) || !strings.Contains(failed.Message, "deliberate at once") {
					t.Errorf("%v", err)
				}
				if got, _, err := read("parts(0, 0)"); err != nil || got != "" {
					t.Errorf("%q, %v", got, err)
				}
				// A caller that takes no streams gets all at once.
				whole, err := call(t, in, &event.Event{Body: []byte("parts(30, 1000)")})
				if err != nil || whole.Stream != nil || len(whole.Body) != 30*1000+30*3-10 {
					t.Errorf("gathered %d bytes, %v", len(whole.Body), err)
				}
				disconnects(t, in)
			})
		}
	})
}

// A stream that nobody reads waits, and one that is closed sees GeneratorExit.
func disconnects(t *testing.T, in interface {
	Invoke(context.Context, *event.Event, *event.Response) error
}) {
	t.Helper()
	resp, err := take(t, in, []byte("parts(1000000000, 100)"))
	if err != nil || resp.Stream == nil {
		t.Fatalf("%+v, %v", resp, err)
	}
	b := make([]byte, 50)
	if _, err := io.ReadFull(resp.Stream, b); err != nil {
		t.Fatal(err)
	}
	if err := resp.Stream.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := take(t, in, []byte("str(state)"))
	if err != nil || !strings.Contains(string(after.Body), "'end': 'exit'") {
		t.Errorf("after the reader left: %q, %v", after.Body, err)
	}
	var made int
	if _, err := fmt.Sscanf(string(after.Body), "{'made': %d", &made); err != nil || made > 10 {
		t.Errorf("%d parts were made for a reader that read one (%v)", made, err)
	}
}

// A worker that dies in the middle of a stream ends it with an error.
func TestStreamOfDeadWorker(t *testing.T) {
	in, _ := fixture{code: "import os\ndef parts():\n    yield 'x'\n    os._exit(3)\ndef handler(c, e):\n    return parts()\n"}.open(t)
	resp, err := take(t, in, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Stream)
	if string(b) != "x" || !errors.Is(err, event.ErrCrashed) {
		t.Errorf("%q, %v", b, err)
	}
	if err := resp.Stream.Close(); err != nil {
		t.Error(err)
	}
}
