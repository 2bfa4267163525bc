package etcd_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/kv/etcd"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := etcd.Factory().New(binding.Settings{Name: "state", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSuite(t *testing.T) {
	s := pool.Etcd(t)
	for _, prefix := range []string{"", "suite/"} {
		bindingtest.KV(t, func(t *testing.T) binding.Binding {
			return build(t, function.DataBinding{URL: "http://" + s.Addr, Path: prefix})
		})
	}
}

// A key that is added to keeps its time, and one of the server's limits is told as
// such.
func TestPeculiarities(t *testing.T) {
	s := pool.Etcd(t)
	b := bindingtest.Opened(t, build(t, function.DataBinding{URL: "http://" + s.Addr, Path: "own/"}))
	kv := data.NewKV(b.(data.KeyStore), &data.Guard{Name: "state", Timeout: 20 * time.Second})
	if _, err := kv.Put(t.Context(), "n", []byte("1"), data.TTL(time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := kv.Add(t.Context(), "n", 1); err != nil || n != 2 && n != 1 { // 1: it ended before
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := kv.Add(t.Context(), "timed", 1, data.TTL(time.Second)); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := kv.Put(t.Context(), "big", make([]byte, 2<<20)); !errors.Is(err, data.TooLarge) {
		t.Errorf("above the server's limit: %v", err)
	}
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		keys, err := kv.Scan(t.Context(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%q do not end", keys)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	s := servers.Etcd(t)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Addr}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []func() error{
		func() error { _, err := c.UserAdd(t.Context(), "root", "rightful"); return err },
		func() error { _, err := c.RoleAdd(t.Context(), "root"); return err },
		func() error { _, err := c.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := c.UserAdd(t.Context(), "ann", "own"); return err },
		func() error { _, err := c.RoleAdd(t.Context(), "some"); return err },
		func() error {
			_, err := c.RoleGrantPermission(t.Context(), "some", "a/", "a0", clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := c.UserGrantRole(t.Context(), "ann", "some"); return err },
		func() error { _, err := c.AuthEnable(t.Context()); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	for _, try := range []struct {
		user, password, path string
		want                 data.Reason
	}{
		{"", "", "", data.Denied}, {"root@", "wrong", "", data.Denied}, {"nobody@", "rightful", "", data.Denied}, {"root@", "rightful", "", 0},
		{"ann@", "own", "b/", data.Denied}, {"ann@", "own", "a/", 0},
	} {
		b := build(t, function.DataBinding{URL: "http://" + try.user + s.Addr, Path: try.path, Secret: quantity.Secret(try.password)})
		err := b.Open(t.Context())
		if data.ReasonOf(err) != try.want || err != nil && strings.Contains(err.Error(), "rightful") {
			t.Errorf("%q with %q in %q: %v", try.user, try.password, try.path, err)
		}
		if err == nil {
			kv := data.NewKV(b.(data.KeyStore), nil)
			if n, err := kv.Add(t.Context(), "n", 1); err != nil || n != 1 {
				t.Errorf("%q: %d, %v", try.user, n, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestServerLost(t *testing.T) {
	s := servers.Etcd(t)
	bindingtest.KVLost(t, s, build(t, function.DataBinding{URL: "http://" + s.Addr}))
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ url, secret, want string }{
		{"", "", "url: "}, {"etcd://x", "", "url: "}, {"http://me:s3cret@h:p", "", "url: "}, {"http://h/x", "", "url: "}, {"http://a,https://b", "", "url: "},
		{"http://h", "s", "secret: "}, {"http://me@h", "", "secret: "},
	} {
		_, err := etcd.Factory().New(binding.Settings{Spec: function.DataBinding{URL: c.url, Secret: quantity.Secret(c.secret)}}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}
