package main

import (
	"context"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	natsstream "github.com/myelin-run/myelin/trigger/jetstream"
)

// natsStream is a stream of JetStream in memory, which both sides read by one
// durable pull consumer with as many messages ahead.
type natsStream struct {
	url    string
	conn   *client.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
}

func openNATS(ctx context.Context, h servers.T) (messages, error) {
	s, err := start(h, servers.NATS)
	if err != nil {
		return nil, err
	}
	n := &natsStream{url: "nats://" + s.Addr}
	if n.conn, err = client.Connect(n.url); err != nil {
		return nil, err
	}
	h.Cleanup(n.conn.Close)
	if n.js, err = jetstream.New(n.conn, jetstream.WithPublishAsyncMaxPending(1000)); err != nil {
		return nil, err
	}
	n.stream, err = n.js.CreateStream(ctx, jetstream.StreamConfig{Name: benchQueue, Subjects: []string{benchQueue}, Storage: jetstream.MemoryStorage})
	if err != nil {
		return nil, err
	}
	_, err = n.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: benchGroup, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 1000})
	return n, err
}

func (n *natsStream) fill(ctx context.Context, count int, pause time.Duration) error {
	if err := n.stream.Purge(ctx); err != nil {
		return err
	}
	body := make([]byte, queueBody)
	for range count {
		time.Sleep(pause)
		stamp(body)
		if _, err := n.js.PublishAsync(benchQueue, body); err != nil {
			return err
		}
	}
	select {
	case <-n.js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *natsStream) trigger() (trigger.Factory, function.Trigger) {
	return natsstream.Factory(), function.Trigger{Kind: natsstream.Kind, URL: n.url,
		Attributes: attributes(map[string]any{"stream": benchQueue, "consumer": benchGroup, "topology": "none"})}
}

func (n *natsStream) bare(ctx context.Context, seen func([]byte)) error {
	conn, err := client.Connect(n.url)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	c, err := js.Consumer(ctx, benchQueue, benchGroup)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	consuming, err := c.Consume(func(m jetstream.Msg) {
		seen(m.Data())
		if err := m.Ack(); err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}, jetstream.PullMaxMessages(queuePrefetch))
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	consuming.Stop()
	<-consuming.Closed()
	if err != nil {
		return err
	}
	return conn.FlushTimeout(10 * time.Second)
}
