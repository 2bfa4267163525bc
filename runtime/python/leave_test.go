package python

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	pool "github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/trigger"
	thttp "github.com/myelin-run/myelin/trigger/http"
)

// A client that goes away while the function makes the next part of its stream
// is noticed: an asynchronous generator is cancelled where it waits, a plain one
// can look.
func TestClientLeavesStream(t *testing.T) {
	for name, code := range map[string]string{
		"async": `
import asyncio
state = []
async def parts():
    yield 'first'
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        state.append('cancelled')
        raise
async def handler(context, event):
    return ','.join(state) if event.body == b'state' else parts()
`,
		"plain": `
import time
state = []
def parts(event):
    yield 'first'
    while not event.cancelled:
        time.sleep(0.01)
    state.append('cancelled')
def handler(context, event):
    return ','.join(state) if event.body == b'state' else parts(event)
`} {
		both(t, func(t *testing.T, attrs map[string]any) {
			t.Run(name, func(t *testing.T) { clientLeaves(t, fixture{code: code, attrs: attrs}) })
		})
	}
}

func clientLeaves(t *testing.T, f fixture) {
	p := pool.New(f.load(t), pool.Options{Size: 1, Log: slog.New(slog.DiscardHandler)})
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	trg, err := thttp.Factory().New(trigger.Settings{Name: "web", Listener: ln, Log: slog.New(slog.DiscardHandler)},
		[]byte(`{"drainLinger":"10ms","idleTimeout":"1s"}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, p.For(30*time.Second, nil)) }()
	url := "http://" + ln.Addr().String()
	resp, err := http.Post(url, "text/plain", strings.NewReader("stream"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		got, err := postBody(url, []byte("state"))
		if err == nil && string(got) == "cancelled" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the generator still runs: %q, %v", got, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
