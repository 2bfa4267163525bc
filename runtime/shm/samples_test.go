package shm

import (
	"log/slog"
	"time"
	"unsafe"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// aligned returns zeroed memory as a mapping would be aligned.
func aligned(n int) []byte {
	b := make([]byte, n+ring.EntrySize)
	for i := range ring.EntrySize {
		if word0(b[i:])%ring.EntrySize == 0 {
			return b[i : i+n]
		}
	}
	panic("unreachable")
}

func word0(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

// sampleEvent is an event with one of everything.
func sampleEvent() *event.Event {
	return &event.Event{
		Source: &event.Source{Kind: "http", Class: "sync", Name: "web"}, Token: event.Token{Shard: 3, Offset: 12345},
		ID: []byte("id-1"), Time: time.Unix(1700000000, 5), Method: []byte("POST"), Path: []byte("/a"), URL: []byte("/a?b=c"),
		ContentType: []byte("text/plain"), Key: []byte("k"), Topic: "t", Shards: 8,
		Headers: event.Pairs{{Key: "X-A", Value: []byte("1")}, {Key: "X-B", Value: nil}},
		Fields:  event.Pairs{{Key: "b", Value: []byte("c")}}, LogLevel: slog.LevelWarn,
	}
}
