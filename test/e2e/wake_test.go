package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/test/servers"
)

// sleepy writes down what it got, and sleeps whenever there is nothing to do.
const sleepy = `
# @nuclio.configure
#
# function.yaml:
#   spec:
#     minReplicas: 0
#     maxReplicas: 1
#     scale: {zeroAfter: 500ms}
#     triggers:
#       orders: {kind: redis, url: "redis://%s", startAt: earliest, attributes: {streams: [orders], makeStreams: true, bodyField: body}}
#       bills: {kind: kafka, url: "%s", attributes: {topics: [bills], consumerGroup: sleepy}}

def handler(context, event):
    with open(%q, "a") as f:
        f.write(event.trigger.kind + " " + event.body.decode() + "\n")
`

// A function that sleeps is woken by what comes to a queue and to a stream, does
// it, and sleeps again.
func TestQueueAndStreamWake(t *testing.T) {
	store, broker := servers.Redis(t), servers.Kafka(t)
	db := redis.NewClient(&redis.Options{Addr: store.Addr})
	defer db.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 2, 1, nil, "bills"); err != nil {
		t.Fatal(err)
	}
	p := newPlane(t)
	book := filepath.Join(p.data, "book", "lines") // of whatever user the function runs as
	if err := errors.Join(os.Mkdir(filepath.Dir(book), 0o755), os.Chmod(filepath.Dir(book), 0o777)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.myelin("describe", "function", "sleepy"))
		}
	})
	p.run("sleepy", "sleepy.py", fmt.Sprintf(sleepy, store.Addr, broker.Addr, book))
	asleep := func() {
		t.Helper()
		p.until("the function to sleep", func() bool { return strings.Contains(p.myelin("get", "functions", "sleepy"), "scaledToZero") })
	}
	wakes := func(line string, send func() error) {
		t.Helper()
		asleep()
		if err := send(); err != nil {
			t.Fatal(err)
		}
		p.until(line, func() bool {
			b, _ := os.ReadFile(book)
			return strings.Contains(string(b), line+"\n")
		})
	}
	wakes("redis 0", func() error {
		return db.XAdd(context.Background(), &redis.XAddArgs{Stream: "orders", Values: []any{"body", "0"}}).Err()
	})
	wakes("kafka 0", func() error {
		return cl.ProduceSync(context.Background(), &kgo.Record{Topic: "bills", Value: []byte("0")}).FirstErr()
	})
	asleep()
	b, err := os.ReadFile(book)
	if err != nil || string(b) != "redis 0\nkafka 0\n" {
		t.Errorf("%q %v", b, err)
	}
}
