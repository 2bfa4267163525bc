package servers

import (
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func natsClient(t *testing.T, s *Server) jetstream.JetStream {
	t.Helper()
	c, err := client.Connect("nats://"+s.Addr, natsLogin(s, s.Password)...)
	check(t, err)
	t.Cleanup(c.Close)
	js, err := jetstream.New(c)
	check(t, err)
	return js
}

func natsLogin(s *Server, password string) []client.Option {
	opts := []client.Option{client.Timeout(10 * time.Second)}
	if s.TLS != nil {
		opts = append(opts, client.Secure(s.TLS))
	}
	if s.User != "" {
		return append(opts, client.UserInfo(s.User, password))
	}
	return append(opts, client.Token(password))
}

func putNATS(t *testing.T, s *Server) {
	js := natsClient(t, s)
	_, err := js.CreateStream(limit(t), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	check(t, err)
	_, err = js.Publish(limit(t), "s.a", []byte("v"))
	check(t, err)
}

func lookNATS(t *testing.T, s *Server) {
	t.Helper()
	stream, err := natsClient(t, s).Stream(limit(t), "S")
	check(t, err)
	consumer, err := stream.OrderedConsumer(limit(t), jetstream.OrderedConsumerConfig{})
	check(t, err)
	m, err := consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
	if err != nil || string(m.Data()) != "v" {
		t.Fatalf("stream holds %v, %v", m, err)
	}
}

func TestNATS(t *testing.T) { lasts(t, took(t, NATS), putNATS, lookNATS) }

func TestNATSLogin(t *testing.T) {
	for name, opts := range map[string][]Option{
		"token": {Login("", "secret")},
		"user":  {Login("ann", "secret"), WithTLS()},
	} {
		t.Run(name, func(t *testing.T) {
			s := took(t, NATS, opts...)
			lasts(t, s, putNATS, lookNATS)
			if c, err := client.Connect("nats://"+s.Addr, natsLogin(s, "wrong")...); err == nil {
				c.Close()
				t.Error("a wrong password is let in")
			}
		})
	}
}
