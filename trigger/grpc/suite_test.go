package grpc

import (
	"context"
	"strconv"
	"testing"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

func TestSuite(t *testing.T) {
	fd := compiled(t, "../../docs/triggers/function.proto")
	triggertest.Run(t, triggertest.Fixture{
		Class: trigger.Sync,
		New: func(t testing.TB) (trigger.Trigger, triggertest.Source) {
			trg := newTrigger(t, "", `{"port":0,"drainLinger":"3s"}`)
			s := &source{trg: trg, fd: fd, t: t}
			t.Cleanup(func() {
				if s.client != nil {
					_ = s.client.conn.Close()
				}
			})
			return trg, s
		},
	})
}

// source is a caller.
type source struct {
	trg    *Trigger
	fd     protoreflect.FileDescriptor
	t      testing.TB
	client *client
}

func (s *source) Emit(t testing.TB, body string) <-chan triggertest.Outcome {
	if s.client == nil {
		s.client = dial(s.t, s.trg, s.fd)
	}
	out := make(chan triggertest.Outcome, 1)
	go func() {
		var end metadata.MD
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		resp, err := s.client.call(ctx, map[string]any{"body": []byte(body), "path": "/path?q=1"}, rpc.Trailer(&end))
		code, _ := strconv.Atoi(statusOf(end))
		switch {
		case err == nil:
			out <- triggertest.Outcome{Status: int(get(resp, "status").Int()), Body: string(get(resp, "body").Bytes())}
		case status.Code(err) == codes.Unavailable && (code == 0 || code == 503):
			out <- triggertest.Outcome{Verdict: triggertest.Refused, Status: code}
		default:
			out <- triggertest.Outcome{Status: code, Body: status.Convert(err).Message()}
		}
	}()
	return out
}
