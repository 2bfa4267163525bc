package processor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/tap"
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

// forget removes a letter that is kept elsewhere now.
func (p *Processor) forget(w http.ResponseWriter, r *http.Request) {
	err := letterbox.New(letterbox.Options{Dir: p.cfg.Letters.Dir}).Remove(r.PathValue("id"))
	switch {
	case errors.Is(err, letterbox.ErrNotFound):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// mostAnswer is how much of an answer is told of an event that is run again.
const mostAnswer = 64 << 10

// again runs the event. It is not the caller's to call off: who has gone away
// meanwhile sends the letter again.
func (p *Processor) again(ctx context.Context, f *feed, l *letter.Letter) letter.Outcome {
	ev := &event.Event{Source: &event.Source{Kind: l.Kind, Class: l.Class, Name: l.Trigger}, Topic: l.From.Topic,
		Token: event.Token{Shard: l.From.Shard, Offset: l.From.Offset}, Tries: int32(min(max(l.Attempts, 0), math.MaxInt32))} //nolint:gosec // it is bounded
	l.Event.To(ev)
	var resp event.Response
	began := time.Now()
	err := p.handler(f, 0).Handle(ctx, ev, &resp)
	out, _ := tap.Outcome(&resp, err)
	out.Ms = float64(time.Since(began).Microseconds()) / 1000
	if event.Abandoned(err) {
		return out
	}
	defer resp.Reset()
	if s := resp.Stream; s != nil { // of which the rest is not read
		resp.Body, _ = io.ReadAll(io.LimitReader(s, mostAnswer))
		_ = s.Close()
	}
	if err == nil {
		out.Answer = &letter.Answer{Status: out.Status, ContentType: resp.ContentType, Body: bytes.Clone(resp.Body[:min(len(resp.Body), mostAnswer)])}
	}
	return out
}
