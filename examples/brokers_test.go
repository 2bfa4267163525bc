package examples_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/test/servers"
)

// buildAt builds an example whose broker is elsewhere.
func buildAt(t *testing.T, dir, from, to string) build.Artefact {
	t.Helper()
	at := filepath.Join(t.TempDir(), dir)
	if err := os.CopyFS(at, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(at, "function.yaml")
	text, err := os.ReadFile(config)
	if err != nil || !strings.Contains(string(text), from) {
		t.Fatalf("no %s in %s: %v", from, text, err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: at}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const patience = time.Minute

// The Go function's own program declares the queue, answers who asks, and what
// is no order ends in the dead letters.
func TestRabbitMQExample(t *testing.T) {
	server := servers.RabbitMQ(t)
	serve(t, buildAt(t, "rabbitmq-go", "localhost:5672", server.Addr))
	conn, err := amqp.Dial("amqp://" + server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := ch.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	returns := ch.NotifyReturn(make(chan amqp.Return, 1000))
	ask := func(body string) {
		m := amqp.Publishing{Body: []byte(body), ReplyTo: "amq.rabbitmq.reply-to"}
		for end := time.Now().Add(patience); time.Now().Before(end); { // until the queue is there
			if err := ch.Publish("shop", "order.tea", true, false, m); err != nil {
				if ch, err = conn.Channel(); err != nil {
					t.Fatal(err)
				}
				if answers, err = ch.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil); err != nil {
					t.Fatal(err)
				}
				returns = ch.NotifyReturn(make(chan amqp.Return, 1000))
				continue
			}
			select {
			case <-returns:
			case a, ok := <-answers:
				if ok {
					t.Logf("answer %q", a.Body)
					if body[0] == '{' && string(a.Body) != "2 tea: 6" {
						t.Errorf("answered %q", a.Body)
					}
					return
				}
			case <-time.After(time.Second):
			}
		}
		t.Fatal("no answer")
	}
	ask(`{"item": "tea", "number": 2}`)
	ask("no order")
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		d, ok, err := ch.Get("orders.dead", true)
		if err != nil || time.Now().After(end) {
			t.Fatalf("no dead letter: %v", err)
		}
		if ok {
			if string(d.Body) != "no order" {
				t.Errorf("dead letter %q", d.Body)
			}
			return
		}
	}
}

// The answers of the Python function are in another stream.
func TestRedisExample(t *testing.T) {
	server := servers.Redis(t)
	serve(t, buildAt(t, "redis-python", "localhost:6379", server.Addr))
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer c.Close()
	if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "visits", Values: []any{"name", "World"}}).Err(); err != nil {
		t.Fatal(err)
	}
	read, err := c.XRead(t.Context(), &redis.XReadArgs{Streams: []string{"greetings", "0"}, Block: patience}).Result()
	if err != nil {
		t.Fatal(err)
	}
	if got := read[0].Messages[0].Values["body"]; got != "Hello, World" {
		t.Errorf("answered %q", got)
	}
}

// What is in the list is worked off, and what cannot be done is in another.
func TestRedisListExample(t *testing.T) {
	server := servers.Redis(t)
	serve(t, buildAt(t, "redislist-python", "localhost:6379", server.Addr))
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer c.Close()
	if err := c.RPush(t.Context(), "jobs", `{"add": [1, 2, 3]}`, "no job").Err(); err != nil {
		t.Fatal(err)
	}
	for list, want := range map[string]string{"sums": "6", "jobs.failed": "no job"} {
		if got, err := c.BLPop(t.Context(), patience, list).Result(); err != nil || got[1] != want {
			t.Errorf("in %s is %q, %v, want %q", list, got, err, want)
		}
	}
}

// aloneWith gives a trigger all shards, without a dealer.
func aloneWith(t *testing.T, a *build.Artefact, name string) {
	t.Helper()
	at, ok := a.Config.Spec.Triggers[name]
	if !ok {
		t.Fatalf("no trigger %q", name)
	}
	at.Attributes = []byte(strings.Replace(string(at.Attributes), "{", `{"assignment": "all", `, 1))
	a.Config.Spec.Triggers[name] = at
}

// Who is told of the heat hears of what is too hot only.
func TestRedisPubSubExample(t *testing.T) {
	server := servers.Redis(t)
	serve(t, buildAt(t, "redispubsub-python", "localhost:6379", server.Addr))
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer c.Close()
	alarms := c.Subscribe(t.Context(), "alarms")
	defer alarms.Close()
	if _, err := alarms.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // until somebody listens
		n, err := c.Publish(t.Context(), "heat.cellar", 11).Result()
		if err == nil && n == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d listen, %v", n, err)
		}
	}
	if err := c.Publish(t.Context(), "heat.kitchen", 71).Err(); err != nil {
		t.Fatal(err)
	}
	got, err := alarms.ReceiveTimeout(t.Context(), patience)
	if m, ok := got.(*redis.Message); err != nil || !ok || m.Payload != "kitchen: 71 degrees" {
		t.Errorf("heard %v, %v", got, err)
	}
}

// A visit in a shard is answered. The test's processor is alone, without a dealer.
func TestShardsExample(t *testing.T) {
	server := servers.Redis(t)
	a := buildAt(t, "shards-python", "localhost:6379", server.Addr)
	aloneWith(t, &a, "visits")
	serve(t, a)
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer c.Close()
	if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "visits:2", Values: []any{"name", "World"}}).Err(); err != nil {
		t.Fatal(err)
	}
	read, err := c.XRead(t.Context(), &redis.XReadArgs{Streams: []string{"greetings", "0"}, Block: patience}).Result()
	if err != nil {
		t.Fatal(err)
	}
	if got := read[0].Messages[0].Values["name"]; got != "Hello, World, from shard 2" {
		t.Errorf("answered %q", got)
	}
}

// An order that nobody can read ends in the clinic, the one behind it does not.
func TestOnFailureFunctionExample(t *testing.T) {
	server := servers.Redis(t)
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "clinic-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	clinic := serve(t, a)
	t.Setenv("MYELIN_FUNCTIONS", "clinic-python=http://"+clinic)
	serve(t, buildAt(t, "orders-python", "localhost:6379", server.Addr))
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer c.Close()
	for _, order := range []string{"tea, two", `{"item": "tea", "number": 2}`, "coffee"} {
		if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "orders", Values: []any{"order", order}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + clinic + "/")
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		list := string(got)
		if strings.Contains(list, "tea, two (orders-python, 2 attempts): ") && strings.Contains(list, "coffee (orders-python, 2 attempts): ") {
			if strings.Contains(list, "number") {
				t.Errorf("in the clinic: %s", list)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("in the clinic: %s", list)
		}
	}
}
