package processor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
	"github.com/myelin-run/myelin/trigger/seen"
)

// letters is where the triggers' dead letters go.
func (p *Processor) letters() trigger.Destination {
	if p.box == nil {
		l := p.cfg.Letters
		p.box = letterbox.New(letterbox.Options{Dir: l.Dir, Letters: l.Max, Bytes: int64(l.Size)})
	}
	return p.box
}

// remember is where the triggers that deduplicate note what is done: beside
// the letters, so that a successor and other replicas of the machine find it.
func (p *Processor) remember(t function.Trigger) trigger.Seen {
	if t.Deduplicate == nil {
		return nil
	}
	if p.seen == nil {
		p.seen = seen.New(filepath.Join(p.cfg.Letters.Dir, ".seen"))
		p.files = append(p.files, p.seen)
	}
	return p.seen
}

// redrive runs the event of a letter once more, as if its trigger had brought
// it, or the first one if there is none of that name now. A failure is the
// caller's to note: no other letter is made of it.
func (p *Processor) redrive(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, letterbox.MaxLetter))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	l, err := letter.Decode(text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if len(p.feeds) == 0 {
		http.Error(w, "the function has no triggers", http.StatusServiceUnavailable)
		return
	}
	i := max(0, slices.IndexFunc(p.feeds, func(f *feed) bool { return f.name == l.Trigger }))
	done := p.again(context.WithoutCancel(r.Context()), p.feeds[i], l)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(done)
}

// again runs the event. It is not the caller's to call off: who has gone away
// meanwhile sends the letter again.
func (p *Processor) again(ctx context.Context, f *feed, l *letter.Letter) letter.Outcome {
	ev := &event.Event{Source: &event.Source{Kind: l.Kind, Class: l.Class, Name: l.Trigger}, Topic: l.From.Topic,
		Token: event.Token{Shard: l.From.Shard, Offset: l.From.Offset}}
	l.Event.To(ev)
	var resp event.Response
	err := p.handler(f, 0).Handle(ctx, ev, &resp)
	if event.Abandoned(err) {
		return letter.Outcome{Status: http.StatusRequestTimeout, Error: err.Error()}
	}
	defer resp.Reset()
	var failed *event.Error
	switch {
	case err == nil && resp.Status < http.StatusBadRequest:
		return letter.Outcome{Status: max(resp.Status, http.StatusOK)}
	case err == nil:
		return letter.Outcome{Status: resp.Status, Error: fmt.Sprintf("answered with status %d: %.200s", resp.Status, resp.Body)}
	case errors.As(err, &failed):
		return letter.Outcome{Status: failed.Status, Error: failed.Message}
	case errors.Is(err, event.ErrBusy), errors.Is(err, event.ErrStopping):
		return letter.Outcome{Status: http.StatusServiceUnavailable, Error: err.Error()}
	case errors.Is(err, event.ErrLater):
		return letter.Outcome{Status: http.StatusAccepted}
	}
	return letter.Outcome{Status: http.StatusInternalServerError, Error: err.Error()}
}
