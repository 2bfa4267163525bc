package dealer

import (
	"fmt"
	"testing"
)

func million(b *testing.B, resources, processors int) ([]Resource, []Beat) {
	b.Helper()
	var all []Resource
	for i := range resources {
		all = append(all, Resource{Name: fmt.Sprintf("topic-%03d/%07d", i%997, i)})
	}
	var beats []Beat
	for i := range processors {
		beats = append(beats, Beat{Processor: fmt.Sprintf("processor-%05d", i), Session: 1, Seq: 1})
	}
	return all, beats
}

// Dealing 1,000,000 resources over 10,000 processors, from nothing.
func BenchmarkMillion(b *testing.B) {
	all, beats := million(b, 1_000_000, 10_000)
	for b.Loop() {
		t := New(Options{TTL: 1000}, nil)
		t.Resources(0, all)
		for _, beat := range beats {
			t.Beat(0, beat)
		}
		t.Tick(0)
	}
}

// One processor more, then.
func BenchmarkJoin(b *testing.B) {
	all, beats := million(b, 1_000_000, 10_000)
	t := New(Options{TTL: 1000}, nil)
	t.Resources(0, all)
	for _, beat := range beats {
		t.Beat(0, beat)
	}
	t.Tick(0)
	i := 0
	for b.Loop() {
		i++
		t.Beat(0, Beat{Processor: fmt.Sprintf("newcomer-%05d", i), Session: 1, Seq: 1})
		t.Tick(0)
	}
}
