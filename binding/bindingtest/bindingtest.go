// Package bindingtest holds the suites that every driver passes, one for each
// class of data bindings. They stand before the handle that functions use, and so
// test driver and handle together. They know no service: a driver's own tests
// start it.
package bindingtest

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// Max is the limit of a value's bytes that suites expect.
const Max = 1 << 20

// guard bounds calls as the suites expect it.
func guard() *data.Guard {
	return &data.Guard{Name: "suite", Timeout: 20 * time.Second, Wait: 20 * time.Second, Slots: make(chan struct{}, 8), Max: Max, MaxRows: 5000}
}

// Opened opens b, and closes it when the test ends.
func Opened(t testing.TB, b binding.Binding) binding.Binding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := b.Open(ctx); err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// unique is a name that no other test has.
func unique() string { return "t" + strings.ToLower(rand.Text()[:12]) }

func want(t *testing.T, err error, r data.Reason) {
	t.Helper()
	if !errors.Is(err, r) {
		t.Errorf("got %v, want reason %q", err, r)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); <-time.After(20 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Errorf("%s: not within 30s", what)
}
