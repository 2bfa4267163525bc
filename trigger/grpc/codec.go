package grpc

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // clients may compress
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

const (
	maxKept = 1 << 20  // of a buffer that is kept for the next event
	copied  = 32 << 10 // an answer up to this is copied, so that its buffer can be used again
)

// frame is a message as it came. It reads the bytes where the transport has put
// them, if they are in one piece.
type frame struct {
	data []byte
	held mem.Buffer // that data lies in; nil if it is own
	own  []byte
}

// codec leaves frames and buffers as they are. The services that are not the
// function's have messages.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal implements [encoding.CodecV2].
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(mem.BufferSlice); ok {
		return b, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements [encoding.CodecV2].
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	f.take(data)
	return nil
}

// take keeps a message until release.
func (f *frame) take(data mem.BufferSlice) {
	f.release()
	switch n := data.Len(); {
	case n == 0:
		f.data = f.own[:0]
	case len(data) == 1:
		data[0].Ref()
		f.held, f.data = data[0], data[0].ReadOnlyData()
	default:
		if cap(f.own) < n {
			f.own = make([]byte, n)
		}
		f.data = f.own[:n]
		data.CopyTo(f.data)
	}
}

func (f *frame) release() {
	if f.held != nil {
		f.held.Free()
	}
	if cap(f.own) > maxKept {
		f.own = nil
	}
	f.held, f.data = nil, nil
}

// lend hands b over to the transport, which writes it when it can. What is left
// of it to be used again is returned.
func lend(b []byte) (mem.Buffer, []byte) {
	if len(b) <= copied {
		return mem.Copy(b, mem.DefaultBufferPool()), b[:0]
	}
	return mem.SliceBuffer(b), nil
}
