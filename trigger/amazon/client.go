// Package amazon is how triggers call the services of Amazon, and those that
// speak like them: where a service is, who asks, how a call is signed, and what an
// answer says. The protocol is the one that all of them share: a POST of JSON,
// with the action in a header. It knows no service's actions, and no engine.
package amazon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Service is a service and how it is spoken to.
type Service struct {
	Name   string // in host names and signatures: "sqs"
	Target string // what its actions begin with: "AmazonSQS"
	JSON   string // the version of the protocol: "1.0"
}

// Client calls one service. Many goroutines may use it.
type Client struct {
	service  Service
	region   string
	endpoint string
	timeout  time.Duration
	identity identity
	signer   *v4.Signer
	http     *http.Client
	streams  *http.Client // with HTTP/2, if the service has it
}

// mostAnswer bounds what is read of an answer.
const mostAnswer = 64 << 20

// Call does an action. Most is how long the service may let the answer wait by
// itself; the timeout comes on top. out is filled from the answer; nil: there is
// nothing to know. An answer that is an error is an [*Error].
func (c *Client) Call(ctx context.Context, action string, most time.Duration, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, most+c.timeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	req, err := c.request(ctx, action, body)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return fmt.Errorf("%s: read answer: %w", action, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", action, explain(resp, text))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s: read answer: %w", action, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, action string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-"+c.service.JSON)
	req.Header.Set("X-Amz-Target", c.service.Target+"."+action)
	who, err := c.identity.get(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), c.service.Name, c.region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	// A connection that the service has closed meanwhile is not an error: the key is
	// not sent, and lets the request go over another.
	req.Header["X-Idempotency-Key"] = nil
	return req, nil
}

// Close ends the connections that nobody uses.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.streams.CloseIdleConnections()
}

// Error is an error that the service answers with.
type Error struct {
	Status  int
	Code    string // such as AccessDeniedException
	Message string
}

func (e *Error) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%s (%d): %s", e.Code, e.Status, e.Message), ": ")
}

// explain reads an error. What is no answer of the service, such as a proxy's, is
// one as well.
func explain(resp *http.Response, text []byte) error {
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
		Upper   string `json:"Message"`
	}
	e := &Error{Status: resp.StatusCode}
	if json.Unmarshal(text, &said) == nil {
		e.Code, e.Message = said.Type, said.Message
		if e.Message == "" {
			e.Message = said.Upper
		}
	}
	if e.Code == "" {
		e.Code, _, _ = strings.Cut(resp.Header.Get("X-Amzn-Errortype"), ":")
	}
	if e.Code == "" {
		e.Code = http.StatusText(resp.StatusCode)
		e.Message = strings.ToValidUTF8(string(text[:min(len(text), 200)]), "?")
	}
	if i := strings.LastIndexByte(e.Code, '#'); i >= 0 {
		e.Code = e.Code[i+1:]
	}
	e.Code = strings.TrimPrefix(e.Code, "AWS.SimpleQueueService.")
	return e
}

// Is reports whether err is an answer with one of the codes.
func Is(err error, codes ...string) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code == code {
			return true
		}
	}
	return false
}

// Busy reports whether err asks to come back later: the service limits how much is
// asked of it, or is in trouble.
func Busy(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || strings.Contains(e.Code, "Throttl") || strings.HasSuffix(e.Code, "LimitExceeded") ||
		strings.HasPrefix(e.Code, "ProvisionedThroughputExceeded") || e.Code == "LimitExceededException"
}

// Denied says what is to be done about a refusal of the caller; "" if err is none.
func Denied(err error) string {
	switch {
	case Is(err, "AccessDenied", "AccessDeniedException"):
		return "the key may not do this"
	case Is(err, "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"):
		return "the key is not known"
	case Is(err, "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"):
		return "the secret is not that of the key, or the clock is wrong"
	case Is(err, "ExpiredTokenException", "ExpiredToken", "RequestExpired"):
		return "the credentials have expired"
	}
	return ""
}
