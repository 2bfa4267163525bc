package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// Bury sends an event that is given up where the spec says. It does not return
// before the event is kept there, or ctx is done: then it reports false, and
// the event must not be acked. For the kind drop it only logs; the kinds broker
// and stop are the engine's, which must not ask here.
func (p *Policy) Bury(ctx context.Context, it *Item) bool {
	log := p.log.With("id", string(it.Orig.ID), "topic", it.Orig.Topic, "shard", it.Orig.Token.Shard, "offset", it.Orig.Token.Offset)
	if p.failure == nil {
		log.Error("event dropped", "error", it.Err, "attempts", it.Attempts)
		return true
	}
	log.Warn("event goes to the dead letters", "error", it.Err, "attempts", it.Attempts, "destination", p.OnFailure)
	l := p.letter(it, it.reason())
	l.Error = said(it.Err)
	if p.sink != nil {
		return p.burySunk(ctx, it, l)
	}
	return p.send(ctx, p.failure, p.spare(), l)
}

// spare is where a letter goes that its destination refuses for good; nil:
// nowhere else.
func (p *Policy) spare() trigger.Destination {
	if p.OnFailure == Store {
		return nil
	}
	return p.letters
}

// Celebrate sends the answer of an event that is done, if it is to be sent; as
// Bury it does not return before it is kept.
func (p *Policy) Celebrate(ctx context.Context, it *Item) bool {
	if p.success == nil {
		return true
	}
	l := p.letter(it, letter.Success)
	l.Attempts++
	if l.Last = p.now(); l.First.IsZero() {
		l.First = l.Last
	}
	a := it.Answer()
	l.Answer = &letter.Answer{Status: max(a.Status, 200), ContentType: a.ContentType, Body: append(letter.Bytes{}, a.Body...)}
	return p.send(ctx, p.success, p.letters, l)
}

// Celebrates reports whether answers are sent anywhere.
func (p *Policy) Celebrates() bool { return p.success != nil }

func (it *Item) reason() string {
	switch {
	case it.old:
		return letter.Age
	case it.Err != nil && event.IsPermanent(it.Err):
		return letter.Permanent
	}
	return letter.Attempts
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (p *Policy) letter(it *Item, reason string) *letter.Letter {
	ev := &it.Orig
	return &letter.Letter{
		Version: letter.Version, Reason: reason,
		ID:       p.letterID(ev),
		Function: p.Function, FVersion: p.Version, Trigger: p.Name, Kind: p.Kind, Class: string(p.class),
		Attempts: it.Attempts, First: it.First, Last: it.Last,
		From:  p.place(ev),
		Event: letter.Of(ev),
	}
}

// letterID is the same whenever the event is read again, as far as its source
// can tell: the tokens of a queue are of one session.
func (p *Policy) letterID(ev *event.Event) string {
	if p.class == trigger.Queue {
		return fmt.Sprintf("%s/%s/%s/%s", p.Function, p.Name, ev.Topic, ev.ID)
	}
	return fmt.Sprintf("%s/%s/%s/%d/%d/%s", p.Function, p.Name, ev.Topic, ev.Token.Shard, ev.Token.Offset, ev.ID)
}

func (p *Policy) place(ev *event.Event) letter.Place {
	if p.class == trigger.Queue {
		return letter.Place{Topic: ev.Topic}
	}
	return letter.Place{Topic: ev.Topic, Shard: ev.Token.Shard, Offset: ev.Token.Offset}
}

// refusals is how often a destination may fail on a letter before it counts as
// one that never takes it.
const refusals = 5

// send keeps trying: what cannot be kept stalls its lane or worker rather than
// being lost. A letter that its destination will never take goes to the spare
// one, the host's store; without it, it is as if it could not be taken now.
func (p *Policy) send(ctx context.Context, to, spare trigger.Destination, l *letter.Letter) bool {
	refused := 0
	for n := 1; ; n++ {
		err := to.Send(context.WithoutCancel(ctx), l)
		if err == nil {
			return true
		}
		if errors.Is(err, trigger.ErrRefused) {
			refused++
		}
		if never := event.IsPermanent(err) || refused >= refusals; never && spare != nil {
			p.log.Error("letter is refused and goes to the dead letters", "letter", l.ID, "error", err)
			l.Error = strings.TrimPrefix(l.Error+"; then: "+err.Error(), "; then: ")
			to, spare, n = spare, nil, 0
			continue
		}
		p.log.Error("send letter failed", "letter", l.ID, "error", err, "failures", n)
		if !Sleep(ctx, Reconnect(n)) {
			return false
		}
	}
}

// Sleep waits for d; false if ctx was done before.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
