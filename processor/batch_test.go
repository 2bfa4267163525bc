package processor_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
)

const batchSpec = "  triggers:\n    default-http: {kind: http, batch: {mode: enable, batchSize: 4, timeout: 30s}}\n"

// Requests that come at the same time are one call, and each gets its answer.
func TestRequestsAreBatched(t *testing.T) {
	f := native.Of(func(_ *myelin.Context, evs []*myelin.Event) ([]any, error) {
		out := make([]any, len(evs))
		for i, ev := range evs {
			if out[i] = fmt.Sprintf("%d %s", len(evs), ev.Body); string(ev.Body) == "bad" {
				out[i] = myelin.Errorf(http.StatusTeapot, "no tea")
			}
		}
		return out, nil
	}, nil)
	r := start(t, config(t, batchSpec), f)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			body, status, want := fmt.Sprint(i), 200, fmt.Sprintf("4 %d", i)
			if i == 5 {
				body, status, want = "bad", http.StatusTeapot, "no tea"
			}
			resp, err := http.Post(r.url, "text/plain", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			got, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != status || string(got) != want {
				t.Errorf("%s: %d %q", body, resp.StatusCode, got)
			}
		})
	}
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// A function of single events is not deployed with a trigger that makes batches.
func TestBatchesAreRefused(t *testing.T) {
	f := native.Of(func(*myelin.Context, *myelin.Event) (any, error) { return nil, nil }, nil)
	p, err := processor.New(config(t, batchSpec), processor.Parts{
		Triggers: trigger.NewSet(httptrigger.Factory()), Runtimes: runtime.NewSet(native.Factory(f)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); !errors.Is(err, processor.ErrConfig) || !strings.Contains(err.Error(), "one event per call") {
		t.Errorf("%v", err)
	}
}
