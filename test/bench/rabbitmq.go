package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/rabbitmq"
)

const benchQueue = "bench"

// rabbit is a classic durable queue.
type rabbit struct{ url string }

func openRabbit(_ context.Context, h servers.T) (messages, error) {
	s, err := start(h, servers.RabbitMQ)
	if err != nil {
		return nil, err
	}
	return &rabbit{fmt.Sprintf("amqp://%s:%s@%s", s.User, s.Password, s.Addr)}, nil
}

func (r *rabbit) channel() (*amqp.Connection, *amqp.Channel, error) {
	conn, err := amqp.Dial(r.url)
	if err != nil {
		return nil, nil, err
	}
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare(benchQueue, true, false, false, false, nil)
	}
	return conn, ch, err
}

func (r *rabbit) fill(ctx context.Context, n int, pause time.Duration) error {
	conn, ch, err := r.channel()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := ch.Confirm(false); err != nil {
		return err
	}
	body := make([]byte, queueBody)
	var last *amqp.DeferredConfirmation
	for range n {
		time.Sleep(pause)
		stamp(body)
		if last, err = ch.PublishWithDeferredConfirmWithContext(ctx, "", benchQueue, false, false, amqp.Publishing{Body: body}); err != nil {
			return err
		}
	}
	if !last.Wait() {
		return errors.New("the broker did not take all")
	}
	return nil
}

func (r *rabbit) trigger() (trigger.Factory, function.Trigger) {
	return rabbitmq.Factory(), function.Trigger{Kind: rabbitmq.Kind, URL: r.url, Attributes: attributes(map[string]any{"queueName": benchQueue})}
}

func (r *rabbit) bare(ctx context.Context, seen func([]byte)) error {
	conn, ch, err := r.channel()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := ch.Qos(queuePrefetch, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(benchQueue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for {
		select {
		case d := <-deliveries:
			seen(d.Body)
			if err := d.Ack(false); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}
