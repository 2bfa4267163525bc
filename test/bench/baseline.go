package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
)

// baseline is the processor's side of the protocol that Nuclio's wrappers
// speak; see nuclio-baseline/README.md. One event is in flight.
type baseline struct {
	cmd  *exec.Cmd
	conn net.Conn
	in   *bufio.Reader
	mu   sync.Mutex
	out  []byte
	line []byte
}

// startBaseline starts the worker with a handler and waits until it is ready.
func startBaseline(ctx context.Context, python, dir, handler string) (*baseline, error) {
	scratch, err := os.MkdirTemp("", "baseline-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	path := filepath.Join(scratch, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	b := &baseline{cmd: exec.CommandContext(ctx, python, "-u", "test/bench/nuclio-baseline/worker.py", path, dir, handler)}
	b.cmd.Stderr = os.Stderr
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start baseline worker: %w", err)
	}
	_ = ln.SetDeadline(time.Now().Add(20 * time.Second))
	if b.conn, err = ln.Accept(); err != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		return nil, fmt.Errorf("await baseline worker: %w", err)
	}
	b.in = bufio.NewReaderSize(b.conn, 256<<10)
	if kind, _, err := b.read(); err != nil || kind != 's' {
		return nil, errors.Join(fmt.Errorf("baseline worker did not start: %q", kind), err, b.Close())
	}
	return b, nil
}

// Close ends the worker.
func (b *baseline) Close() error {
	err := b.conn.Close()
	_ = b.cmd.Wait()
	return err
}

// Invoke sends ev and reads its answer.
func (b *baseline) Invoke(_ context.Context, ev *event.Event, resp *event.Response) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out = packEvent(b.out[:0], ev)
	if _, err := b.conn.Write(b.out); err != nil {
		return err
	}
	for {
		kind, line, err := b.read()
		if err != nil {
			return err
		}
		switch kind {
		case 'm':
			var m struct{ Duration float64 }
			if err := json.Unmarshal(line, &m); err != nil {
				return err
			}
		case 'r':
			return unpackAnswer(line, resp)
		}
	}
}

// read returns the next line, valid until the next call.
func (b *baseline) read() (byte, []byte, error) {
	b.line = b.line[:0]
	for {
		part, err := b.in.ReadSlice('\n')
		if b.line = append(b.line, part...); err == nil {
			return b.line[0], b.line[1:], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return 0, nil, err
		}
	}
}

func unpackAnswer(line []byte, resp *event.Response) error {
	var a struct {
		Status      int            `json:"status_code"`
		ContentType string         `json:"content_type"`
		Body        string         `json:"body"`
		Encoding    string         `json:"body_encoding"`
		Headers     map[string]any `json:"headers"`
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("parse answer: %w", err)
	}
	resp.Status, resp.ContentType = a.Status, a.ContentType
	if a.Encoding != "base64" {
		resp.Body = append(resp.Body, a.Body...)
		return nil
	}
	var err error
	resp.Body, err = base64.StdEncoding.AppendDecode(resp.Body, []byte(a.Body))
	return err
}

// packEvent appends ev as a length and a msgpack map.
func packEvent(b []byte, ev *event.Event) []byte {
	b = append(b, 0, 0, 0, 0)
	b = append(b, 0xde, 0, 18) // a map of 18
	key := func(k string) { b = append(append(b, 0xa0|byte(len(k))), k...) }
	text := func(k string, v []byte) {
		key(k)
		b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(v))), v...)
	}
	number := func(k string, v int64) {
		key(k)
		b = binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
	}
	key("body")
	b = append(binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(len(ev.Body))), ev.Body...)
	text("content_type", ev.ContentType)
	key("trigger")
	b = append(b, 0x82)
	text("kind", []byte("http"))
	text("name", []byte("web"))
	key("fields")
	b = append(b, 0x80)
	key("headers")
	b = packHeaders(b, ev.Headers)
	text("id", ev.ID)
	text("method", ev.Method)
	text("path", ev.Path)
	number("size", int64(len(ev.Body)))
	number("timestamp", ev.Time.Unix())
	text("url", ev.URL)
	number("shard_id", -1)
	number("num_shards", 0)
	text("type", nil)
	text("type_version", nil)
	text("version", nil)
	number("offset", 0)
	text("topic", nil)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// packHeaders appends the headers as a msgpack map.
func packHeaders(b []byte, headers event.Values) []byte {
	at, n := len(b), 0
	b = append(b, 0xde, 0, 0)
	if headers != nil {
		for k, v := range headers.All() {
			b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(k))), k...)
			b = append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(v))), v...)
			n++
		}
	}
	binary.BigEndian.PutUint16(b[at+1:], uint16(n))
	return b
}

// headers are those of a request, where they lie.
type headers struct{ h *fasthttp.RequestHeader }

// Get implements [event.Values].
func (h headers) Get(key string) []byte { return h.h.Peek(key) }

// All implements [event.Values].
func (h headers) All() iter.Seq2[[]byte, []byte] { return h.h.All() }

// serveBaseline is the HTTP server in front of the baseline, which the bench
// program starts as a process of its own.
func serveBaseline(addr, python, dir, handler string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := startBaseline(ctx, python, dir, handler)
	if err != nil {
		return err
	}
	responses := sync.Pool{New: func() any { return &event.Response{} }}
	srv := &fasthttp.Server{NoDefaultServerHeader: true, MaxRequestBodySize: 16 << 20, Handler: func(c *fasthttp.RequestCtx) {
		resp := responses.Get().(*event.Response)
		defer responses.Put(resp)
		resp.Reset()
		ev := event.Event{ID: []byte("0123456789abcdef"), Time: c.Time(), Method: c.Method(), Path: c.Path(), URL: c.RequestURI(),
			ContentType: c.Request.Header.ContentType(), Body: c.PostBody(), Headers: headers{&c.Request.Header}}
		if err := b.Invoke(c, &ev, resp); err != nil {
			c.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
		c.SetStatusCode(resp.Status)
		c.SetContentType(resp.ContentType)
		c.SetBody(resp.Body)
	}}
	go func() { <-ctx.Done(); _ = srv.Shutdown() }()
	err = srv.ListenAndServe(addr)
	return errors.Join(err, b.Close())
}
