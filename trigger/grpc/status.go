package grpc

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/myelin-run/myelin/event"
)

const (
	// statusTrailer has the HTTP status that a call's code was made of.
	statusTrailer = "myelin-status"
	// codeHeader is the header with which a function names the code itself.
	codeHeader = "grpc-status"
	// maxMessage bounds the text of a status: it goes in the trailers, whose
	// size clients limit.
	maxMessage = 4 << 10
)

// failure is an outcome that is not an answer.
type failure struct {
	status  int // as HTTP has it
	code    codes.Code
	message string
}

// failed turns an outcome into a failure.
func failed(err error) failure {
	var own *event.Error
	switch {
	case errors.Is(err, event.ErrStopping):
		return failure{http.StatusServiceUnavailable, codes.Unavailable, event.ErrStopping.Error()}
	case errors.Is(err, event.ErrBusy), errors.Is(err, event.ErrNotRun):
		return failure{http.StatusServiceUnavailable, codes.Unavailable, event.ErrBusy.Error()}
	case errors.Is(err, event.ErrTimeout):
		return failure{http.StatusRequestTimeout, codes.DeadlineExceeded, event.ErrTimeout.Error()}
	case errors.Is(err, event.ErrCrashed):
		return failure{http.StatusBadGateway, codes.Internal, event.ErrCrashed.Error()}
	case errors.As(err, &own):
		n := own.Status
		if n < 200 || n > 599 {
			n = http.StatusInternalServerError
		}
		return failure{n, codeOf(n), own.Message}
	case errors.Is(err, context.Canceled):
		return failure{499, codes.Canceled, "call was cancelled"}
	case errors.Is(err, context.DeadlineExceeded):
		return failure{http.StatusRequestTimeout, codes.DeadlineExceeded, "deadline of the call passed"}
	}
	return failure{http.StatusInternalServerError, codes.Internal, err.Error()}
}

// answered returns the failure that a function answered with, and false if it
// answered no failure.
func answered(resp *event.Response) (failure, bool) {
	n := resp.Status
	if n == 0 || n >= 200 && n < 400 {
		return failure{}, false
	}
	if n < 200 || n > 599 {
		return failure{http.StatusInternalServerError, codes.Internal,
			"function answered status " + strconv.Itoa(n) + ", which is not between 200 and 599"}, true
	}
	f := failure{n, codeOf(n), string(resp.Body)}
	for i := range resp.Header {
		if h := &resp.Header[i]; strings.EqualFold(h.Key, codeHeader) {
			if code, err := strconv.ParseUint(h.Value, 10, 32); err == nil && code > 0 && code <= uint64(codes.Unauthenticated) {
				f.code = codes.Code(code) //nolint:gosec // at most 16
			}
		}
	}
	return f, true
}

// err tells the caller.
func (f failure) err(ctx context.Context) error {
	_ = rpc.SetTrailer(ctx, metadata.Pairs(statusTrailer, strconv.Itoa(f.status))) // the code says it too
	text := f.message
	if len(text) > maxMessage {
		text = text[:maxMessage]
	}
	return status.Error(f.code, strings.ToValidUTF8(text, "\uFFFD"))
}

// codeOf is the code for a status of HTTP that is a failure.
func codeOf(n int) codes.Code {
	switch n {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return codes.InvalidArgument
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return codes.DeadlineExceeded
	case http.StatusConflict:
		return codes.Aborted
	case http.StatusPreconditionFailed:
		return codes.FailedPrecondition
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusRequestedRangeNotSatisfiable:
		return codes.OutOfRange
	case 499:
		return codes.Canceled
	case http.StatusNotImplemented:
		return codes.Unimplemented
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	switch {
	case n >= 500:
		return codes.Internal
	case n >= 400:
		return codes.FailedPrecondition
	}
	return codes.Unknown
}
