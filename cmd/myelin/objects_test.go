package main

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/object/s3"
	"github.com/myelin-run/myelin/cli/over"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
)

// The objects of a bucket are the items of a job, found with what everybody has
// in their environment.
func TestJobOverABucket(t *testing.T) {
	s := servers.Gofakes3(t)
	b, err := s3.Factory().New(binding.Settings{Name: "in", Spec: function.DataBinding{URL: "http://KEY@" + s.Addr, Secret: "secret", Path: servers.S3Bucket}, Log: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	o := data.NewObject(b.(data.ObjectStore), &data.Guard{Name: "in", Timeout: time.Minute, Max: 1 << 20})
	for _, name := range []string{"in/b", "in/a c", "other", "in/d/e"} {
		if _, err := o.Put(t.Context(), name, []byte("x"), data.PutObject{}); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": "http://" + s.Addr}
	stores := over.Stores{Kinds: objects, Getenv: func(name string) string { return env[name] }}
	set, err := over.Open(t.Context(), "s3://"+servers.S3Bucket+"/in/", nil, stores)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	var got []string
	for {
		item, err := set.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, item)
	}
	if want := []string{"in/a c", "in/b", "in/d/e"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := over.Open(t.Context(), "s3://no-such-bucket/", nil, stores); err == nil {
		t.Error("a bucket that is not there was opened")
	}
}
