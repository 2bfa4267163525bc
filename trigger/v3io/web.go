package v3io

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger/secure"
)

// mostBytes bounds an answer: the platform's own bound is 10 MB of records, which
// base64 and JSON make about half as much again.
const mostBytes = 32 << 20

// web is the way to the platform's web API.
type web struct {
	base           *url.URL
	key            string // the session key; "": user and password
	user, password string
	tls            *secure.TLS
	conns          int
	timeout        time.Duration
}

// credentials takes what the spec has to show who asks.
func (w *web) credentials(es *document.Errors, spec function.Trigger) {
	w.user, w.password, w.key = spec.Username, spec.Password.Reveal(), spec.Secret.Reveal()
	switch {
	case w.key == "" && isKey(w.password):
		w.user, w.password, w.key = "", "", w.password // as in Nuclio: such a password is an access key, whoever has it
	case w.key == "" && w.user == "":
		w.key, w.password = w.password, ""
	}
	switch {
	case w.key == "" && w.password == "":
		es.Add("password", "is required: the access key; or username and password")
	case w.key == "$generate":
		es.Add("password", "is $generate, which has the platform make an access key: name one, such as by a Secret")
	case strings.ContainsAny(w.key, "\r\n\x00"):
		es.Add("password", "is no access key: it has a line break")
	}
}

// isKey says whether s is a UUID, as access keys are.
func isKey(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
}

// open makes a client, which connects when it is used. The files of TLS are read.
func (w *web) open() (*http.Client, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: w.conns, MaxIdleConnsPerHost: w.conns, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10}
	if w.base.Scheme == "https" {
		files := secure.TLS{}
		if w.tls != nil {
			files = *w.tls
		}
		var err error
		if t.TLSClientConfig, err = files.For(w.base.Hostname()); err != nil {
			return nil, err
		}
	}
	// The session key goes where the url says, and nowhere else.
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// refusal is an answer that is none.
type refusal struct {
	status int
	code   json.Number
	says   string
	after  string // Retry-After
}

func (r *refusal) Error() string {
	switch {
	case r.says == "":
		return fmt.Sprintf("the platform answers %d %s", r.status, http.StatusText(r.status))
	case r.code == "":
		return fmt.Sprintf("the platform answers %d: %s", r.status, r.says)
	}
	return fmt.Sprintf("the platform answers %d: %s (code %s)", r.status, r.says, r.code)
}

// Kinds of refusals.
var (
	errDenied    = errors.New("the access key or password is refused, or may not do this")
	errAbsent    = errors.New("it is not there")
	errThrottled = errors.New("the platform wants fewer requests")
	errLocation  = errors.New("the location is not valid any more")
)

// Is says of what kind a refusal is, by its word first, as a status may have
// several.
func (r *refusal) Is(kind error) bool {
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(strings.ToLower(r.says), w) {
				return true
			}
		}
		return false
	}
	var is error
	switch {
	case says("illegallocation", "expiredlocation", "expirediterator"):
		is = errLocation
	case says("throughputexceeded", "throttl", "too many requests", "slow down") || r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable:
		is = errThrottled
	case says("resourcenotfound", "shardidrange") || r.status == http.StatusNotFound:
		is = errAbsent
	case says("permission denied") || r.status == http.StatusUnauthorized || r.status == http.StatusForbidden:
		is = errDenied
	}
	return is == kind
}

// call asks for a function on a resource of the container.
func (w *web) call(ctx context.Context, c *http.Client, name, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	at := *w.base
	at.Path = "/" + path
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-v3io-function", name)
	if w.key != "" {
		req.Header.Set("X-v3io-session-key", w.key)
	} else {
		req.SetBasicAuth(w.user, w.password)
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", name, plain(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if err := read(resp, out); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// plain is an error of a client without the method and address that it puts
// before.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// read takes the answer of a response, or why it is none.
func read(resp *http.Response, out any) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, mostBytes+1))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return refused(resp, b)
	case err != nil:
		return fmt.Errorf("read answer: %w", err)
	case len(b) > mostBytes:
		return fmt.Errorf("the answer has more than %d bytes", mostBytes)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the answer is not what was expected: %w", err)
	}
	return nil
}

// mostWords of what a refusal says are told.
const mostWords = 300

func refused(resp *http.Response, b []byte) error {
	r := &refusal{status: resp.StatusCode, after: resp.Header.Get("Retry-After")}
	var said struct {
		ErrorCode    json.Number
		ErrorMessage string
	}
	if json.Unmarshal(b, &said) == nil {
		r.code, r.says = said.ErrorCode, said.ErrorMessage
	}
	r.says = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, r.says)
	if len(r.says) > mostWords {
		r.says = strings.ToValidUTF8(r.says[:mostWords], "") + "..."
	}
	return r
}
