package http

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

func TestSuite(t *testing.T) {
	triggertest.Run(t, triggertest.Fixture{
		Class: trigger.Sync,
		// It writes the Date header of all servers.
		Forever: []string{"github.com/valyala/fasthttp.updateServerDate.func1"},
		New: func(t testing.TB) (trigger.Trigger, triggertest.Source) {
			trg := newTrigger(t, `{"port":0,"host":"127.0.0.1","drainLinger":"20ms"}`, nil)
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			t.Cleanup(client.CloseIdleConnections)
			return trg, &source{trg, client}
		},
	})
}

// newTrigger makes a trigger as a host does.
func newTrigger(t testing.TB, attributes string, ln net.Listener) *Trigger {
	t.Helper()
	trg, err := Factory().New(trigger.Settings{Name: "web", Listener: ln}, json.RawMessage(engined(t, attributes)))
	if err != nil {
		t.Fatal(err)
	}
	return trg.(*Trigger)
}

// source is a caller.
type source struct {
	trg    *Trigger
	client *http.Client
}

func (s *source) Emit(t testing.TB, body string) <-chan triggertest.Outcome {
	out := make(chan triggertest.Outcome, 1)
	go func() {
		resp, err := s.client.Post("http://"+s.trg.Addr().String()+"/path?q=1", "text/plain", bytes.NewReader([]byte(body)))
		if err != nil {
			out <- triggertest.Outcome{Verdict: triggertest.Refused}
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("read response: %v", err)
		}
		v := triggertest.Done
		if resp.StatusCode == http.StatusServiceUnavailable {
			v = triggertest.Refused
		}
		out <- triggertest.Outcome{Verdict: v, Status: resp.StatusCode, Body: string(b)}
	}()
	return out
}
