package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
)

// WebSockets and server-sent events of a function go through the gateway.
func TestLiveThroughTheGateway(t *testing.T) {
	trg, err := httptrigger.Factory().New(trigger.Settings{Name: "web"}, json.RawMessage(`{"port":0,"host":"127.0.0.1","drainLinger":"10ms","websocket":{},"events":true}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- trg.Run(run, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, resp *event.Response) error {
			key := "X-Myelin-Publish"
			if len(ev.Header("X-Myelin-Websocket")) == 0 {
				key = "X-Myelin-Subscribe"
			}
			resp.SetHeader(key, "room")
			resp.Body = append(resp.Body, ev.Body...)
			return nil
		}))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-trg.(trigger.Readier).Ready()
	address := trg.(*httptrigger.Trigger).Addr().String()
	at := running(t, 0, Settings{}, route.Table{Deployments: []route.Deployment{
		{Function: "chat", Version: "$latest", Namespace: "default", Address: address, State: route.Serving, Generation: "1"},
	}})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/chat/room", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// A page of the gateway's host may connect.
	c, _, err := websocket.Dial(ctx, "ws://"+at+"/chat/room", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http://" + at}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(resp.Body); ; {
		if !lines.Scan() {
			t.Fatal(lines.Err(), "the stream ended")
		}
		if lines.Text() == "data: hello" {
			break
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}
