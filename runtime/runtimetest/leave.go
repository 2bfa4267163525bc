package runtimetest

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/runtime"
)

// leave checks the hooks of the drain: each runs once, events still run
// meanwhile, one that fails is logged and keeps no other from running, and Close
// waits for them.
func leave(t *testing.T, f Fixture) {
	if !f.Leaves {
		t.Skip("the runtime has no hooks for the drain")
	}
	book := &recorder{}
	in := openInstance(t, f.New(t, Leave, slog.New(slog.NewTextHandler(book, nil))))
	answers(t, in, "before", "before")
	l, ok := in.(runtime.Leaver)
	if !ok {
		t.Fatal("the instance is no Leaver")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range 2 {
		if hooked, err := l.Leave(ctx); err != nil || !hooked {
			t.Fatalf("leave: %v, %v", hooked, err)
		}
		answers(t, in, "meanwhile", "meanwhile")
	}
	closeInstance(t, in)
	text := book.String()
	if n := strings.Count(text, "the drain hook has ended"); n != 1 {
		t.Errorf("the hook has ended %d times in the log:\n%s", n, text)
	}
	if !strings.Contains(text, "deliberate drain failure") {
		t.Errorf("the failure is not in the log:\n%s", text)
	}
	if in = f.open(t, Echo); in != nil {
		if hooked, err := in.(runtime.Leaver).Leave(ctx); err != nil || hooked {
			t.Errorf("without hooks: %v, %v", hooked, err)
		}
		answers(t, in, "x", "x")
	}
}
