package grpc

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/myelin-run/myelin/event"
)

// Whatever a client sends is an event or refused, and what is read of it lies
// within the message.
func FuzzRequest(f *testing.F) {
	entry := protowire.AppendString(protowire.AppendTag(nil, entryKey, protowire.BytesType), "a")
	b := protowire.AppendString(protowire.AppendTag(nil, requestPath, protowire.BytesType), "/a%20b?c=d")
	b = protowire.AppendBytes(protowire.AppendTag(b, requestHeaders, protowire.BytesType), entry)
	b = protowire.AppendBytes(protowire.AppendTag(b, requestBody, protowire.BytesType), []byte("body"))
	f.Add(b)
	f.Add([]byte("\x0a\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newCall(&event.Source{})
		if c.read(b) != nil {
			return
		}
		if len(c.ev.Body)+len(c.ev.ContentType) > len(b) {
			t.Errorf("%d bytes have a body of %d", len(b), len(c.ev.Body))
		}
		if len(c.ev.Path) == 0 || c.ev.Path[0] != '/' {
			t.Errorf("path %q", c.ev.Path)
		}
	})
}
