package etcd

import (
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/myelin-run/myelin/binding/data"
)

// meanings are what single errors mean, other than their codes say.
var meanings = []struct {
	err    error
	reason data.Reason
}{
	{rpctypes.ErrAuthFailed, data.Denied},
	{rpctypes.ErrUserEmpty, data.Denied},
	{rpctypes.ErrUserNotFound, data.Denied},
	{rpctypes.ErrInvalidAuthToken, data.Denied},
	{rpctypes.ErrPermissionDenied, data.Denied},
	{rpctypes.ErrRequestTooLarge, data.TooLarge},
	{rpctypes.ErrNoSpace, data.Away},
	{rpctypes.ErrTooManyRequests, data.Away},
	{rpctypes.ErrTimeout, data.Timeout},
	{rpctypes.ErrTimeoutDueToLeaderFail, data.Timeout},
	{rpctypes.ErrTimeoutDueToConnectionLost, data.Timeout},
}

// reasons are what codes mean.
var reasons = map[codes.Code]data.Reason{
	codes.Canceled: data.Timeout, codes.DeadlineExceeded: data.Timeout,
	codes.PermissionDenied: data.Denied, codes.Unauthenticated: data.Denied,
	codes.ResourceExhausted: data.TooLarge, // what this side refuses to send
	codes.Unavailable:       data.Away, codes.Internal: data.Away, codes.Aborted: data.Away, codes.DataLoss: data.Away,
	codes.InvalidArgument: data.Misuse, codes.FailedPrecondition: data.Misuse, codes.OutOfRange: data.Misuse, codes.NotFound: data.Misuse,
	codes.Unimplemented: data.Unsupported,
}

// reason says what an error means.
func reason(err error) error {
	if err == nil || data.ReasonOf(err) != 0 {
		return err
	}
	for _, m := range meanings {
		if errors.Is(err, m.err) {
			return data.As(m.reason, err)
		}
	}
	code := status.Code(err)
	if known := (rpctypes.EtcdError{}); errors.As(err, &known) {
		code = known.Code()
	}
	if r, ok := reasons[code]; ok {
		return data.As(r, err)
	}
	return data.Classify(err)
}
