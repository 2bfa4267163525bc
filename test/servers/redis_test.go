package servers

import (
	"testing"

	client "github.com/redis/go-redis/v9"
)

func redisClient(t *testing.T, s *Server) *client.Client {
	t.Helper()
	c := client.NewClient(&client.Options{Addr: s.Addr, Username: s.User, Password: s.Password, TLSConfig: s.TLS, Protocol: 2})
	t.Cleanup(func() { c.Close() })
	return c
}

func putRedis(t *testing.T, s *Server) {
	check(t, redisClient(t, s).XAdd(limit(t), &client.XAddArgs{Stream: "s", Values: []string{"k", "v"}}).Err())
}

func lookRedis(t *testing.T, s *Server) {
	t.Helper()
	got, err := redisClient(t, s).XRange(limit(t), "s", "-", "+").Result()
	if err != nil || len(got) != 1 || got[0].Values["k"] != "v" {
		t.Fatalf("stream holds %v, %v", got, err)
	}
}

func TestRedis(t *testing.T) { lasts(t, took(t, Redis), putRedis, lookRedis) }

func TestRedisLogin(t *testing.T) {
	for name, opts := range map[string][]Option{
		"requirepass": {Login("", "secret")},
		"user":        {Login("ann", "secret"), WithTLS()},
	} {
		t.Run(name, func(t *testing.T) {
			s := took(t, Redis, opts...)
			lasts(t, s, putRedis, lookRedis)
			wrong := client.NewClient(&client.Options{Addr: s.Addr, Username: s.User, Password: "wrong", TLSConfig: s.TLS})
			defer wrong.Close()
			if wrong.Ping(limit(t)).Err() == nil {
				t.Error("a wrong password is let in")
			}
		})
	}
}
