package smtp

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	protocol "github.com/emersion/go-smtp"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

func TestSuite(t *testing.T) {
	triggertest.Run(t, triggertest.Fixture{
		Class:   trigger.Queue,
		OwnBody: true,
		New: func(t testing.TB) (trigger.Trigger, triggertest.Source) {
			trg := newTrigger(t, `{"port":0,"format":"raw"}`, function.Trigger{})
			return trg, &sender{trg: trg}
		},
	})
}

// newTrigger makes a trigger as a host does.
func newTrigger(t testing.TB, attributes string, spec function.Trigger) *Trigger {
	t.Helper()
	trg, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: spec}, json.RawMessage(attributes))
	if err != nil {
		t.Fatal(err)
	}
	return trg.(*Trigger)
}

// sender sends each message on a connection of its own.
type sender struct {
	trg *Trigger
	n   int
}

func (s *sender) Emit(t testing.TB, body string) <-chan triggertest.Outcome {
	out := make(chan triggertest.Outcome, 1)
	s.n++
	text := fmt.Sprintf("Message-ID: <%d@test>\r\n\r\n%s", s.n, body)
	go func() { out <- s.send(text) }()
	return out
}

func (s *sender) send(text string) triggertest.Outcome {
	err := deliver(s.trg.Addr().String(), nil, "me@test", []string{"you@test"}, text)
	var told *protocol.SMTPError
	switch {
	case err == nil:
		return triggertest.Outcome{Verdict: triggertest.Done}
	case !errors.As(err, &told):
		return triggertest.Outcome{Verdict: triggertest.Refused}
	case told.Code >= 500:
		return triggertest.Outcome{Verdict: triggertest.Rejected}
	case told.Code == 421:
		return triggertest.Outcome{Verdict: triggertest.Refused}
	}
	return triggertest.Outcome{Verdict: triggertest.Again}
}
