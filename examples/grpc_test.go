package examples_test

import (
	"context"
	"net"
	"testing"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/grpc"
)

// A call counts words, and one without any is told what is wrong.
func TestGRPCExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "grpc-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	_ = ln.Close() // the copy remains
	a.Config.Spec.DisableDefaultHTTPTrigger = true
	function.Defaults(&a.Config)
	p, err := processor.New(processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}},
		processor.Parts{Triggers: trigger.NewSet(grpc.Factory()), Runtimes: runtime.NewSet(python.Factory()), Sockets: []handoff.Socket{{Name: "calls", FD: int(f.Fd())}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	conn, err := rpc.NewClient("passthrough:///"+ln.Addr().String(), rpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// A message with bytes in field 4 is a request and, with a number in field 1
	// besides, a response.
	for body, want := range map[string]codes.Code{"to be or not to be": codes.OK, "": codes.InvalidArgument} {
		in, out := &raw{}, &raw{}
		if body != "" {
			in.b = append([]byte{4<<3 | 2, byte(len(body))}, body...)
		}
		err := conn.Invoke(ctx, "/myelin.v1.Function/Call", in, out, rpc.ForceCodec(rawCodec{}))
		if status.Code(err) != want {
			t.Errorf("%q: %v, want %v", body, err, want)
		}
		if n := len(out.b); want == codes.OK && (n < 3 || string(out.b[n-3:]) != "\x22\x016") {
			t.Errorf("%q: answered %q", body, out.b)
		}
	}
}

type raw struct{ b []byte }

// rawCodec sends messages as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return v.(*raw).b, nil }

func (rawCodec) Unmarshal(b []byte, v any) error {
	v.(*raw).b = b
	return nil
}

func (rawCodec) Name() string { return "proto" }
