package nats

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/binding/data"
)

// meanings are what single errors mean; the first that fits decides.
var meanings = []struct {
	err    error
	reason data.Reason
}{
	{jetstream.ErrKeyNotFound, data.NotFound},
	{jetstream.ErrKeyExists, data.Conflict},
	{jetstream.ErrKeyRevisionMismatch, data.Conflict},
	{jetstream.ErrStreamMessageExceedsMaximum, data.TooLarge},
	{jetstream.ErrMaxBytesExceeded, data.TooLarge},
	{nats.ErrMaxPayload, data.TooLarge},
	{jetstream.ErrBadBucket, data.Misuse},
	{jetstream.ErrLimitMarkerTTLNotSupported, data.Unsupported},
	{nats.ErrAuthorization, data.Denied},
	{nats.ErrAuthExpired, data.Denied},
	{nats.ErrAuthRevoked, data.Denied},
	{nats.ErrPermissionViolation, data.Denied},
	{nats.ErrTimeout, data.Timeout},
	{jetstream.ErrBucketNotFound, data.Away}, // it went after it was opened
	{jetstream.ErrStreamNotFound, data.Away},
	{jetstream.ErrJetStreamNotEnabled, data.Away}, // nobody answers for JetStream
	{jetstream.ErrNoStreamResponse, data.Away},
	{jetstream.ErrConnectionClosed, data.Away},
	{nats.ErrNoResponders, data.Away},
	{nats.ErrNoServers, data.Away},
	{nats.ErrConnectionClosed, data.Away},
	{nats.ErrConnectionReconnecting, data.Away},
	{nats.ErrReconnectBufExceeded, data.Away},
	{nats.ErrDisconnected, data.Away},
	{nats.ErrBadSubscription, data.Away}, // the connection was closed meanwhile
}

// Codes of the server that the client has no errors for.
const (
	storeFull   = 10077
	ttlDisabled = 10166
)

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
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch {
	case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence, api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return data.As(data.Conflict, err)
	case api.ErrorCode == ttlDisabled:
		return data.Errorf(data.Unsupported, "the bucket was made without times of keys (limit markers): %w", err)
	case api.ErrorCode == storeFull, api.Code >= 500:
		return data.As(data.Away, err)
	case api.Code == 401 || api.Code == 403:
		return data.As(data.Denied, err)
	}
	return data.As(data.Misuse, err)
}
