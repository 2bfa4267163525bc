package nodejs

import "testing"

// The worker rings for a caller that is alone in it.
func TestTwoBells(t *testing.T) {
	if in, _ := (fixture{code: trivial}).open(t); !in.TwoBells() {
		t.Error("the worker knows of one bell only")
	}
}
