package destination

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// maxDrain is the most that is read of an answer, so that its connection can be
// used again.
const maxDrain = 64 << 10

// server is an HTTP server that takes letters. Its URL may have secrets, in any
// part but scheme and host: no error says more of it.
type server struct {
	url    *url.URL
	shown  string
	client *http.Client
}

func newServer(text string, timeout time.Duration) (*server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("url: is not of the form https://host/path")
	}
	s := &server{url: u, shown: u.Scheme + "://" + u.Host}
	s.client = &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: timeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

// Send implements [trigger.Destination]. The server has taken the letter if it
// answers with a status of 2xx.
func (s *server) Send(ctx context.Context, l *letter.Letter) error {
	r := l.Record()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(r.Body))
	if err != nil {
		return event.Permanent(fmt.Errorf("post letter to %s: %w", s.shown, bare(err)))
	}
	for _, h := range headers(&r) {
		req.Header.Add(h.Key, h.Value)
	}
	if t := contentType(&r); t != "" {
		req.Header.Set("Content-Type", t)
	}
	if u := s.url.User; u != nil { // before what the event may have
		password, _ := u.Password()
		req.SetBasicAuth(u.Username(), password)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("post letter to %s: %w", s.shown, bare(err))
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	_ = resp.Body.Close()
	return s.verdict(resp.StatusCode)
}

func (s *server) verdict(status int) error {
	err := fmt.Errorf("post letter to %s: answered with status %d", s.shown, status)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 400:
		return fmt.Errorf("%w, and redirects are not followed", err)
	case hopeless(status):
		return event.Permanent(err)
	}
	return err
}

// bare takes the URL out of an error.
func bare(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
