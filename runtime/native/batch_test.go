package native_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

func batchOf(bodies ...string) (evs []*event.Event, resps []*event.Response, errs []error) {
	for _, b := range bodies {
		evs, resps, errs = append(evs, &event.Event{Body: []byte(b)}), append(resps, &event.Response{}), append(errs, event.ErrNotRun)
	}
	return evs, resps, errs
}

// Both forms of a handler that takes lists.
func TestLists(t *testing.T) {
	for name, h := range map[string]any{
		"returns": func(_ *myelin.Context, evs []*myelin.Event) ([]any, error) {
			out := make([]any, len(evs))
			for i, ev := range evs {
				switch string(ev.Body) {
				case "error":
					out[i] = myelin.Errorf(404, "no row")
				case "raise":
					return nil, errors.New("no luck")
				case "short":
					return out[1:], nil
				case "panic":
					panic("planted")
				default:
					out[i] = fmt.Sprintf("%d:%s", len(evs), ev.Body)
				}
			}
			return out, nil
		},
		"fills": func(_ *myelin.Context, evs []*myelin.Event, outs []*myelin.Response, errs []error) error {
			for i, ev := range evs {
				switch string(ev.Body) {
				case "error":
					errs[i] = myelin.Errorf(404, "no row")
				case "raise":
					return errors.New("no luck")
				case "short":
					return myelin.Errorf(500, "responses to %d events", len(evs))
				case "panic":
					panic("planted")
				default:
					outs[i].Body = fmt.Appendf(outs[i].Body, "%d:%s", len(evs), ev.Body)
				}
			}
			return nil
		},
	} {
		inst := open(t, native.Of(h, nil), new(bytes.Buffer))
		b := inst.(runtime.Batcher)
		evs, resps, errs := batchOf("a", "done", "error", "b")
		errs[1] = nil
		b.InvokeBatch(t.Context(), evs, resps, errs)
		var said *event.Error
		if errs[0] != nil || string(resps[0].Body) != "3:a" || string(resps[1].Body) != "" || !errors.As(errs[2], &said) || said.Status != 404 || string(resps[3].Body) != "3:b" {
			t.Errorf("%s: %q %q %q, %v", name, resps[0].Body, resps[1].Body, resps[3].Body, errs)
		}
		for body, text := range map[string]string{"raise": "no luck", "panic": "planted", "short": "responses to 2 events"} {
			evs, resps, errs := batchOf("a", body)
			b.InvokeBatch(t.Context(), evs, resps, errs)
			if errs[0] == nil || !strings.Contains(errs[0].Error(), text) || errs[0] != errs[1] { //nolint:errorlint // one and the same
				t.Errorf("%s, %s: %v", name, body, errs)
			}
		}
		if resp, err := invoke(inst, &event.Event{Body: []byte("x")}); err != nil || string(resp.Body) != "1:x" {
			t.Errorf("%s: one by itself: %q, %v", name, resp.Body, err)
		}
	}
	inst := open(t, native.Of(func(*myelin.Context, *myelin.Event) (any, error) { return nil, nil }, nil), new(bytes.Buffer))
	if n := inst.(runtime.Batcher).MaxBatch(); n != 0 {
		t.Errorf("a handler of single events takes lists of %d", n)
	}
}

// The records of a call go to those who asked, from the level that they asked for.
func TestListLogs(t *testing.T) {
	var log bytes.Buffer
	inst := open(t, native.Of(func(ctx *myelin.Context, evs []*myelin.Event) ([]any, error) {
		ctx.Logger.Debug("quiet")
		ctx.Logger.Warn("loud")
		return make([]any, len(evs)), nil
	}, nil), &log)
	evs, resps, errs := batchOf("a", "b", "c")
	evs[0].LogAsked, evs[0].LogLevel = true, slog.LevelDebug
	evs[2].LogAsked, evs[2].LogLevel = true, slog.LevelWarn
	inst.(runtime.Batcher).InvokeBatch(t.Context(), evs, resps, errs)
	if len(resps[0].Logs) != 2 || len(resps[1].Logs) != 0 || len(resps[2].Logs) != 1 || errs[0] != nil {
		t.Errorf("%v, %v, %v, %v", resps[0].Logs, resps[1].Logs, resps[2].Logs, errs)
	}
}

func TestListDoesNotAllocate(t *testing.T) {
	inst := open(t, native.Of(func(_ *myelin.Context, evs []*myelin.Event, outs []*myelin.Response, _ []error) error {
		for i, ev := range evs {
			outs[i].Body = append(outs[i].Body, ev.Body...)
		}
		return nil
	}, nil), new(bytes.Buffer)).(runtime.Batcher)
	evs, resps, errs := batchOf("a", "b", "c", "d")
	if n := testing.AllocsPerRun(500, func() {
		for i := range errs {
			errs[i] = event.ErrNotRun
			resps[i].Reset()
		}
		inst.InvokeBatch(context.Background(), evs, resps, errs)
	}); n != 0 {
		t.Errorf("%v allocations for a list", n)
	}
}
