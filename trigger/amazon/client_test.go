package amazon

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

// clientOf is a client of a server that answers what it is told.
func clientOf(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	cfg := Defaults()
	cfg.Timeout = quantity.Duration(20 * time.Second)
	at, err := At(trigger.Settings{Spec: function.Trigger{URL: strings.Replace(s.URL, "//", "//AKID@", 1), Secret: "geheim"}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := at.Open(Service{"sqs", "AmazonSQS", "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// What a service answers with an error is known by its code, also if it is no
// service that answers.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		status       int
		header, body string
		code, says   string
		busy         bool
	}{
		"denied":     {400, "", `{"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "no"}`, "AccessDeniedException", "the key may not do this", false},
		"unknown":    {403, "", `{"__type": "UnrecognizedClientException", "message": "no"}`, "UnrecognizedClientException", "the key is not known", false},
		"secret":     {403, "", `{"__type": "SignatureDoesNotMatch"}`, "SignatureDoesNotMatch", "the secret is not that of the key", false},
		"expired":    {403, "", `{"__type": "ExpiredTokenException"}`, "ExpiredTokenException", "the credentials have expired", false},
		"queue":      {400, "", `{"__type": "com.amazonaws.sqs#QueueDoesNotExist"}`, "QueueDoesNotExist", "", false},
		"throughput": {400, "", `{"__type": "ProvisionedThroughputExceededException"}`, "ProvisionedThroughputExceededException", "", true},
		"throttled":  {400, "ThrottlingException:http://x", ``, "ThrottlingException", "", true},
		"proxy":      {502, "", "<html>\xff" + strings.Repeat("x", 1<<20), "Bad Gateway", "", true},
		"redirect":   {302, "", ``, "Found", "", false},
		"odd":        {400, "", `{"__type": 7}`, "Bad Request", "", false},
	} {
		c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", x.header)
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(x.status)
			_, _ = w.Write([]byte(x.body))
		})
		err := c.Call(context.Background(), "Do", 0, struct{}{}, nil)
		if !Is(err, x.code) || Busy(err) != x.busy || !strings.HasPrefix(Denied(err), x.says) || len(err.Error()) > 400 {
			t.Errorf("%s: %v, busy %t, denied %q", name, err, Busy(err), Denied(err))
		}
	}
}

// Calls are signed with the secret, which is not sent.
func TestCall(t *testing.T) {
	t.Parallel()
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		if a := r.Header.Get("Authorization"); !strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential=AKID/") || !strings.Contains(a, "/us-east-1/sqs/aws4_request") || strings.Contains(a, "geheim") {
			t.Errorf("authorization %q", a)
		}
		if r.Header.Get("X-Amz-Target") != "AmazonSQS.Do" || r.Header.Get("Content-Type") != "application/x-amz-json-1.0" || r.Header["X-Idempotency-Key"] != nil {
			t.Errorf("headers %v", r.Header)
		}
		_, _ = w.Write([]byte(`{"A": 1}`))
	})
	var out struct{ A int }
	if err := c.Call(context.Background(), "Do", 0, struct{}{}, &out); err != nil || out.A != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	var wrong struct{ A []string }
	if err := c.Call(context.Background(), "Do", 0, struct{}{}, &wrong); err == nil || !strings.Contains(err.Error(), "read answer") {
		t.Errorf("%v", err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Call(over, "Do", 0, struct{}{}, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Where a service is when nobody says so.
func TestOwnHosts(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	for region, want := range map[string]string{"": "https://sqs.eu-west-1.amazonaws.com", "us-gov-west-1": "https://sqs.us-gov-west-1.amazonaws.com", "cn-north-1": "https://sqs.cn-north-1.amazonaws.com.cn"} {
		cfg := Defaults()
		cfg.Region = region
		at, err := At(trigger.Settings{}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		c, err := at.Open(Service{"sqs", "AmazonSQS", "1.0"})
		if err != nil {
			t.Fatal(err)
		}
		if c.endpoint != want {
			t.Errorf("region %q: %s, want %s", region, c.endpoint, want)
		}
	}
}

// Without a key, who asks is what the environment says.
func TestIdentity(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	t.Setenv("AWS_SESSION_TOKEN", "tok")
	who, err := newIdentity("", "").get(context.Background())
	if err != nil || who.AccessKeyID != "AKENV" || who.SecretAccessKey != "s" || who.SessionToken != "tok" {
		t.Errorf("%q %q, %v", who.AccessKeyID, who.SessionToken, err)
	}
}
