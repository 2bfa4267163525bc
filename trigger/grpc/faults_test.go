package grpc

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/test/port"
	"github.com/myelin-run/myelin/trigger"
)

func echo(_ context.Context, ev *event.Event, resp *event.Response) error {
	resp.Body = append(resp.Body, ev.Body...)
	return nil
}

func wait(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
}

// What is wrong is told with the name of the field, or when the trigger runs.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for attributes, want := range map[string]string{
		`{"port":70000}`:                      "port: is 70000",
		`{"portt":1}`:                         "portt",
		`{"service":"a.B"}`:                   "service: needs descriptor",
		`{"maxMessageSize":0}`:                "maxMessageSize",
		`{"maxHeaderBytes":1}`:                "maxHeaderBytes",
		`{"maxConnections":0,"maxStreams":0}`: "maxStreams",
		`{"idleTimeout":"-1s"}`:               "idleTimeout",
		`{"tls":{"certFile":"x"}}`:            "tls: needs",
	} {
		_, err := Factory().New(trigger.Settings{}, json.RawMessage(attributes))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", attributes, err, want)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "noise"), []byte("\x00\xffnoise"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shop, file := writeSet(t, compiled(t, "testdata/shop.proto"))
	for _, k := range []struct{ dir, attributes, want string }{
		{dir, `{"port":0,"descriptor":"none"}`, "no such file"},
		{dir, `{"port":0,"descriptor":"noise"}`, "no set of file descriptors"},
		{dir, `{"port":0,"descriptor":"empty"}`, "has no service"},
		{shop, `{"port":0,"descriptor":"` + file + `","service":"shop.v1.Order"}`, `no "shop.v1.Order" (it has shop.v1.Orders, shop.v1.Stock)`},
		{dir, `{"port":0,"tls":{"certFile":"none","keyFile":"none"}}`, "tls.certFile"},
		{dir, `{"port":0,"host":"256.1.1.1"}`, "listen on 256.1.1.1:0"},
	} {
		err := newTrigger(t, k.dir, k.attributes).Run(t.Context(), trigger.HandlerFunc(echo))
		if err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s: %v, want %q", k.attributes, err, k.want)
		}
	}
}

// A call that its client gives up ends the function's context, and a message
// that is no request is refused.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	began, ended := make(chan struct{}), make(chan struct{})
	trg := newTrigger(t, "", `{"port":0}`)
	start(t, trg, func(ctx context.Context, ev *event.Event, _ *event.Response) error {
		if string(ev.Body) != "hold" {
			return nil
		}
		close(began)
		select {
		case <-ctx.Done():
			close(ended)
		case <-time.After(patience):
		}
		return ctx.Err()
	})
	c := dial(t, trg, compiled(t, function(t)))
	ctx, cancel := context.WithCancel(within60(t))
	failed := make(chan error, 1)
	go func() {
		_, err := c.call(ctx, map[string]any{"body": []byte("hold")})
		failed <- err
	}()
	wait(t, "the event", began)
	cancel()
	wantCode(t, <-failed, codes.Canceled)
	wait(t, "the end of its context", ended)
	// A field 4, the body, that is a number.
	err := c.conn.Invoke(within60(t), "/myelin.v1.Function/Call", []byte("\x20\x01"), &[]byte{}, rpc.ForceCodec(bytesCodec{}))
	wantCode(t, err, codes.InvalidArgument)
	for _, noise := range []string{"\x22", "\x22\x05a", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x1a\x03\x0a\x05a", "\x00\x00"} {
		err := c.conn.Invoke(within60(t), "/myelin.v1.Function/Call", []byte(noise), &[]byte{}, rpc.ForceCodec(bytesCodec{}))
		wantCode(t, err, codes.InvalidArgument)
	}
	if _, err := c.call(within60(t), nil); err != nil {
		t.Errorf("the call after: %v", err)
	}
}

// bytesCodec sends bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (bytesCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = b
	return nil
}

func (bytesCodec) Name() string { return "proto" }

// Neither noise nor half a call holds anybody up, or the drain.
func TestHalfCalls(t *testing.T) {
	t.Parallel()
	trg := newTrigger(t, "", `{"port":0,"drainLinger":"50ms"}`)
	stop := start(t, trg, echo)
	open := func() net.Conn {
		nc, err := net.Dial("tcp", trg.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		return nc
	}
	open() // says nothing
	noise := open()
	_, _ = io.WriteString(noise, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = noise.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, noise); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("a request of HTTP/1.1 was not ended")
	}
	half := open()
	_, _ = io.WriteString(half, http2.ClientPreface)
	f := http2.NewFramer(half, half)
	var head strings.Builder
	enc := hpack.NewEncoder(&head)
	for _, kv := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/myelin.v1.Function/Call"}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := enc.WriteField(hpack.HeaderField{Name: kv[0], Value: kv[1]}); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{f.WriteSettings(), f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(head.String()), EndHeaders: true}),
		f.WriteData(1, false, []byte("\x00\x00\x00\x10\x00half"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, trg, compiled(t, function(t)))
	if _, err := c.call(within60(t), map[string]any{"body": []byte("x")}); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A drain answers the calls that have begun, tells the rest to go elsewhere, and
// does not wait for a stream on which nothing comes.
func TestDrain(t *testing.T) {
	t.Parallel()
	began, goOn := make(chan struct{}), make(chan struct{})
	defer func() {
		select {
		case <-goOn:
		default:
			close(goOn)
		}
	}()
	trg := newTrigger(t, "", `{"port":0,"drainLinger":"2s"}`)
	stop := start(t, trg, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Body) == "hold" {
			close(began)
			<-goOn
		}
		resp.Body = append(resp.Body, ev.Body...)
		return nil
	})
	fd := compiled(t, function(t))
	c, other := dial(t, trg, fd), dial(t, trg, fd)
	st, err := other.conn.NewStream(within60(t), &rpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/myelin.v1.Function/Stream")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.SendMsg(other.message("Request", nil)); err != nil {
		t.Fatal(err)
	}
	if err := st.RecvMsg(other.message("Response", nil)); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	ctx := within60(t)
	go func() {
		out, err := c.call(ctx, map[string]any{"body": []byte("hold")})
		if err == nil && string(get(out, "body").Bytes()) != "hold" {
			err = fmt.Errorf("answered %v", out)
		}
		held <- err
	}()
	wait(t, "the event", began)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	wantCode(t, st.RecvMsg(other.message("Response", nil)), codes.Unavailable) // comes only by the drain
	select {
	case err := <-stopped:
		t.Fatalf("Run returned (%v) before the call was answered", err)
	default:
	}
	close(goOn)
	if err := <-held; err != nil {
		t.Errorf("the held call: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// The processors of a function share a port, and another function is told.
func TestSharedPort(t *testing.T) {
	t.Parallel()
	p, err := port.Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Release() })
	made := func(function string) *Trigger {
		trg := newTrigger(t, "", fmt.Sprintf(`{"port":%d}`, p.N))
		trg.settings.Function = function
		return trg
	}
	stop := start(t, made("one"), echo)
	second := made("one")
	start(t, second, echo)
	if err := made("two").Run(t.Context(), trigger.HandlerFunc(echo)); err == nil || !strings.Contains(err.Error(), `the port is that of the function "one"`) {
		t.Errorf("another function on the port: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := dial(t, second, compiled(t, function(t))).call(within60(t), nil, rpc.WaitForReady(true)); err != nil {
		t.Errorf("the one that is left: %v", err)
	}
}

// A connection more than there may be is closed, and one that closes makes room.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	trg := newTrigger(t, "", `{"port":0,"maxConnections":1}`)
	start(t, trg, echo)
	fd := compiled(t, function(t))
	first := dial(t, trg, fd)
	if _, err := first.call(within60(t), nil); err != nil {
		t.Fatal(err)
	}
	second := dial(t, trg, fd)
	_, err := second.call(within60(t), nil)
	wantCode(t, err, codes.Unavailable)
	_ = second.conn.Close() // else it tries again by itself
	_ = first.conn.Close()
	if _, err := dial(t, trg, fd).call(within60(t), nil, rpc.WaitForReady(true)); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
}

// With tls, clients see the certificate, and must have one if that is asked for.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key, pool := newCertificate(t, dir)
	fd := compiled(t, function(t))
	for _, mutual := range []bool{false, true} {
		more := ""
		if mutual {
			more = `,"clientCAFile":"` + cert + `"`
		}
		trg := newTrigger(t, "", `{"port":0,"tls":{"certFile":"`+cert+`","keyFile":"`+key+`"`+more+`}}`)
		start(t, trg, echo)
		for _, has := range []bool{false, true} {
			conf := &tls.Config{RootCAs: pool, ServerName: "localhost"}
			if has {
				own, err := tls.LoadX509KeyPair(cert, key)
				if err != nil {
					t.Fatal(err)
				}
				conf.Certificates = []tls.Certificate{own}
			}
			conn, err := rpc.NewClient("passthrough:///"+trg.Addr().String(), rpc.WithTransportCredentials(credentials.NewTLS(conf)))
			if err != nil {
				t.Fatal(err)
			}
			_, err = (&client{conn, fd}).call(within60(t), nil)
			if want := has || !mutual; (err == nil) != want {
				t.Errorf("certificates of clients wanted %v, there %v: %v", mutual, has, err)
			}
			_ = conn.Close()
		}
	}
}
