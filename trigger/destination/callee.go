package destination

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// callee is a function that takes letters.
type callee struct {
	caller  runtime.Caller
	name    string
	timeout time.Duration
}

// Send implements [trigger.Destination]. The function has taken the letter if
// it answers with a status below 400.
func (f *callee) Send(ctx context.Context, l *letter.Letter) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	r := l.Record()
	c := &runtime.Call{Kind: runtime.CallFunction, Name: f.name, Method: http.MethodPost, Path: "/", ContentType: contentType(&r), Headers: headers(&r), Body: r.Body}
	var answer event.Response
	defer answer.Reset()
	if err := f.caller.Do(ctx, c, &answer); err != nil {
		var e *event.Error
		if errors.As(err, &e) && e.Status == http.StatusBadRequest { // of the request itself
			return event.Permanent(fmt.Errorf("send letter: %w", err))
		}
		return fmt.Errorf("send letter: %w", err) // it may be there later, also where it is not known now
	}
	status := max(answer.Status, http.StatusOK)
	if status < http.StatusBadRequest {
		return nil
	}
	err := fmt.Errorf("function %s answered with status %d: %.200q", f.name, status, answer.Body)
	switch {
	case hopeless(status):
		return event.Permanent(err)
	case status == http.StatusInternalServerError: // its own failure
		return fmt.Errorf("%w: %w", trigger.ErrRefused, err)
	}
	return err
}

// hopeless reports whether the same letter would be refused again.
func hopeless(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}
