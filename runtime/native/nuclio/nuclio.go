// Package nuclio runs Go functions written for Nuclio's SDK on the native
// runtime. Programs import it only if their function needs it.
package nuclio

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/sdk/nuclio"
)

// Handler is the form of a function for Nuclio.
type Handler = func(*nuclio.Context, nuclio.Event) (interface{}, error)

// Of takes a handler and its init hook, nil if there is none.
func Of(handler Handler, initContext func(*nuclio.Context) error) native.Function {
	return native.Function{New: func(own *myelin.Context) (native.Call, error) {
		ctx := &nuclio.Context{
			Logger:       &logger{to: own.Logger},
			DataBinding:  map[string]nuclio.DataBinding{},
			Platform:     platform(own),
			WorkerID:     own.WorkerID,
			FunctionName: own.FunctionName,
			TriggerKind:  own.TriggerKind,
			TriggerName:  own.TriggerName,
		}
		for _, name := range own.Bindings.Names() {
			ctx.DataBinding[name] = own.Bindings.Any(name)
		}
		ctx.FunctionVersion, _ = strconv.Atoi(own.FunctionVersion) // -1 and 0 are Nuclio's "latest"
		if initContext != nil {
			if err := initContext(ctx); err != nil {
				return nil, err
			}
		}
		face := new(lent) // one per worker, as a worker has one event at a time
		return func(_ *myelin.Context, ev *event.Event, resp *event.Response) error {
			face.set(ev)
			v, err := handler(ctx, face)
			if err != nil {
				return failure(err)
			}
			return answer(resp, v)
		}, nil
	}}
}

// failure keeps the status that an error of Nuclio's SDK names.
func failure(err error) error {
	var with nuclio.WithStatusCode
	if errors.As(err, &with) {
		return event.Errorf(with.StatusCode(), "%s", err)
	}
	return err
}

func answer(resp *event.Response, v any) error {
	switch v := v.(type) {
	case nuclio.Response:
		return result(resp, &v)
	case *nuclio.Response:
		if v == nil {
			return nil
		}
		return result(resp, v)
	case nuclio.ProcessingResult:
		return result(resp, v)
	}
	return native.Answer(resp, v)
}

func result(resp *event.Response, r nuclio.ProcessingResult) error {
	resp.Status = r.GetStatusCode()
	if resp.Status == 0 {
		resp.Status = http.StatusOK
	}
	resp.ContentType = r.GetContentType()
	for k, v := range r.GetHeaders() {
		switch v := v.(type) {
		case string:
			resp.SetHeader(k, v)
		case int:
			resp.SetHeader(k, strconv.Itoa(v))
		case []byte:
			resp.SetHeader(k, string(v))
		default:
			return event.Permanent(fmt.Errorf("response header %q: a %T is neither a string nor an int", k, v))
		}
	}
	switch b := r.GetBody().(type) {
	case []byte:
		resp.Body = append(resp.Body, b...)
	case io.ReadCloser:
		resp.Stream = b
	case io.Reader:
		resp.Stream = io.NopCloser(b)
	}
	return nil
}
