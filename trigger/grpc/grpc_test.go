package grpc

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/myelin-run/myelin/event"
)

func function(t *testing.T) string {
	t.Helper()
	return "../../docs/triggers/function.proto"
}

// The schema that clients get by reflection is the one in the documentation.
func TestSchemaIsDocumented(t *testing.T) {
	own, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	want, got := protodesc.ToFileDescriptorProto(compiled(t, function(t))), protodesc.ToFileDescriptorProto(own)
	want.Name = got.Name
	for _, fd := range []*descriptorpb.FileDescriptorProto{want, got} {
		for _, m := range fd.MessageType {
			for _, f := range append(slices.Clone(m.Field), m.NestedType[0].Field...) {
				f.JsonName = nil
			}
		}
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("schema (-documented +served):\n%s", diff)
	}
}

// A call is an event with all that it brought, and the answer has all that the
// function said.
func TestCall(t *testing.T) {
	t.Parallel()
	seen := make(chan *event.Event, 1)
	trg := newTrigger(t, "", `{"port":0}`)
	deadline := make(chan time.Time, 1)
	start(t, trg, func(ctx context.Context, ev *event.Event, resp *event.Response) error {
		at, _ := ctx.Deadline()
		deadline <- at
		seen <- ev.Clone()
		resp.Status, resp.ContentType = 201, "text/x"
		resp.SetHeader("X-Answer", "42")
		resp.Body = append(resp.Body, "got "+string(ev.Body)...)
		return nil
	})
	c := dial(t, trg, compiled(t, function(t)))
	ctx := metadata.AppendToOutgoingContext(within60(t), "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-Id", "mine")
	out, err := c.call(ctx, map[string]any{"path": "/a/b?x=1", "content_type": "text/y", "headers": map[string]string{"X-Own": "1"}, "body": []byte("body")})
	if err != nil {
		t.Fatal(err)
	}
	ev := <-seen
	for what, both := range map[string][2]string{
		"path": {string(ev.Path), "/a/b"}, "url": {string(ev.URL), "/a/b?x=1"}, "method": {string(ev.Method), "POST"},
		"content type": {string(ev.ContentType), "text/y"}, "body": {string(ev.Body), "body"}, "id": {string(ev.ID), "mine"},
		"field": {string(ev.Field("x")), "1"}, "header": {string(ev.Header("x-own")), "1"}, "host": {string(ev.Header("Host")), trg.Addr().String()},
		"traceparent": {string(ev.Header("Traceparent")), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		"answer":      {string(get(out, "body").Bytes()), "got body"}, "answer's type": {get(out, "content_type").String(), "text/x"},
		"answer's header": {get(out, "headers").Map().Get(protoKey("X-Answer")).String(), "42"},
	} {
		if both[0] != both[1] {
			t.Errorf("%s is %q, want %q", what, both[0], both[1])
		}
	}
	if n := get(out, "status").Int(); n != 201 {
		t.Errorf("status %d, want 201", n)
	}
	want, _ := ctx.Deadline()
	if got := <-deadline; got.Sub(want).Abs() > 10*time.Second {
		t.Errorf("the function's deadline is %v, the caller's %v", got, want)
	}
}

// Large messages come whole in both directions, compressed and not.
func TestSizes(t *testing.T) {
	t.Parallel()
	trg := newTrigger(t, "", `{"port":0,"maxMessageSize":2097152}`)
	start(t, trg, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		resp.Body = append(resp.Body, ev.Body...)
		return nil
	})
	c := dial(t, trg, compiled(t, function(t)), rpc.WithDefaultCallOptions(rpc.MaxCallRecvMsgSize(4<<20)))
	ctx := within60(t)
	for _, n := range []int{0, 1, 1000, 1100, 16 << 10, 33 << 10, 100 << 10, 2<<20 - 100} {
		for _, o := range [][]rpc.CallOption{nil, {rpc.UseCompressor(gzip.Name)}} {
			body := []byte(strings.Repeat("0123456789abcdef", n/16+1)[:n])
			out, err := c.call(ctx, map[string]any{"body": body}, o...)
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if string(get(out, "body").Bytes()) != string(body) {
				t.Errorf("%d bytes came back otherwise", n)
			}
		}
	}
	_, err := c.call(ctx, map[string]any{"body": make([]byte, 3<<20)})
	wantCode(t, err, codes.ResourceExhausted)
	_, err = c.call(ctx, map[string]any{"body": make([]byte, 3<<20)}, rpc.UseCompressor(gzip.Name))
	wantCode(t, err, codes.ResourceExhausted) // 3 KiB that would be 3 MiB
}

// What a function answers is the call's code, and its text the message.
func TestCodes(t *testing.T) {
	t.Parallel()
	var answer event.Response
	var outcome error
	trg := newTrigger(t, "", `{"port":0}`)
	start(t, trg, func(_ context.Context, _ *event.Event, resp *event.Response) error {
		resp.Status, resp.Header = answer.Status, answer.Header
		resp.Body = append(resp.Body, answer.Body...)
		return outcome
	})
	c := dial(t, trg, compiled(t, function(t)))
	ctx := within60(t)
	for _, k := range []struct {
		status  int
		header  string
		err     error
		code    codes.Code
		trailer string
	}{
		{status: 400, code: codes.InvalidArgument, trailer: "400"},
		{status: 401, code: codes.Unauthenticated, trailer: "401"},
		{status: 403, code: codes.PermissionDenied, trailer: "403"},
		{status: 404, code: codes.NotFound, trailer: "404"},
		{status: 404, header: "6", code: codes.AlreadyExists, trailer: "404"},
		{status: 404, header: "x", code: codes.NotFound, trailer: "404"},
		{status: 409, code: codes.Aborted, trailer: "409"},
		{status: 418, code: codes.FailedPrecondition, trailer: "418"},
		{status: 429, code: codes.ResourceExhausted, trailer: "429"},
		{status: 500, code: codes.Internal, trailer: "500"},
		{status: 501, code: codes.Unimplemented, trailer: "501"},
		{status: 503, code: codes.Unavailable, trailer: "503"},
		{status: 504, code: codes.DeadlineExceeded, trailer: "504"},
		{status: 99, code: codes.Internal, trailer: "500"},
		{status: 204, code: codes.OK},
		{err: event.ErrBusy, code: codes.Unavailable, trailer: "503"},
		{err: event.ErrStopping, code: codes.Unavailable, trailer: "503"},
		{err: event.ErrTimeout, code: codes.DeadlineExceeded, trailer: "408"},
		{err: event.ErrCrashed, code: codes.Internal, trailer: "502"},
		{err: event.ErrLater, code: codes.OK},
		{err: event.Errorf(403, "no"), code: codes.PermissionDenied, trailer: "403"},
		{err: errors.New("odd"), code: codes.Internal, trailer: "500"},
	} {
		answer, outcome = event.Response{Status: k.status, Body: []byte("why \xff")}, k.err
		if k.header != "" {
			answer.SetHeader("Grpc-Status", k.header)
		}
		var end metadata.MD
		_, err := c.call(ctx, nil, rpc.Trailer(&end))
		wantCode(t, err, k.code)
		if statusOf(end) != k.trailer {
			t.Errorf("%+v: the trailer says %q", k, statusOf(end))
		}
		if k.status >= 400 && !strings.Contains(err.Error(), "why \uFFFD") {
			t.Errorf("%+v: the message is %q", k, err)
		}
	}
}

// A stream's messages are answered in order, and one that fails does not end it.
func TestStream(t *testing.T) {
	t.Parallel()
	trg := newTrigger(t, "", `{"port":0}`)
	start(t, trg, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Body) == "3" {
			return event.Errorf(422, "not that one")
		}
		resp.Body = append(resp.Body, "got "+string(ev.Body)...)
		return nil
	})
	c := dial(t, trg, compiled(t, function(t)))
	st, err := c.conn.NewStream(within60(t), &rpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/myelin.v1.Function/Stream")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, body := range []string{"1", "2", "3", "4"} {
		if err := st.SendMsg(c.message("Request", map[string]any{"body": []byte(body)})); err != nil {
			t.Fatal(err)
		}
		out := c.message("Response", nil)
		if err := st.RecvMsg(out); err != nil {
			t.Fatal(err)
		}
		got = append(got, get(out, "status").String()+" "+string(get(out, "body").Bytes()))
	}
	if err := errors.Join(st.CloseSend()); err != nil {
		t.Fatal(err)
	}
	if err := st.RecvMsg(c.message("Response", nil)); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	if diff := cmp.Diff([]string{"200 got 1", "200 got 2", "422 not that one", "200 got 4"}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// The methods of the user's own service are events with the raw message.
func TestDescriptor(t *testing.T) {
	t.Parallel()
	fd := compiled(t, "testdata/shop.proto")
	dir, file := writeSet(t, fd)
	seen := make(chan *event.Event, 3)
	trg := newTrigger(t, dir, `{"port":0,"descriptor":"`+file+`","service":"shop.v1.Orders"}`)
	receipt := fd.Messages().ByName("Receipt")
	start(t, trg, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		seen <- ev.Clone()
		resp.SetHeader("X-Shelf", "9")
		resp.SetHeader("Content-Type", "left/out")
		b, err := proto.Marshal((&client{fd: fd}).message(string(receipt.Name()), map[string]any{"text": "thanks"}))
		resp.Body = append(resp.Body, b...)
		return err
	})
	c := dial(t, trg, fd)
	ctx := within60(t)
	var head metadata.MD
	text, err := c.place(ctx, "tea", rpc.Header(&head))
	if err != nil || text != "thanks" {
		t.Fatalf("%q, %v", text, err)
	}
	if got := head.Get("x-shelf"); len(got) != 1 || got[0] != "9" {
		t.Errorf("headers %v", head)
	}
	ev := <-seen
	order := c.message("Order", nil)
	if err := proto.Unmarshal(ev.Body, order); err != nil || get(order, "item").String() != "tea" {
		t.Errorf("body %q, %v", ev.Body, err)
	}
	if string(ev.Path) != "/shop.v1.Orders/Place" || string(ev.ContentType) != "application/protobuf" {
		t.Errorf("path %q, type %q", ev.Path, ev.ContentType)
	}
	st, err := c.conn.NewStream(ctx, &rpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/shop.v1.Orders/Chat")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out := c.message("Receipt", nil)
		if err := errors.Join(st.SendMsg(c.message("Order", nil)), st.RecvMsg(out)); err != nil || get(out, "text").String() != "thanks" {
			t.Errorf("%v, %v", out, err)
		}
	}
	one, err := c.conn.NewStream(ctx, &rpc.StreamDesc{ServerStreams: true}, "/shop.v1.Orders/Watch")
	if err != nil {
		t.Fatal(err)
	}
	_ = one.SendMsg(c.message("Order", nil)) // the status tells
	wantCode(t, one.RecvMsg(c.message("Receipt", nil)), codes.Unimplemented)
	wantCode(t, c.conn.Invoke(ctx, "/shop.v1.Stock/Count", c.message("Order", nil), c.message("Receipt", nil)), codes.Unimplemented)
}

// Clients find the services and their schema, and whether they are served.
func TestReflectionAndHealth(t *testing.T) {
	t.Parallel()
	trg := newTrigger(t, "", `{"port":0}`)
	start(t, trg, func(context.Context, *event.Event, *event.Response) error { return nil })
	conn := dial(t, trg, nil).conn
	ctx := within60(t)
	st, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r *reflectionpb.ServerReflectionRequest) *reflectionpb.ServerReflectionResponse {
		t.Helper()
		if err := st.Send(r); err != nil {
			t.Fatal(err)
		}
		out, err := st.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	names := map[string]bool{}
	for _, s := range ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}).GetListServicesResponse().GetService() {
		names[s.Name] = true
	}
	if !names["myelin.v1.Function"] || !names["grpc.health.v1.Health"] {
		t.Errorf("services %v", slices.Sorted(maps.Keys(names)))
	}
	for _, name := range []string{"myelin.v1.Function", "grpc.health.v1.Health"} {
		got := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}})
		if len(got.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
			t.Errorf("no descriptor of %s: %v", name, got)
		}
	}
	_ = st.CloseSend()
	for _, name := range []string{"", "myelin.v1.Function"} {
		out, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: name})
		if err != nil || out.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", name, out, err)
		}
	}
}
