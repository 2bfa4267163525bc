package s3_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/object/s3"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := s3.Factory().New(binding.Settings{Name: "files", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func opened(t *testing.T, spec function.DataBinding) *data.Object {
	t.Helper()
	return data.NewObject(bindingtest.Opened(t, build(t, spec)).(data.ObjectStore), &data.Guard{Name: "files", Timeout: 60 * time.Second, Max: 32 << 20})
}

func admin(t *testing.T, addr string) *minio.Client {
	t.Helper()
	c, err := minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4("KEY", "secret", ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withBucket is a spec for a moto that has the bucket.
func withBucket(t *testing.T, s *servers.Server) function.DataBinding {
	t.Helper()
	if err := admin(t, s.Addr).MakeBucket(t.Context(), servers.S3Bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return at(s.Addr)
}

func at(addr string) function.DataBinding {
	return function.DataBinding{URL: "http://KEY@" + addr, Secret: "secret", Path: servers.S3Bucket}
}

func TestSuite(t *testing.T) {
	spec := at(pool.Gofakes3(t).Addr)
	bindingtest.Object(t, func(t *testing.T) binding.Binding { return build(t, spec) })
}

// Moto takes its time to start, and so one does for all that is asked of it.
func TestMoto(t *testing.T) {
	s := servers.Moto(t)
	spec := withBucket(t, s)
	t.Run("Suite", func(t *testing.T) {
		spec := spec
		spec.Path += "/below/here"
		bindingtest.Object(t, func(t *testing.T) binding.Binding { return build(t, spec) })
	})
	t.Run("Parts", func(t *testing.T) { parts(t, spec) })
	t.Run("WrongCredentials", func(t *testing.T) { wrongCredentials(t, s, spec) }) // from then on it asks for them
}

// parts: a large object goes in parts, and is there only if its condition holds.
func parts(t *testing.T, spec function.DataBinding) {
	spec.Attributes = []byte(`{"partSize": "5Mi"}`)
	o := opened(t, spec)
	content := bytes.Repeat([]byte("0123456789abcdef"), 11<<16) // 11 MiB
	first, err := o.Put(t.Context(), "large", content, data.PutObject{ContentType: "application/x-large", If: new(string)})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(first, "-3") {
		t.Errorf("the version %q is not that of three parts", first)
	}
	got, info, err := o.Get(t.Context(), "large")
	if err != nil || !bytes.Equal(got, content) || info.Version != first || info.ContentType != "application/x-large" {
		t.Fatalf("%d bytes, %+v, %v", len(got), info, err)
	}
	content[0]++
	if _, err := o.Put(t.Context(), "large", content, data.PutObject{If: new(string)}); !errors.Is(err, data.Conflict) {
		t.Errorf("over what is there: %v", err)
	}
	if got, _, err := o.GetRange(t.Context(), "large", data.Range{From: 0, To: 3}); err != nil || string(got) != "0123" {
		t.Errorf("after a write that was refused: %q, %v", got, err)
	}
	for range admin(t, strings.TrimPrefix(spec.URL, "http://KEY@")).ListIncompleteUploads(t.Context(), servers.S3Bucket, "", true) {
		t.Error("parts are left")
	}
}

// reply posts to moto and reads the answer.
func reply(t *testing.T, addr, path string, form url.Values, body string, into any) {
	t.Helper()
	kind, text := "text/plain", body
	if form != nil {
		kind, text = "application/x-www-form-urlencoded", form.Encode()
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+path, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if form != nil {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s, %v", path, resp.StatusCode, b, err)
	}
	if into != nil {
		if err := xml.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
}

// wrongCredentials: wrong keys are denied, and so is what a key is not for.
func wrongCredentials(t *testing.T, s *servers.Server, spec function.DataBinding) {
	ask := func(action string, more ...string) url.Values {
		v := url.Values{"Action": {action}, "Version": {"2010-05-08"}, "UserName": {"ann"}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	reply(t, s.Addr, "/", ask("CreateUser"), "", nil)
	reply(t, s.Addr, "/", ask("PutUserPolicy", "PolicyName", "read", "PolicyDocument",
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket", "s3:HeadBucket"], "Resource": "*"}]}`), "", nil)
	var key struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	reply(t, s.Addr, "/", ask("CreateAccessKey"), "", &key)
	if _, err := opened(t, spec).Put(t.Context(), "o", []byte("v"), data.PutObject{}); err != nil {
		t.Fatal(err)
	}
	reply(t, s.Addr, "/moto-api/reset-auth", nil, "0", nil)
	for name, c := range map[string]struct{ id, secret string }{
		"unknown key": {"KEY", "secret"}, "wrong secret": {key.ID, "rightful-not"},
	} {
		spec.URL, spec.Secret = "http://"+c.id+"@"+s.Addr, quantity.Secret(c.secret)
		b := build(t, spec)
		if err := b.Open(t.Context()); data.ReasonOf(err) != data.Denied || strings.Contains(err.Error(), "rightful") {
			t.Errorf("%s: %v", name, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	spec.URL, spec.Secret = "http://"+key.ID+"@"+s.Addr, quantity.Secret(key.Secret)
	o := opened(t, spec)
	if got, _, err := o.Get(t.Context(), "o"); err != nil || string(got) != "v" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := o.Put(t.Context(), "o", []byte("w"), data.PutObject{}); !errors.Is(err, data.Denied) || strings.Contains(err.Error(), key.Secret) {
		t.Errorf("put by a reader: %v", err)
	}
}

// A service that is slow costs a call its time, one that is gone is away, and one
// that is back serves again.
func TestServerLost(t *testing.T) {
	s := servers.Gofakes3(t)
	proxy, err := fault.Listen(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	patient := opened(t, at(proxy.Addr()))
	o := data.NewObject(bindingtest.Opened(t, build(t, at(proxy.Addr()))).(data.ObjectStore), &data.Guard{Name: "files", Timeout: 500 * time.Millisecond})
	content := bytes.Repeat([]byte("x"), 8<<20)
	if _, err := patient.Put(t.Context(), "o", content, data.PutObject{}); err != nil {
		t.Fatal(err)
	}
	proxy.Limit(64 << 10)
	if got, _, err := o.Get(t.Context(), "o"); !errors.Is(err, data.Timeout) || got != nil {
		t.Errorf("slow: %d bytes, %v", len(got), err)
	}
	if err := proxy.Cut(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Put(t.Context(), "o", nil, data.PutObject{}); !errors.Is(err, data.Away) && !errors.Is(err, data.Timeout) {
		t.Errorf("cut: %v", err)
	}
	if err := errors.Join(s.Kill(), s.Start(), proxy.Restore()); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, err := patient.Put(t.Context(), "o", content, data.PutObject{}) // the service has forgotten all
		if got, _, get := patient.Get(t.Context(), "o"); err == nil && get == nil && bytes.Equal(got, content) {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("back: %v", err)
		}
	}
}

// An answer that breaks off is no short object.
func TestBrokenOff(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
		w.Header().Set("ETag", `"v"`)
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write(make([]byte, 50)) // and the server closes the connection
		}
	}))
	defer s.Close()
	if got, _, err := opened(t, at(s.Listener.Addr().String())).Get(t.Context(), "o"); !errors.Is(err, data.Away) || got != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A service that writes whatever the condition says is found out before anything
// is lost.
func TestConditionsIgnored(t *testing.T) {
	s := pool.Gofakes3(t)
	target, err := url.Parse("http://" + s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	proxy := careless(t, target)
	o := opened(t, at(proxy))
	first, err := o.Put(t.Context(), "careless", []byte("1"), data.PutObject{})
	if err != nil {
		t.Fatal(err)
	}
	for _, condition := range []string{"", first, "other"} {
		if _, err := o.Put(t.Context(), "careless", []byte("2"), data.PutObject{If: &condition}); !errors.Is(err, data.Unsupported) {
			t.Errorf("on %q: %v", condition, err)
		}
	}
	if got, _, err := o.Get(t.Context(), "careless"); err != nil || string(got) != "1" {
		t.Errorf("%q, %v", got, err)
	}
	if infos, err := o.List(t.Context(), "myelin-try-", "", 0); err != nil || len(infos) != 0 {
		t.Errorf("what was tried is left: %+v, %v", infos, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		spec function.DataBinding
		want string
	}{
		{function.DataBinding{Path: "bucket"}, "url: "},
		{function.DataBinding{URL: "s3://bucket"}, "url: "},
		{function.DataBinding{URL: "http://K:s3cret@h:p", Path: "bucket"}, "url: "},
		{function.DataBinding{URL: "http://h/bucket", Path: "bucket"}, "url: "},
		{function.DataBinding{URL: "http://h"}, "path: "},
		{function.DataBinding{URL: "http://h", Path: "UPPER case"}, "path: "},
		{function.DataBinding{URL: "http://h", Path: "bucket/../other"}, "path: "},
		{function.DataBinding{URL: "http://h", Path: "bucket/" + strings.Repeat("p", 200)}, "path: "},
		{function.DataBinding{URL: "http://KEY@h", Path: "bucket"}, "secret: "},
		{function.DataBinding{URL: "http://h", Path: "bucket", Secret: "s3cret"}, "secret: "},
		{function.DataBinding{URL: "http://h", Path: "bucket", Attributes: []byte(`{"addressing": "dns"}`)}, "addressing: "},
		{function.DataBinding{URL: "http://h", Path: "bucket", Attributes: []byte(`{"partSize": "1Mi"}`)}, "partSize: "},
	} {
		_, err := s3.Factory().New(binding.Settings{Spec: c.spec}, c.spec.Attributes)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s, %q: %v", c.spec.URL, c.spec.Path, err)
		}
	}
	b := build(t, function.DataBinding{URL: "http://KEY@" + pool.Gofakes3(t).Addr, Secret: "s", Path: "no-such-bucket"})
	if err := b.Open(t.Context()); !errors.Is(err, data.NotFound) || !strings.Contains(err.Error(), "no-such-bucket") {
		t.Errorf("%v", err)
	}
}
