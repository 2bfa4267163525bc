package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/processor/tap"
)

// replay runs captured events again, each in all that --to names.
func (a *app) replay(ctx context.Context, name string, v invocation) error {
	events, err := a.events(v.event)
	if err != nil {
		return err
	}
	if len(v.to) == 0 {
		v.to = []string{""}
	}
	failed := 0
	for _, e := range events {
		for _, to := range v.to {
			done, err := a.client().Replay(ctx, name, e, to)
			if ctx.Err() != nil && a.ctx.Err() == nil {
				return fail(exitFailed, fmt.Errorf("no answer within %v", v.timeout), "")
			}
			if err != nil {
				return a.asked(err)
			}
			if done.Error != "" {
				failed++
			}
			if err := a.replayed(e, done, v.raw || !a.term.OutTTY); err != nil {
				return err
			}
		}
	}
	if failed > 0 && v.raise {
		return fail(exitFailed, fmt.Errorf("%d of %d failed", failed, len(events)*len(v.to)), "see: myelin logs "+name)
	}
	return nil
}

// events reads a file of events, one after the other.
func (a *app) events(path string) (out []tap.Event, err error) {
	from := a.term.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, usage("--event: %v", err)
		}
		defer f.Close()
		from = f
	}
	for d := json.NewDecoder(from); ; {
		var e tap.Event
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) && len(out) > 0 {
			return out, nil
		}
		if err == nil && (e.Trigger == "" || e.Event.ID == "") {
			err = errors.New("it is no event that myelin capture printed")
		}
		if err != nil {
			return nil, usage("--event %s, event %d: %v; want events as of: myelin capture NAME -o json", path, len(out)+1, err)
		}
		out = append(out, e)
	}
}

// replayed shows what became of an event: the body on the standard output.
func (a *app) replayed(e tap.Event, done api.Replayed, raw bool) error {
	style := terminal.Green
	if done.Error != "" {
		style = terminal.Red
	}
	cut := ""
	if e.Cut {
		cut = ", of what is left of it: it was cut"
	}
	fmt.Fprintf(a.term.Err, "event %s of %s by %s: %s in %.1f ms%s\n", word(e.Event.ID), word(e.Trigger), done.By, a.term.OnErr(style, fmt.Sprintf("%d %s", done.Status, http.StatusText(done.Status))), done.Ms, cut)
	if done.Error != "" {
		fmt.Fprintf(a.term.Err, "  %s\n", word(done.Error))
	}
	if done.Answer == nil {
		return nil
	}
	end := &ending{w: a.term.Out}
	_, err := end.Write(done.Answer.Body)
	if err == nil && end.last != '\n' && (!raw || len(done.Answer.Body) > 0) {
		_, err = fmt.Fprintln(a.term.Out)
	}
	return err
}
