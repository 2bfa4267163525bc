package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/event"
)

func sampleEvent() *event.Event {
	return &event.Event{
		Source: &event.Source{Kind: "http", Class: "sync", Name: "web"}, Token: event.Token{Shard: 3, Offset: 12345},
		ID: []byte("id-1"), Time: time.Unix(1700000000, 5), Method: []byte("POST"), Path: []byte("/a"), URL: []byte("/a?b=c"),
		ContentType: []byte("text/plain"), Key: []byte("k"), Topic: "t", Shards: 8,
		Headers: event.Pairs{{Key: "X-A", Value: []byte("1")}, {Key: "X-B", Value: nil}},
		Fields:  event.Pairs{{Key: "b", Value: []byte("c")}}, LogLevel: slog.LevelWarn,
	}
}

// decodeMeta reads metadata as a worker does.
func decodeMeta(b []byte) *event.Event {
	r := Reader{B: b}
	nanos, offset := r.U64(), r.U64()
	shard, shards, level := r.U32(), r.U32(), r.U32()
	headers, headersLen, fields, fieldsLen := r.U32(), r.U32(), r.U32(), r.U32()
	_ = r.U32()
	var n [10]uint32
	for i := range n {
		n[i] = r.U32()
	}
	ev := &event.Event{Source: &event.Source{}, Token: event.Token{Shard: int32(shard), Offset: int64(offset)}, Shards: int32(shards), LogLevel: slog.Level(int32(level))}
	if nanos != 0 {
		ev.Time = time.Unix(0, int64(nanos))
	}
	ev.Method, ev.Path, ev.URL, ev.ContentType = r.Bytes(n[0]), r.Bytes(n[1]), r.Bytes(n[2]), r.Bytes(n[3])
	ev.ID, ev.Key, ev.Topic = r.Bytes(n[4]), r.Bytes(n[5]), string(r.Bytes(n[6]))
	ev.Source.Kind, ev.Source.Name, ev.Source.Class = string(r.Bytes(n[7])), string(r.Bytes(n[8])), string(r.Bytes(n[9]))
	pairs := func(count, length uint32) (p event.Pairs) {
		s := Reader{B: r.Bytes(length)}
		for range count {
			k, v := s.U32(), s.U32()
			p = append(p, event.Pair{Key: string(s.Bytes(k)), Value: s.Bytes(v)})
		}
		return p
	}
	ev.Headers, ev.Fields = pairs(headers, headersLen), pairs(fields, fieldsLen)
	return ev
}

// The published test vectors are what the code does.
func TestVectors(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/reference/shared-memory.md")
	if err != nil {
		t.Fatal(err)
	}
	w := NewMetaWriter()
	w.Write(sampleEvent())
	for name, b := range map[string][]byte{"metadata": w.Buf, "response metadata": sampleAnswer()} {
		if dump := strings.TrimSpace(dump(b)); !strings.Contains(string(doc), dump) {
			t.Errorf("docs/reference/shared-memory.md lacks the vector of the %s:\n%s", name, dump)
		}
	}
}

// dump is lines of 32 hexadecimal digits.
func dump(b []byte) string {
	var s strings.Builder
	for ; len(b) > 0; b = b[min(16, len(b)):] {
		s.WriteString(hex.EncodeToString(b[:min(16, len(b))]) + "\n")
	}
	return s.String()
}

func TestMetaRoundTrip(t *testing.T) {
	w := NewMetaWriter()
	for range 2 { // the writer is used again
		want := sampleEvent()
		w.Write(want)
		got := decodeMeta(w.Buf)
		if d := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); d != "" {
			t.Fatal(d)
		}
	}
	w.Write(&event.Event{})
	if got := decodeMeta(w.Buf); len(w.Buf) != MetaFixed || !got.Time.IsZero() {
		t.Errorf("empty event: %d bytes, %+v", len(w.Buf), got)
	}
}

// sampleAnswer is response metadata with one of everything.
func sampleAnswer() []byte {
	le := binary.LittleEndian
	var b []byte
	add := func(s string) { b = append(b, s...) }
	for _, n := range []uint32{10, 1, 1} {
		b = le.AppendUint32(b, n)
	}
	add("text/plain")
	b = le.AppendUint32(le.AppendUint32(b, 3), 1)
	add("X-A1")
	b = le.AppendUint64(b, 1700000000000000005)
	b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, 4), 3), 1)
	add("msg")
	b = le.AppendUint32(le.AppendUint32(b, 1), 1)
	add("kv")
	return b
}

func TestDecodeAnswer(t *testing.T) {
	var a Answer
	if err := DecodeAnswer(sampleAnswer(), &a); err != nil {
		t.Fatal(err)
	}
	if a.ContentType != "text/plain" || len(a.Header) != 1 || a.Header[0] != (event.Field{Key: "X-A", Value: "1"}) {
		t.Errorf("%+v", a)
	}
	if len(a.Logs) != 1 || a.Logs[0].Message != "msg" || a.Logs[0].Level != slog.LevelWarn || a.Logs[0].With[0].String() != "k=v" {
		t.Errorf("%+v", a.Logs)
	}
	for i := range sampleAnswer() {
		if DecodeAnswer(sampleAnswer()[:i], new(Answer)) == nil {
			t.Errorf("%d bytes of it were believed", i)
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add(sampleAnswer())
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Answer
		if DecodeAnswer(b, &a) == nil && len(a.Header)*8+len(a.Logs)*20 > len(b) {
			t.Errorf("%d headers and %d records from %d bytes", len(a.Header), len(a.Logs), len(b))
		}
		_ = DecodeRecord(&Reader{B: b})
	})
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte("POST"), []byte("/"), []byte("k"), []byte("v"), int64(1), int32(2))
	f.Fuzz(func(t *testing.T, method, path, k, v []byte, offset int64, shard int32) {
		want := &event.Event{Source: &event.Source{}, Method: method, Path: path, URL: v, ID: k, Key: v, Headers: event.Pairs{{Key: string(k), Value: v}},
			Fields: event.Pairs{{Key: string(v), Value: k}}, Token: event.Token{Offset: offset, Shard: shard}}
		w := NewMetaWriter()
		w.Write(want)
		if d := cmp.Diff(want, decodeMeta(w.Buf), cmp.Comparer(bytes.Equal)); d != "" {
			t.Fatal(d)
		}
	})
}
