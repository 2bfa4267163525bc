package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

var (
	pool    servers.Pool
	counter atomic.Int64
	long    = flag.Bool("long", false, "list a million objects to the end")
)

func TestMain(m *testing.M) {
	if mortal.Main(func(arg string) (trigger.Trigger, error) {
		url, attributes, _ := strings.Cut(arg, "\n")
		return Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{URL: url, Secret: "secret"}}, []byte(attributes))
	}) {
		return
	}
	mortal.Beside()
	os.Exit(pool.Run(m))
}

// broker is a prefix of a bucket, and a way to it that can be cut.
type broker struct {
	addr, bucket, prefix string
	client               *minio.Client
	proxy                *fault.Proxy
	n                    atomic.Int64
}

func newBroker(t testing.TB, addr, bucket string) *broker {
	t.Helper()
	p, err := fault.Listen(addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4("KEY", "secret", ""), Region: "us-east-1", Transport: transport})
	must(t, err)
	return &broker{addr: addr, bucket: bucket, prefix: fmt.Sprintf("t%d/", counter.Add(1)), client: c, proxy: p}
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"bucket": b.bucket, "prefix": b.prefix, "places": ".myelin/" + b.prefix, "interval": "30ms", "fetch": true, "pageSize": 37}
	maps.Copy(m, more)
	return m
}

func at(t testing.TB, s trigger.Settings, addr string, attributes map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.URL, s.Spec.Secret = "http://KEY@"+addr, "secret"
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

// Trigger implements triggertest.Broker.
func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return at(t, s, b.proxy.Addr(), b.attributes(nil))
}

// Produce implements triggertest.Broker.
func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	for _, r := range rs {
		b.put(t, fmt.Sprintf("%06d.txt", b.n.Add(1)), r.Body)
	}
}

func (b *broker) put(t testing.TB, name, body string) {
	t.Helper()
	_, err := b.client.PutObject(context.Background(), b.bucket, b.prefix+name, strings.NewReader(body), int64(len(body)), minio.PutObjectOptions{ContentType: "text/plain"})
	must(t, err)
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

// Broken implements triggertest.Breaker.
func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent := fmt.Sprintf("absent-%d", counter.Add(1))
	return map[string]triggertest.Broken{"bucket": {Trigger: at(t, s, b.proxy.Addr(), b.attributes(map[string]any{"bucket": absent})), Says: absent,
		Mend: func() { must(t, b.client.MakeBucket(context.Background(), absent, minio.MakeBucketOptions{})) }}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func gofakes3(t testing.TB) *broker { return newBroker(t, pool.Gofakes3(t).Addr, servers.S3Bucket) }

// TestSuite: the rest is the poll engine's, as a list in memory shows it.
func TestSuite(t *testing.T) {
	gofakes3(t)
	triggertest.PollSuite(t, triggertest.Guarantees{Brief: true, Sole: true, NoKeys: true, NoHeaders: true, Parallel: true, New: func(t testing.TB) triggertest.Broker { return gofakes3(t) }})
}

// TestMotoSuite is the same at another service, which was written by others and
// tells times by the second. It takes its time for all that is asked of it, so one
// check runs after the other.
func TestMotoSuite(t *testing.T) {
	addr, name := pool.Moto(t).Addr, fmt.Sprintf("suite-%d", counter.Add(1))
	must(t, newBroker(t, addr, name).client.MakeBucket(context.Background(), name, minio.MakeBucketOptions{}))
	triggertest.PollSuite(t, triggertest.Guarantees{Brief: true, Sole: true, NoKeys: true, NoHeaders: true, Patience: patience, New: func(t testing.TB) triggertest.Broker { return newBroker(t, addr, name) }})
}

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Reporter
	t    testing.TB
	mu   sync.Mutex
	seen []*event.Event
	end  func()
}

func run(t testing.TB, trg trigger.Trigger) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Reporter: trg.(trigger.Reporter), t: t}
	done := make(chan error, 1)
	go func() {
		done <- trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen = append(r.seen, ev.Clone())
			return nil
		}))
	}()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.end)
	return r
}

func (r *running) bodies() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.seen {
		out = append(out, string(ev.Body))
	}
	return out
}

func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v, %q", what, r.Report(), r.bodies())
		}
	}
}

func settings() trigger.Settings { return trigger.Settings{Name: "in", Function: "f", Workers: 2} }

// TestChanged: an object that is written anew comes again, also across a restart;
// those of another suffix, and those that only look like directories, do not come.
func TestChanged(t *testing.T) {
	t.Parallel()
	b := gofakes3(t)
	b.put(t, "a.txt", "a1")
	b.put(t, "b.txt", "b1")
	b.put(t, "c.jpg", "c1")
	b.put(t, "d.txt/", "d1")
	attributes := b.attributes(map[string]any{"suffix": ".txt"})
	r := run(t, at(t, settings(), b.addr, attributes))
	r.until("both", func() bool { return len(r.bodies()) == 2 })
	b.put(t, "a.txt", "a2")
	r.until("the change", func() bool { return len(r.bodies()) == 3 })
	r.end()
	b.put(t, "b.txt", "b2")
	s := run(t, at(t, settings(), b.addr, attributes))
	s.until("the other change", func() bool { return len(s.bodies()) == 1 })
	b.put(t, "0.txt", "last") // once it has come, those before it have been looked at
	s.until("the last", func() bool { return len(s.bodies()) == 2 })
	if got := fmt.Sprint(r.bodies(), s.bodies()); got != "[a1 b1 a2] [b2 last]" {
		t.Errorf("ran %s", got)
	}
}

// TestBodies: the event says which object it is, or is it, unless that is too large.
func TestBodies(t *testing.T) {
	t.Parallel()
	b := gofakes3(t)
	b.put(t, "large", strings.Repeat("x", 2000))
	b.put(t, "small", "content")
	for fetch, want := range map[bool]string{true: "content", false: ""} {
		r := run(t, at(t, settings(), b.addr, b.attributes(map[string]any{"fetch": fetch, "maxSize": "1Ki", "places": fmt.Sprint(".myelin/", b.prefix, fetch)})))
		r.until("both", func() bool { return len(r.bodies()) == 2 })
		var is said
		if err := json.Unmarshal([]byte(r.bodies()[0]), &is); err != nil || is.Key != b.prefix+"large" || is.Size != 2000 || is.ETag == "" || is.Bucket != b.bucket {
			t.Errorf("body %s, %v", r.bodies()[0], err)
		}
		if got := r.bodies()[1]; want != "" && got != want {
			t.Errorf("body %s", got)
		}
		if ev := r.seen[1]; string(ev.Key) != b.prefix+"small" || string(ev.Header("object-size")) != "7" || ev.Time.IsZero() {
			t.Errorf("event %+v", ev)
		}
	}
}

// TestKilled: a processor that is killed loses nothing.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := gofakes3(t)
	const n = 400
	for i := range n {
		b.Produce(t, triggertest.Record{Body: fmt.Sprint(i)})
	}
	attributes, err := json.Marshal(b.attributes(nil))
	must(t, err)
	seen := mortal.Run(t, "http://KEY@"+b.addr+"\n"+string(attributes), 3, 80, n)
	again := 0
	for _, k := range seen {
		again += k - 1
	}
	if len(seen) != n {
		t.Errorf("%d of %d objects have run", len(seen), n)
	}
	t.Logf("%d runs more than objects over 3 kills", again)
}

// TestRemembered: what is remembered is bounded: the oldest go, and the floor rises
// above them.
func TestRemembered(t *testing.T) {
	t.Parallel()
	var s seen
	var more []fetched
	for i := range int64(300) {
		more = append(more, fetched{print: print(i), written: 1000 + i/10})
	}
	if s = s.with(more, 1005, 1000); len(s.prints) != 250 || s.floor != 0 {
		t.Errorf("%d are remembered, floor %d", len(s.prints), s.floor)
	}
	if s = s.with(nil, 0, 100); len(s.prints) != 100 || s.floor != 1020 {
		t.Errorf("%d are remembered, floor %d", len(s.prints), s.floor)
	}
	got, err := readSeen(s.bytes(), s.floor)
	must(t, err)
	if !maps.Equal(got.prints, s.prints) || got.floor != s.floor {
		t.Errorf("%v is read as %v", s, got)
	}
	if _, err := readSeen([]byte("x"), 0); err == nil {
		t.Error("half of a print was read")
	}
	p := position{Pass: 3, Since: 1000, Max: 9000, After: "z"}.next(500, 1020)
	if want := (position{Pass: 4, Since: 8500, Max: 9000}); p != want {
		t.Errorf("the next pass is %+v, want %+v", p, want)
	}
}

// million is a service with as many objects, which are made up as they are listed.
func million(t *testing.T) *httptest.Server {
	const objects = 1_000_000
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Query().Get("list-type") != "2" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		from, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Query().Get("start-after"), "key-"))
		if token := r.URL.Query().Get("continuation-token"); token != "" {
			from, _ = strconv.Atoi(token)
		}
		to := min(from+pageSize, objects)
		var b bytes.Buffer
		fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>suite</Name><KeyCount>%d</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>%v</IsTruncated><NextContinuationToken>%d</NextContinuationToken>`, to-from, to < objects, to)
		for i := from + 1; i <= to; i++ {
			fmt.Fprintf(&b, `<Contents><Key>key-%07d</Key><LastModified>%s</LastModified><ETag>"%032x"</ETag><Size>5</Size></Contents>`,
				i, time.Unix(1_700_000_000+int64(i), 0).UTC().Format(time.RFC3339), i)
		}
		b.WriteString("</ListBucketResult>")
		_, _ = w.Write(b.Bytes())
	}))
	t.Cleanup(s.Close)
	return s
}

// TestMillionObjects: the first page is there at once, and memory does not grow with
// those that were listed. The short form looks at the first 40,000.
func TestMillionObjects(t *testing.T) {
	s := million(t)
	cfg := defaults()
	cfg.Bucket, cfg.PageSize = "suite", 1000
	src := &source{cfg: cfg, at: address{host: s.Listener.Addr().String(), plain: true, credentials: credentials.NewStaticV4("KEY", "secret", "")}, settings: settings()}
	begun := time.Now()
	n, err := src.Connect(t.Context())
	must(t, err)
	defer func() { must(t, n.Close(context.Background())) }()
	q := n.(*session)
	after, total, first := "", 0, uint64(0)
	most := 40_000
	if *long {
		most = 1_000_000
	}
	for total < most {
		page, err := n.Poll(t.Context(), after, 1000)
		must(t, err)
		if total == 0 {
			t.Logf("the first page took %v", time.Since(begun))
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("the first page took %v", took)
			}
		}
		if len(page.Items) == 0 {
			t.Fatalf("nothing more after %d objects", total)
		}
		total += len(page.Items)
		after = page.Items[len(page.Items)-1].Cursor
		q.done(t, after)
		if total == 10_000 {
			first = heap()
		}
	}
	if last := heap(); last > first+8<<20 {
		t.Errorf("%d bytes after 10000 objects, and %d after %d", first, last, total)
	}
	t.Logf("%d objects in %v", total, time.Since(begun))
}

// done is what Save does, without a service that keeps places.
func (n *session) done(t *testing.T, cursor string) {
	t.Helper()
	pos, err := parsePosition(cursor)
	must(t, err)
	k := n.reached(cursor)
	n.seen = n.seen.with(n.pending[:k], max(pos.Since, pos.Max-n.src.cfg.Overlap.Std().Milliseconds()), n.src.cfg.Remember)
	n.pending = n.pending[k:]
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	const url = "https://KEY@s3.example.com"
	for name, c := range map[string]struct{ url, attributes, want string }{
		"no url":    {"", `{"bucket":"abc"}`, "url: is required"},
		"path":      {url + "/bucket", `{"bucket":"abc"}`, "the bucket is an attribute"},
		"no bucket": {url, `{}`, "bucket: is required"},
		"bucket":    {url, `{"bucket":"A_"}`, "bucket: "},
		"misspelt":  {url, `{"bucket":"abc","sufix":".csv"}`, "suffix"},
		"secret":    {"https://s3.example.com", `{"bucket":"abc"}`, "go together"},
		"remember":  {url, `{"bucket":"abc","remember":1}`, "remember: is 1"},
		"size":      {url, `{"bucket":"abc","maxSize":"2Gi"}`, "maxSize: is"},
	} {
		_, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{URL: c.url, Secret: "hidden"}}, []byte(c.attributes))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
}

var _ poll.Source = (*source)(nil)
