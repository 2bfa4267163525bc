package redis_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/kv/redis"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := redis.Factory().New(binding.Settings{Name: "state", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSuite(t *testing.T) {
	s := pool.Redis(t)
	bindingtest.KV(t, func(t *testing.T) binding.Binding {
		return build(t, function.DataBinding{URL: "redis://" + s.Addr, Path: "suite[*]:"})
	})
}

func TestWrongPassword(t *testing.T) {
	s := servers.Redis(t, servers.Login("", "rightful"))
	for password, want := range map[string]data.Reason{"": data.Denied, "wrong": data.Denied, "rightful": 0} {
		b := build(t, function.DataBinding{URL: "redis://" + s.Addr, Secret: quantity.Secret(password)})
		if err := b.Open(t.Context()); data.ReasonOf(err) != want || err != nil && strings.Contains(err.Error(), "rightful") {
			t.Errorf("%q: %v", password, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestServerLost(t *testing.T) {
	s := servers.Redis(t)
	bindingtest.KVLost(t, s, build(t, function.DataBinding{URL: "redis://" + s.Addr}))
}

func TestMistakes(t *testing.T) {
	for _, url := range []string{"", "http://x", "redis://me:s3cret@h:p/x", "redis://h/db"} {
		_, err := redis.Factory().New(binding.Settings{Spec: function.DataBinding{URL: url}}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "url: ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
