package examples_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/myelin-run/myelin/build/pipeline"
)

// What one says in a room is heard there by all, and nowhere else.
func TestChatExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "chat-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	a.Config.Spec.Triggers["default-http"] = a.Config.Spec.Triggers["web"] // the name that the socket of serve has
	delete(a.Config.Spec.Triggers, "web")
	addr := serve(t, a)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	open := func(path string) *websocket.Conn {
		c, _, err := websocket.Dial(ctx, "ws://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
	hear := func(c *websocket.Conn, want string) {
		t.Helper()
		if _, got, err := c.Read(ctx); err != nil || string(got) != want {
			t.Errorf("heard %q, %v, want %q", got, err, want)
		}
	}
	ann, ben, other := open("/tea?name=ann"), open("/tea?name=ben"), open("/coffee?name=cat")
	hear(ann, "welcome, ann")
	hear(ben, "welcome, ben")
	hear(other, "welcome, cat")
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/tea", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := ann.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	hear(ann, "ann: hello")
	hear(ben, "ann: hello")
	_ = ben.CloseNow()
	hear(ann, "ben has left")
	if got := call(t, addr+"/coffee?name=dan&as=", "hi"); got != "dan: hi" {
		t.Errorf("answered %q", got)
	}
	hear(other, "dan: hi")
	lines := bufio.NewScanner(resp.Body)
	for _, want := range []string{"data: ann: hello", "data: ben has left"} {
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "data") {
		}
		if lines.Text() != want {
			t.Errorf("the stream has %q, want %q", lines.Text(), want)
		}
	}
}
