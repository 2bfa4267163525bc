package s3

import (
	"errors"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/myelin-run/myelin/binding/data"
)

// reason says what an error means. A bucket that went is no object that is not
// there.
func reason(err error) error {
	if err == nil || data.ReasonOf(err) != 0 {
		return err
	}
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return data.Classify(err)
	}
	switch r.Code {
	case minio.NoSuchBucket, "SlowDown", "ServiceUnavailable", minio.InternalError, "RequestTimeout":
		return data.As(data.Away, err)
	case minio.EntityTooLarge:
		return data.As(data.TooLarge, err)
	}
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return data.As(data.Denied, err)
	case http.StatusNotFound:
		return data.As(data.NotFound, err)
	case http.StatusConflict, http.StatusPreconditionFailed:
		return data.As(data.Conflict, err)
	case http.StatusRequestEntityTooLarge:
		return data.As(data.TooLarge, err)
	case http.StatusNotImplemented:
		return data.As(data.Unsupported, err)
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return data.As(data.Away, err)
	}
	if r.StatusCode >= 500 {
		return data.As(data.Away, err)
	}
	return data.As(data.Misuse, err)
}

// outside says whether a range is behind the end of its object.
func outside(err error) bool {
	return minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable
}
