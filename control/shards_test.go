package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

// dealtShards is how many shards there are.
const dealtShards = 24

// While events come in 24 shards, a function is scaled up, down, to zero and up
// again, and its processors are killed and stopped. Nothing is lost, each shard
// keeps its order, and the shards of a processor that stands still are another's
// soon.
func TestShardsAreDealt(t *testing.T) {
	steps, rate := []int{1, 3, 0, 2}, 200
	if *long {
		steps, rate = []int{1, 8, 3, 0, 5}, 2000
	}
	d := newDealt(t)
	load := begin(rate, 1, d.add)
	for _, n := range steps {
		d.scale(n)
		switch {
		case n == 0:
			continue
		case n > 1:
			d.kill()
			d.stall()
		}
		d.served(n)
	}
	d.counted()
	load.stop(t, "redis")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	file := load.book.Follow(d.sink)
	_, _ = load.book.Await(ctx, file.Read) // what is missing, the balance tells
	d.scale(0)
	d.must(file.Read())
	r := load.book.Report()
	t.Log(r)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

// dealt is a function that reads shards and notes what it gets in a file.
type dealt struct {
	*loss
	redis *redis.Client
	url   string
}

func newDealt(t *testing.T) *dealt {
	t.Helper()
	d := &dealt{loss: &loss{world: newWorld(t), shape: shape{source: "testdata/shardpy"}}, url: servers.Redis(t).Addr}
	d.redis = redis.NewClient(&redis.Options{Addr: d.url})
	t.Cleanup(func() { _ = d.redis.Close() })
	t.Setenv("MYELIN_CACHE", filepath.Join(d.dir, "cache"))
	d.processor = filepath.Join(d.dir, "processor")
	if out, err := exec.Command("go", "build", "-o", d.processor, "../cmd/processor").CombinedOutput(); err != nil {
		t.Fatalf("build processor: %v: %s", err, out)
	}
	d.build()
	d.sink = filepath.Join(d.dir, "sink")
	d.must(os.WriteFile(d.sink, nil, 0o600))
	d.must(os.Chmod(d.sink, 0o666)) // whatever the umask
	d.start()
	return d
}

// add brings an event to the shard that its key names.
func (d *dealt) add(e ledger.Event, done func(error)) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	shard, err := strconv.Atoi(strings.Fields(string(e.Body))[1])
	if err == nil {
		err = d.redis.XAdd(ctx, &redis.XAddArgs{Stream: fmt.Sprint("orders:", shard%dealtShards), Values: []any{"body", e.Body}}).Err()
	}
	done(err)
}

// scale sets how many processors there are, and returns when there are.
func (d *dealt) scale(n int) {
	d.Helper()
	raw, err := json.Marshal(map[string]any{"streams": []string{"orders"}, "shards": dealtShards, "bodyField": "body"})
	d.must(err)
	cfg := d.artefact.Config
	cfg.Metadata.Annotations = map[string]string{plan.ArtefactAnnotation: d.artefact.Digest}
	cfg.Spec.Env = []function.EnvVar{{Name: "SINK", Value: d.sink}}
	cfg.Spec.Triggers = map[string]function.Trigger{"in": {Kind: "redis", URL: "redis://" + d.url, NumWorkers: 2, Attributes: raw}}
	cfg.Spec.Replicas = &n
	put, err := d.client.Put(d.Context(), cfg)
	d.must(err)
	d.await(fmt.Sprint(n, " processors"), func(ctx context.Context) error {
		f, err := d.client.Function(ctx, "orders")
		if err == nil && (fmt.Sprint(f.Status.Observed) != put.Metadata.ResourceVersion || len(pids(f)) != n || len(f.Status.Replicas) != n) {
			err = fmt.Errorf("status %+v", f.Status)
		}
		return err
	})
}

// pids are the processors that are ready.
func pids(f function.Function) (out []int) {
	for _, r := range f.Status.Replicas {
		if r.State == "ready" {
			out = append(out, r.PID)
		}
	}
	return out
}

func (d *dealt) one() int {
	d.Helper()
	f, err := d.client.Function(d.Context(), "orders")
	d.must(err)
	ps := pids(f)
	if len(ps) == 0 {
		d.Fatalf("no processor is ready: %+v", f.Status)
	}
	return slices.Min(ps)
}

// table is how the shards are dealt.
func (d *dealt) table(ctx context.Context) (t api.DealerTable, err error) {
	raw, err := d.client.Get(ctx, "functions/orders/dealer/in", false)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	return t, err
}

// served returns when all shards are dealt evenly to n processors.
func (d *dealt) served(n int) {
	d.Helper()
	d.await("an even deal", func(ctx context.Context) error {
		t, err := d.table(ctx)
		if err == nil && (len(t.Members) != n || t.Unowned > 0 || t.Moving > 0 || t.Skew >= 1 || t.Resources != dealtShards) {
			err = fmt.Errorf("the deal is %+v", t.Report)
		}
		return err
	})
	t, err := d.table(d.Context())
	d.must(err)
	d.Logf("%d processors: %d moves, %v without owner in sum, %v the longest", n, t.Moves, t.Without, t.Longest)
}

// counted sees whether the deal is in the control plane's metrics.
func (d *dealt) counted() {
	d.Helper()
	resp, err := http.Get("http://" + d.api + "/api/v1/metrics")
	d.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	d.must(err)
	if want := fmt.Sprintf("myelin_dealer_shards{table=\"default.orders.in\"} %d\n", dealtShards); !strings.Contains(string(text), want) {
		d.Errorf("no %s in\n%s", want, text)
	}
}

// kill ends a processor with signal 9; another takes its place.
func (d *dealt) kill() {
	d.Helper()
	pid := d.one()
	d.must(syscall.Kill(pid, syscall.SIGKILL))
	d.await("another processor", func(context.Context) error {
		f, err := d.client.Function(d.Context(), "orders")
		if err == nil && (slices.Contains(pids(f), pid) || len(pids(f)) != len(f.Status.Replicas)) {
			err = fmt.Errorf("status %+v", f.Status)
		}
		return err
	})
}

// stall stops a processor until its shards have run elsewhere, and then lets it
// go on, as one that does not know what happened.
func (d *dealt) stall() {
	d.Helper()
	d.await("a deal", func(ctx context.Context) error {
		t, err := d.table(ctx)
		if err == nil && (t.Unowned > 0 || t.Moving > 0 || t.Skew >= 1) {
			err = fmt.Errorf("the deal is %+v", t.Report)
		}
		return err
	})
	pid := d.one()
	had := d.lastOwners()
	began := time.Now()
	d.must(syscall.Kill(pid, syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	var longest time.Duration
	for shard, p := range had {
		if p.pid != pid {
			continue
		}
		d.await(fmt.Sprintf("shard %d to run elsewhere", shard), func(context.Context) error {
			now := d.lastOwners()[shard]
			if now.pid == pid {
				return fmt.Errorf("it is at %d", pid)
			}
			longest = max(longest, now.first.Sub(began))
			return nil
		})
	}
	d.Logf("the shards of a processor that stood still ran elsewhere within %v", longest.Round(time.Millisecond))
}

// ran is who ran a shard last, and since when.
type ran struct {
	pid   int
	first time.Time
}

// lastOwners reads who ran each shard last.
func (d *dealt) lastOwners() map[int]ran {
	d.Helper()
	text, err := os.ReadFile(d.sink)
	d.must(err)
	out := map[int]ran{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			continue // half a line
		}
		pid, _ := strconv.Atoi(f[3])
		shard, _ := strconv.Atoi(f[4])
		at, _ := strconv.ParseFloat(f[5], 64)
		if out[shard].pid != pid {
			out[shard] = ran{pid, time.UnixMicro(int64(at * 1e6))}
		}
	}
	return out
}
