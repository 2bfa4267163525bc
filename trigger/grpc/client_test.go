package grpc

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/myelin-run/myelin/trigger"
)

const patience = time.Minute

// newTrigger makes a trigger as a host does.
func newTrigger(t testing.TB, dir, attributes string) *Trigger {
	t.Helper()
	trg, err := Factory().New(trigger.Settings{Name: "calls", Function: "f", Dir: dir}, json.RawMessage(attributes))
	if err != nil {
		t.Fatal(err)
	}
	return trg.(*Trigger)
}

// start runs a trigger until the test ends.
func start(t *testing.T, trg *Trigger, h trigger.HandlerFunc) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- trg.Run(ctx, h) }()
	stopped := false
	stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			t.Error("Run did not return")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-trg.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run: %v", err)
	case <-time.After(patience):
		t.Fatal("it did not become ready")
	}
	return stop
}

// compiled are the descriptors of a file of the protocol's language.
func compiled(t testing.TB, file string) protoreflect.FileDescriptor {
	t.Helper()
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{filepath.Dir(file)}})}
	fds, err := c.Compile(context.Background(), filepath.Base(file))
	if err != nil {
		t.Fatal(err)
	}
	return fds[0]
}

// writeSet writes a file of descriptors as protoc does.
func writeSet(t testing.TB, fd protoreflect.FileDescriptor) (dir, file string) {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{}
	for i := range fd.Imports().Len() {
		set.File = append(set.File, protoutil.ProtoFromFileDescriptor(fd.Imports().Get(i)))
	}
	set.File = append(set.File, protoutil.ProtoFromFileDescriptor(fd))
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	dir, file = t.TempDir(), "set.binpb"
	if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// client calls a service with messages of its schema.
type client struct {
	conn *rpc.ClientConn
	fd   protoreflect.FileDescriptor
}

func dial(t testing.TB, trg *Trigger, fd protoreflect.FileDescriptor, o ...rpc.DialOption) *client {
	t.Helper()
	conn, err := rpc.NewClient("passthrough:///"+trg.Addr().String(), append(o, rpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{conn, fd}
}

// message makes a message of a type, from JSON-like pairs.
func (c *client) message(name string, fields map[string]any) *dynamicpb.Message {
	m := dynamicpb.NewMessage(c.fd.Messages().ByName(protoreflect.Name(name)))
	for k, v := range fields {
		f := m.Descriptor().Fields().ByName(protoreflect.Name(k))
		if pairs, ok := v.(map[string]string); ok {
			for key, value := range pairs {
				m.Mutable(f).Map().Set(protoreflect.ValueOfString(key).MapKey(), protoreflect.ValueOfString(value))
			}
			continue
		}
		m.Set(f, protoreflect.ValueOf(v))
	}
	return m
}

// get reads a field.
func get(m *dynamicpb.Message, name string) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(name)))
}

// call calls myelin.v1.Function.
func (c *client) call(ctx context.Context, fields map[string]any, o ...rpc.CallOption) (*dynamicpb.Message, error) {
	out := c.message("Response", nil)
	err := c.conn.Invoke(ctx, "/myelin.v1.Function/Call", c.message("Request", fields), out, o...)
	return out, err
}

// place calls shop.v1.Orders.
func (c *client) place(ctx context.Context, item string, o ...rpc.CallOption) (string, error) {
	out := c.message("Receipt", nil)
	err := c.conn.Invoke(ctx, "/shop.v1.Orders/Place", c.message("Order", map[string]any{"item": item}), out, o...)
	return get(out, "text").String(), err
}

// protoKey is a key of a map of strings.
func protoKey(s string) protoreflect.MapKey { return protoreflect.ValueOfString(s).MapKey() }

func within60(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("the call ended with %v (%v), want %v", got, err, want)
	}
}

// statusOf is the status that trailers say; 0 if none.
func statusOf(md metadata.MD) string {
	if v := md.Get(statusTrailer); len(v) > 0 {
		return v[0]
	}
	return ""
}
