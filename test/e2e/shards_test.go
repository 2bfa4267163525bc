package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

// noter is a function that notes each event of a shard in a file.
const noter = `package main

import (
	"os"

	"github.com/nuclio/nuclio-sdk-go"
)

var sink, _ = os.OpenFile("/sink/file", os.O_APPEND|os.O_WRONLY, 0)

func Handler(context *nuclio.Context, event nuclio.Event) (interface{}, error) {
	_, err := sink.Write(append(event.GetBody(), '\n'))
	return nil, err
}
`

const noterSpec = `spec:
  runtime: golang
  handler: f:Handler
  triggers:
    in: {kind: redis, url: "redis://%s", numWorkers: 2, attributes: {streams: [orders], shards: %d, bodyField: body}}
  volumes:
    - {volume: {name: sink, hostPath: {path: %q}}, volumeMount: {name: sink, mountPath: /sink}}
`

const containedShards = 6

// TestShardsInContainers: containers of a function take shards from the dealer
// while their number changes, while one of them and the control plane are
// killed, and while a new version comes. Nothing is lost, and each shard keeps its order.
func TestShardsInContainers(t *testing.T) {
	engine, store := servers.Docker(t), servers.Redis(t)
	engine.Reach(t, store.Addr)
	p := newPlane(t, "--platform", "docker", "--docker-host", engine.Addr, "--docker-network", "host")
	dir, sink := t.TempDir(), filepath.Join(p.data, "sink")
	write(t, filepath.Join(dir, "f.go"), noter)
	write(t, filepath.Join(dir, "function.yaml"), fmt.Sprintf(noterSpec, store.Addr, containedShards, sink))
	if err := os.Mkdir(sink, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(sink, "file"), "")
	if err := os.Chmod(filepath.Join(sink, "file"), 0o666); err != nil { // whatever the umask
		t.Fatal(err)
	}
	deploy := func(n int, args ...string) {
		t.Helper()
		p.says(append([]string{"run", dir, "--name", "orders", "--replicas", strconv.Itoa(n)}, args...)...)
		p.until(fmt.Sprintf("an even deal to %d", n), func() bool { return evenly(p, n) })
	}
	deploy(1)
	book, stop := sends(t, store.Addr)
	deploy(3)
	first := strings.Fields(docker(t, engine, "ps", "--quiet", "--filter", "label=run.myelin.deployment=default.orders"))[0]
	docker(t, engine, "kill", "--signal", "KILL", first)
	p.until("another container", func() bool {
		return len(strings.Fields(docker(t, engine, "ps", "--quiet"))) == 3 && evenly(p, 3)
	})
	p.kill()
	p.up()
	p.until("an even deal by the next control plane", func() bool { return evenly(p, 3) })
	deploy(2, "--env", "ANOTHER=one")
	stop()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	report, err := book.Await(ctx, book.Follow(filepath.Join(sink, "file")).Read)
	t.Log(report)
	if err != nil {
		t.Error(err)
	}
}

// evenly says whether all shards are dealt to n containers.
func evenly(p *plane, n int) bool {
	p.Helper()
	resp, err := http.Get("http://" + p.api + "/api/v1/functions/orders/dealer/in")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var d api.DealerTable
	if json.NewDecoder(resp.Body).Decode(&d) != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	return len(d.Members) == n && d.Resources == containedShards && d.Unowned == 0 && d.Moving == 0 && d.Skew < 1
}

// sends sends numbered events to all shards until it is told to stop.
func sends(t *testing.T, addr string) (*ledger.Book, func()) {
	book := ledger.Open(ledger.Plan{Events: 1 << 30, Keys: 2 * containedShards})
	t.Logf("seed %d", book.Seed())
	client := redis.NewClient(&redis.Options{Addr: addr})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer client.Close()
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			e, _ := book.Next()
			shard, _ := strconv.Atoi(strings.Fields(string(e.Body))[1])
			if err := client.XAdd(context.Background(), &redis.XAddArgs{Stream: fmt.Sprint("orders:", shard%containedShards), Values: []any{"body", e.Body}}).Err(); err != nil {
				t.Errorf("send: %v", err)
				return
			}
			book.Acked(e)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return book, stop
}
