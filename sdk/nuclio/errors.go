package nuclio

import "net/http"

//go:generate go test -run TestStatusErrorsAreFresh -update

// WithStatusCode is implemented by errors that answer with an HTTP status.
type WithStatusCode interface{ StatusCode() int }

// ErrorWithStatusCode is an error that answers with an HTTP status.
type ErrorWithStatusCode struct {
	error
	statusCode int
}

// StatusCode returns the HTTP status.
func (e ErrorWithStatusCode) StatusCode() int { return e.statusCode }

// GetError returns the error inside, nil if there is none.
func (e ErrorWithStatusCode) GetError() error { return e.error }

// Error returns the message, or the status' own text.
func (e ErrorWithStatusCode) Error() string {
	if e.error == nil {
		return http.StatusText(e.statusCode)
	}
	return e.error.Error()
}

// Unwrap returns the error inside.
func (e ErrorWithStatusCode) Unwrap() error { return e.error }
