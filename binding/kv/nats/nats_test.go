package nats_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/kv/nats"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := nats.Factory().New(binding.Settings{Name: "state", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func opened(t *testing.T, addr, bucket string) *data.KV {
	t.Helper()
	b := bindingtest.Opened(t, build(t, function.DataBinding{URL: "nats://" + addr, Path: bucket}))
	return data.NewKV(b.(data.KeyStore), &data.Guard{Name: "state", Timeout: 20 * time.Second})
}

func TestSuite(t *testing.T) {
	s := pool.NATS(t)
	bindingtest.KV(t, func(t *testing.T) binding.Binding {
		return build(t, function.DataBinding{URL: "nats://" + s.Addr, Path: "suite"})
	})
}

// Other clients find common keys under their own names; a bucket that was made
// without times refuses them, and has all else.
func TestOtherClients(t *testing.T) {
	s := pool.NATS(t)
	nc, err := client.Connect("nats://" + s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "plain"})
	if err != nil {
		t.Fatal(err)
	}
	kv := opened(t, s.Addr, "plain")
	if _, err := kv.Put(t.Context(), "users.ann/visits-1", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if e, err := bucket.Get(t.Context(), "users.ann/visits-1"); err != nil || string(e.Value()) != "v" {
		t.Errorf("the other client finds %v, %v", e, err)
	}
	if _, err := bucket.PutString(t.Context(), "odd=zz", "no key of ours"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{".", "..", "a.", ".a", "a..b", "a.b", "=", "a=2Eb", "$KV.>", "*", " "} {
		if _, err := kv.Put(t.Context(), key, []byte(key)); err != nil {
			t.Errorf("put %q: %v", key, err)
		}
		if v, err := kv.Get(t.Context(), key); err != nil || string(v.Data) != key {
			t.Errorf("get %q: %q, %v", key, v.Data, err)
		}
	}
	if keys, err := kv.Scan(t.Context(), "", "", 0); err != nil || len(keys) != 12 {
		t.Errorf("%q, %v", keys, err)
	}
	if err := errors.Join(kv.Delete(t.Context(), "a.b"), kv.Delete(t.Context(), "a.b", data.IfAbsent())); err != nil {
		t.Error(err)
	}
	if _, err := kv.Put(t.Context(), "k", nil, data.TTL(time.Minute)); !errors.Is(err, data.Unsupported) {
		t.Errorf("a time: %v", err)
	}
	if _, err := kv.Put(t.Context(), "big", make([]byte, 2<<20)); !errors.Is(err, data.TooLarge) {
		t.Errorf("above the server's limit: %v", err)
	}
}

func TestTimeStays(t *testing.T) {
	kv := opened(t, pool.NATS(t).Addr, "times")
	if _, err := kv.Put(t.Context(), "n", []byte("1"), data.TTL(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := kv.Add(t.Context(), "n", 1); err != nil || n != 2 && n != 1 { // 1: it ended before
		t.Fatalf("%d, %v", n, err)
	}
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := kv.Get(t.Context(), "n")
		if errors.Is(err, data.NotFound) {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("adding to it took its time from the key: %v", err)
		}
	}
}

func TestWrongCredentials(t *testing.T) {
	token := servers.NATS(t, servers.Login("", "rightful"))
	user := servers.NATS(t, servers.Login("ann", "rightful"))
	for _, c := range []struct {
		url, secret string
		want        data.Reason
	}{
		{"nats://" + token.Addr, "", data.Denied}, {"nats://" + token.Addr, "wrong", data.Denied}, {"nats://" + token.Addr, "rightful", 0},
		{"nats://ann@" + user.Addr, "wrong", data.Denied}, {"nats://ann@" + user.Addr, "rightful", 0},
	} {
		b := build(t, function.DataBinding{URL: c.url, Path: "b", Secret: quantity.Secret(c.secret)})
		if err := b.Open(t.Context()); data.ReasonOf(err) != c.want || err != nil && strings.Contains(err.Error(), "rightful") {
			t.Errorf("%s with %q: %v", c.url, c.secret, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What the server forbids is denied as soon as the call's time is over.
func TestForbidden(t *testing.T) {
	s := servers.NATS(t, servers.Login("ann", "secret"), servers.Forbid("$KV.b.>"))
	b := bindingtest.Opened(t, build(t, function.DataBinding{URL: "nats://ann@" + s.Addr, Path: "b", Secret: "secret"}))
	kv := data.NewKV(b.(data.KeyStore), &data.Guard{Name: "state", Timeout: 3 * time.Second})
	if _, err := kv.Put(t.Context(), "k", []byte("v")); !errors.Is(err, data.Denied) {
		t.Errorf("put: %v", err)
	}
	if _, err := kv.Get(t.Context(), "k"); !errors.Is(err, data.NotFound) {
		t.Errorf("get: %v", err)
	}
}

func TestServerLost(t *testing.T) {
	s := servers.NATS(t)
	bindingtest.KVLost(t, s, build(t, function.DataBinding{URL: "nats://" + s.Addr, Path: "b"}))
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		spec function.DataBinding
		want string
	}{
		{function.DataBinding{Path: "b"}, "url: "},
		{function.DataBinding{URL: "http://x", Path: "b"}, "url: "},
		{function.DataBinding{URL: "nats://me:s3cret@h:p", Path: "b"}, "url: "},
		{function.DataBinding{URL: "nats://h/x", Path: "b"}, "url: "},
		{function.DataBinding{URL: "nats://h"}, "path: "},
		{function.DataBinding{URL: "nats://h", Path: "../b"}, "path: "},
		{function.DataBinding{URL: "nats://h", Path: "b", Attributes: []byte(`{"replicas": 9}`)}, "replicas: "},
		{function.DataBinding{URL: "nats://h", Path: "b", Secret: "s", Attributes: []byte(`{"credentialsFile": "f"}`)}, "secret: "},
	} {
		_, err := nats.Factory().New(binding.Settings{Spec: c.spec}, c.spec.Attributes)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s, %q: %v", c.spec.URL, c.spec.Path, err)
		}
	}
}
