package http

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
)

const subscribes = `{"drainLinger":"10ms","events":true,"live":{"maxClients":3}}`

// news is a function that has clients subscribe to the channel that they name,
// and publishes what is posted.
func news(_ context.Context, ev *event.Event, resp *event.Response) error {
	channel := string(ev.Field("channel"))
	if string(ev.Method) == "GET" {
		resp.SetHeader("X-Myelin-Subscribe", channel)
		resp.Body = append(resp.Body, ev.Header("Last-Event-Id")...)
		return nil
	}
	resp.SetHeader("X-Myelin-Publish", channel)
	resp.SetHeader("X-Myelin-Event", string(ev.Header("X-Name"))+"\nevil")
	resp.SetHeader("X-Myelin-Event-Id", string(ev.Header("X-Id")))
	resp.Body = append(resp.Body, ev.Body...)
	return nil
}

// listen subscribes, and returns what reads an event: its lines.
func listen(t *testing.T, c *http.Client, url string, header ...string) (next func() string, end func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewReader(resp.Body)
	return func() string {
		t.Helper()
		for text := ""; ; {
			l, err := lines.ReadString('\n')
			switch {
			case err == io.EOF:
				return "end"
			case err != nil:
				t.Fatal(err)
			case l != "\n":
				text += l
			case text != ":\n":
				return text
			default:
				text = "" // a comment
			}
		}
	}, cancel
}

// What a handler publishes comes to who subscribed, by HTTP/1.1 and HTTP/2, in
// the format of server-sent events.
func TestEvents(t *testing.T) {
	for name, c := range map[string]*http.Client{"HTTP/1.1": {Transport: &http.Transport{DisableKeepAlives: true}}, "HTTP/2": h2client(t)} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, subscribes, news)
			at := "http://" + s.addr + "/?channel="
			red, _ := listen(t, c, at+"red")
			both, _ := listen(t, c, at+"red,blue", "Last-Event-Id", "7")
			if got := both(); got != "data: 7\n" {
				t.Errorf("what the function answered: %q", got)
			}
			for _, k := range []struct{ channel, body, delivered string }{{"red", "one\ntwo\r\n", "2"}, {"blue", "three", "1"}, {"none", "four", "0"}} {
				resp, body := do(t, c, "POST", at+k.channel, k.body, "X-Name", "tick", "X-Id", "8")
				if resp.Header.Get("X-Myelin-Delivered") != k.delivered || body != k.body {
					t.Errorf("%s: delivered %q, answered %q", k.channel, resp.Header.Get("X-Myelin-Delivered"), body)
				}
			}
			const first = "id: 8\nevent: tick evil\ndata: one\ndata: two\ndata: \n"
			if got := red(); got != first {
				t.Errorf("red heard %q", got)
			}
			if a, b := both(), both(); a != first || b != "id: 8\nevent: tick evil\ndata: three\n" {
				t.Errorf("both heard %q and %q", a, b)
			}
			s.stop()
			if a, b := red(), both(); a != "end" || b != "end" {
				t.Errorf("at the drain: %q, %q", a, b)
			}
			if err := <-s.done; err != nil {
				t.Error(err)
			}
		})
	}
}

// A client that goes makes room for another, and one too many is refused; so is
// one that did not ask for events.
func TestEventsLimits(t *testing.T) {
	s := serve(t, `{"drainLinger":"10ms","events":true,"live":{"maxClients":1},"idleTimeout":"500ms","readTimeout":"500ms"}`, news)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	at := "http://" + s.addr + "/?channel=red"
	_, end := listen(t, c, at)
	if resp, body := do(t, c, "GET", at, "", "Accept", "text/event-stream"); resp.StatusCode != 503 || !strings.Contains(body, "too many clients") {
		t.Errorf("one too many: %d %q", resp.StatusCode, body)
	}
	if resp, _ := do(t, c, "GET", at, ""); resp.StatusCode != 406 {
		t.Errorf("one that does not accept events: %d", resp.StatusCode)
	}
	end()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithCancel(context.Background())
		r, err := http.NewRequestWithContext(ctx, "GET", at, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/event-stream")
		resp, err := c.Do(r)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the client that went is still counted")
		}
	}
}
