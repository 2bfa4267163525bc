package once

import (
	"fmt"
	"testing"
	"time"
)

func TestStates(t *testing.T) {
	s := New[string](3, 100)
	now := time.Unix(1000, 0)
	begin := func(key string, sum byte, want State) (string, <-chan struct{}) {
		t.Helper()
		got, answer, done := s.Begin(key, Sum{sum}, now)
		if got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
		return answer, done
	}
	begin("a", 1, Run)
	_, done := begin("a", 1, Running)
	begin("a", 2, Mismatch)
	s.Finish("a", "one", 10, now.Add(time.Minute), true)
	<-done
	if got, _ := begin("a", 1, Stored); got != "one" {
		t.Errorf("got %q", got)
	}
	begin("a", 2, Mismatch)
	begin("b", 1, Run)
	s.Finish("b", "", 0, now, false)
	begin("b", 2, Run) // it failed: another may try
	begin("c", 1, Run)
	begin("d", 1, Run) // in place of a, which was answered
	begin("e", 1, Full)
	s.Finish("d", "four", 10, now.Add(time.Minute), true)
	now = now.Add(time.Hour)
	begin("d", 7, Run)
	s.Finish("nobody", "", 0, now, true)
}

func TestBytesAreBounded(t *testing.T) {
	s := New[int](1000, 100)
	now := time.Unix(1000, 0)
	for i := range 500 {
		key := fmt.Sprint(i)
		if got, _, _ := s.Begin(key, Sum{}, now); got != Run {
			t.Fatalf("%s: %v", key, got)
		}
		s.Finish(key, i, 30, now.Add(time.Hour), true)
		if s.bytes > 130 || len(s.by) != s.order.Len() {
			t.Fatalf("%d bytes, %d keys", s.bytes, len(s.by))
		}
	}
}
