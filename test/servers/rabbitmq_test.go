package servers

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func rabbitClient(t *testing.T, s *Server, password string) (*amqp.Connection, error) {
	t.Helper()
	url, cfg := "amqp://", amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{Username: s.User, Password: password}}}
	if s.TLS != nil {
		url, cfg.TLSClientConfig = "amqps://", s.TLS
	}
	return amqp.DialConfig(url+s.Addr+"/", cfg)
}

func rabbitChannel(t *testing.T, s *Server) *amqp.Channel {
	t.Helper()
	c, err := rabbitClient(t, s, s.Password)
	check(t, err)
	t.Cleanup(func() { c.Close() })
	ch, err := c.Channel()
	check(t, err)
	return ch
}

func putRabbit(t *testing.T, s *Server) {
	ch := rabbitChannel(t, s)
	_, err := ch.QueueDeclare("q", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	check(t, err)
	check(t, ch.Confirm(false))
	confirm, err := ch.PublishWithDeferredConfirmWithContext(limit(t), "", "q", true, false, amqp.Publishing{Body: []byte("v")})
	check(t, err)
	if ok, err := confirm.WaitContext(limit(t)); !ok || err != nil {
		t.Fatalf("not confirmed: %v", err)
	}
	began := time.Now()
	check(t, s.QueueSaved(limit(t), "q"))
	t.Logf("the queue was saved after %s", time.Since(began).Round(time.Millisecond))
}

// lookRabbit takes the message and gives it back: the channel closes unacknowledged.
func lookRabbit(t *testing.T, s *Server) {
	t.Helper()
	ch := rabbitChannel(t, s)
	defer ch.Close()
	deliveries, err := ch.ConsumeWithContext(limit(t), "q", "", false, false, false, false, nil)
	check(t, err)
	select {
	case d := <-deliveries:
		if string(d.Body) != "v" {
			t.Fatalf("queue holds %q", d.Body)
		}
	case <-limit(t).Done():
		t.Fatal("queue gives nothing")
	}
}

func TestRabbitMQ(t *testing.T) { lasts(t, took(t, RabbitMQ), putRabbit, lookRabbit) }

func TestRabbitMQLogin(t *testing.T) {
	s := took(t, RabbitMQ, Login("ann", "secret"), WithTLS())
	putRabbit(t, s)
	lookRabbit(t, s)
	if c, err := rabbitClient(t, s, "wrong"); err == nil {
		c.Close()
		t.Error("a wrong password is let in")
	}
}
