package nodejs

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/myelin-run/myelin/event"
)

// Bodies that a function keeps stay as they were, however many events come after,
// and when they go their memory is used again.
func TestKeptBodies(t *testing.T) {
	const code = `
let kept = []
let shared = null
exports.handler = (context, event) => {
  const what = event.bodyView.toString('latin1', 0, 4)
  if (what === 'keep') {
    const view = event.keepBody()
    if (view !== event.keepBody()) return 'it is another one each time'
    kept.push([view.subarray(4), Buffer.from(event.bodyView.subarray(4)), event])
  } else if (what === 'echo') return event.keepBody().subarray(2)
  else if (what === 'drop') { kept = []; global.gc() }
  else if (what === 'back') return kept[kept.length - 1][0]
  else if (what === 'same') {
    for (const [view, copy, event] of kept) {
      if (!view.equals(copy) || !event.body.subarray(4).equals(copy) || event.keepBody().length !== copy.length + 4) return 'changed'
    }
  } else if (what === 'outs') return String(kept.filter(([view]) => view.buffer.byteLength === view.length + 4 && view.length > 20000).length)
  return String(kept.length)
}
`
	in, _ := fixture{code: code, attrs: map[string]any{"arena": "1Mi", "options": []string{"--expose-gc"}}}.open(t)
	resp := &event.Response{Takes: event.TakesViews}
	ask := func(what string, size int, want string) string {
		t.Helper()
		body := append([]byte(what), bytes.Repeat([]byte(what[:1]), size)...)
		resp.Reset()
		if err := in.Invoke(t.Context(), &event.Event{Body: body}, resp); err != nil {
			t.Fatal(err)
		}
		got := append(resp.Body, resp.View...)
		if want != "" && string(got) != want {
			t.Fatalf("%s of %d bytes: %.50q, want %.50q", what, size, got, want)
		}
		return string(got)
	}
	for range 4 {
		n := 0
		for i := range 150 { // more than there are slots, and more bytes than there is room
			n++
			ask("keep", i*i*7%200_000, fmt.Sprint(n))
			ask("none", i*1000, "")
		}
		ask("keep", 100_000, fmt.Sprint(n+1))
		ask("back", 0, string(bytes.Repeat([]byte("k"), 100_000)))
		ask("same", 0, fmt.Sprint(n+1))
		ask("none", 250_000, "")
		ask("echo", 100_000, "ho"+string(bytes.Repeat([]byte("e"), 100_000)))
		ask("drop", 0, "0")
	}
	// What was kept was shown in place as far as there is room, and given back since.
	for range 3 {
		for range 6 {
			ask("keep", 60_000, "")
		}
		if out := ask("outs", 0, ""); out == "0" {
			t.Error("every body was copied")
		}
		ask("drop", 0, "0")
		ask("drop", 0, "0") // those of the call before may have been on its stack
	}
}
