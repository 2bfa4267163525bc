package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/kafka/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

// connects returns what Connect says; a session is closed again.
func connects(t *testing.T, src *Source, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	s, err := src.Connect(ctx, stream.Want{}, newDesk(t))
	if err != nil {
		return err
	}
	return s.Close(context.Background())
}

func wants(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// alone starts a broker for one test.
func alone(t *testing.T, opts ...servers.Option) *servers.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("Kafka takes a while to start")
	}
	return servers.Kafka(t, opts...)
}

// Whoever is refused is told as whom, where and why, without the password.
func TestWrongCredentials(t *testing.T) {
	k := alone(t, servers.Login("ann", "letmein"))
	cl := client(t, []string{k.Addr}, kgo.SASL((&link.SASL{User: "ann", Password: "letmein"}).Auth()))
	makeTopic(t, cl, "in", 1)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("letmein\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	brokers := []string{k.Addr}
	for _, mechanism := range []string{link.Plain, link.Scram256, link.Scram512} {
		sasl := func(password string) string {
			return fmt.Sprintf(`{"topics": ["in"], "sasl": {"mechanism": %q, "user": "ann", %s}}`, mechanism, password)
		}
		err := connects(t, source(t, brokers, sasl(`"password": "guess-7"`)), patience)
		wants(t, err, "ann", k.Addr, "refuses the user")
		if strings.Contains(err.Error(), "guess-7") {
			t.Errorf("%s: the password is told: %v", mechanism, err)
		}
		if err := connects(t, source(t, brokers, sasl(`"password": "letmein"`)), patience); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		if err := connects(t, source(t, brokers, sasl(fmt.Sprintf(`"passwordFile": %q`, file))), patience); err != nil {
			t.Errorf("%s, password from a file: %v", mechanism, err)
		}
	}
	byFields := source(t, brokers, `{"topics": ["in"]}`, func(s *function.Trigger) { s.Username, s.Password = "ann", "letmein" })
	if err := connects(t, byFields, patience); err != nil {
		t.Errorf("user and password of the trigger: %v", err)
	}
	wants(t, connects(t, source(t, brokers, `{"topics": ["in"], "sasl": {"user": "ann", "passwordFile": "/no/such/file"}}`), 10*time.Second), "/no/such/file")
}

// Certificates come from files, and a broker that is not trusted is not used. The
// broker is as Azure Event Hubs is: with TLS, and a connection string for a password.
func TestTLS(t *testing.T) {
	const secret = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=4f+s/Gh0=;EntityPath=in"
	k := alone(t, servers.WithTLS(), servers.ConnectionString(secret))
	login := &link.SASL{User: "$ConnectionString", Password: secret}
	makeTopic(t, client(t, []string{k.Addr}, kgo.DialTLSConfig(k.TLS), kgo.SASL(login.Auth())), "in", 1)
	asked := func(attributes string, password quantity.Secret) error {
		src := source(t, []string{k.Addr}, attributes, func(s *function.Trigger) { s.Username, s.Password = login.User, password })
		return connects(t, src, patience)
	}
	if err := asked(`{"topics": ["in"], "tls": {"insecureSkipVerify": true}}`, secret); err != nil {
		t.Errorf("unverified: %v", err)
	}
	if err := asked(fmt.Sprintf(`{"topics": ["in"], "tls": {"caFile": %q}}`, k.CAFile()), secret); err != nil {
		t.Errorf("verified: %v", err)
	}
	err := asked(fmt.Sprintf(`{"topics": ["in"], "tls": {"caFile": %q}}`, k.CAFile()), secret+"x")
	wants(t, err, "$ConnectionString", "refuses the user")
	if strings.Contains(err.Error(), "4f+s") {
		t.Errorf("the key is told: %v", err)
	}
	wants(t, asked(`{"topics": ["in"], "tls": {}}`, secret), "certificate")
	wants(t, asked(`{"topics": ["in"], "tls": {"caFile": "/no/such/file"}}`, secret), "tls.caFile")
	wants(t, asked(`{"topics": ["in"]}`, secret), k.Addr, "TLS")
}

// Nuclio's kind for Event Hubs is refused with what to write instead.
func TestEventHubsKind(t *testing.T) {
	t.Parallel()
	for attributes, want := range map[string]string{
		`{"namespace": "shop", "eventHubName": "orders", "sharedAccessKeyName": "listen", "sharedAccessKeyValue": "hush", "consumerGroup": "$Default"}`: "url shop.servicebus.windows.net:9093, topics [orders]",
		`{}`: "url NAMESPACE.servicebus.windows.net:9093, topics [EVENTHUB]",
	} {
		_, err := EventHub().New(trigger.Settings{Name: "in", Spec: function.Trigger{Kind: "eventhub"}}, []byte(attributes))
		wants(t, err, want, "docs/triggers/event-hubs.md", "kind kafka")
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("the key is told: %v", err)
		}
	}
}

// A topic that is not there is an error that says so, until it is there. So is
// a broker.
func TestTopicAbsent(t *testing.T) { each(t, topicAbsent) }

func topicAbsent(t *testing.T, c *cluster) {
	in := c.topic(t, 1)
	missing := name("missing")
	src := source(t, c.brokers, fmt.Sprintf(`{"topics": [%q, %q]}`, in, missing))
	err := connects(t, src, patience)
	wants(t, err, missing, "waiting")
	if strings.Contains(err.Error(), in+",") {
		t.Errorf("%v names a topic that is there", err)
	}
	makeTopic(t, c.cl, missing, 1)
	eventually(t, "the topic", func() bool { return connects(t, src, patience) == nil })
}

func TestBrokerAbsent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := source(t, []string{l.Addr().String()}, `{"topics": ["in"]}`)
	began := time.Now()
	wants(t, connects(t, silent, 500*time.Millisecond), l.Addr().String())
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %v to say that a broker does not answer", d)
	}
	_ = l.Close()
	wants(t, connects(t, silent, 10*time.Second), l.Addr().String(), "refused")
}

// Patterns take the topics that fit, also those that are made later, beside
// topics that are named.
func TestPatterns(t *testing.T) { each(t, patterns) }

func patterns(t *testing.T, c *cluster) {
	prefix, other := name("orders"), c.topic(t, 1)
	makeTopic(t, c.cl, prefix+"-eu", 1)
	makeTopic(t, c.cl, "x"+prefix+"-eu", 1)
	src := source(t, c.brokers, fmt.Sprintf(`{"topics": ["^%s-.*", %q], "consumerGroup": %q}`, prefix, other, prefix))
	d := newDesk(t).sit(src, stream.Want{})
	produce(t, c.cl, &kgo.Record{Topic: prefix + "-eu"}, &kgo.Record{Topic: "x" + prefix + "-eu"}, &kgo.Record{Topic: other})
	eventually(t, "a record of both", func() bool { return d.count() == 2 })
	makeTopic(t, c.cl, prefix+"-us", 1)
	produce(t, c.cl, &kgo.Record{Topic: prefix + "-us"})
	d.s.(*session).cl.ForceMetadataRefresh() // as it does by itself in a while
	eventually(t, "a record of the new topic", func() bool { return d.count() == 3 })
}

// Records that retention deleted before they were read are skipped from the
// first that is left, from the end, or not at all.
func TestRetentionPastTheCheckpoint(t *testing.T) {
	for policy, first := range map[string]string{"earliest": "6", "latest": "new", "stop": ""} {
		t.Run(policy, func(t *testing.T) {
			each(t, func(t *testing.T, c *cluster) { retention(t, c, policy, first) })
		})
	}
}

func retention(t *testing.T, c *cluster, policy, first string) {
	in := c.topic(t, 1)
	produce(t, c.cl, numbered(in, 0, 0, 10)...)
	src := c.source(t, in, fmt.Sprintf(`, "outOfRange": %q`, policy))
	d := newDesk(t).sit(src, stream.Want{})
	eventually(t, "10 records", func() bool { return d.count() == 10 })
	ps := d.all()
	ps[0].Next = 3
	if err := d.s.Commit(context.Background(), ps); err != nil {
		t.Fatal(err)
	}
	d.leave(false)
	if _, err := kadm.NewClient(c.cl).DeleteRecords(context.Background(), kadm.Offsets{in: {0: {Topic: in, At: 6, Partition: 0}}}); err != nil {
		t.Fatal(err)
	}

	d = newDesk(t)
	d.commits = false
	d.sit(src, stream.Want{})
	if policy == "stop" {
		eventually(t, "the failure", func() bool { return d.failure() != nil })
		if wants(t, d.failure(), in, "outOfRange"); !errors.Is(d.failure(), kerr.OffsetOutOfRange) {
			t.Errorf("failure %v", d.failure())
		}
		return
	}
	if policy == "latest" {
		eventually(t, "a place at the end", func() bool {
			produce(t, c.cl, &kgo.Record{Topic: in, Value: []byte("new")})
			return d.count() > 0
		})
	}
	eventually(t, "records", func() bool { return d.count() > 0 })
	if got := d.of(shard{in, 0})[0]; got != first {
		t.Errorf("went on with %q, want %q", got, first)
	}
}

// A topic that is made anew with fewer shards is read from its beginning: the
// session ends, and what the old topic's leases still commit does not count.
func TestTopicMadeAnew(t *testing.T) { each(t, madeAnew) }

func madeAnew(t *testing.T, c *cluster) {
	in := c.topic(t, 3)
	for p := range int32(3) {
		produce(t, c.cl, numbered(in, p, 0, 10)...)
	}
	src := c.source(t, in, "")
	d := newDesk(t)
	d.commits = false
	d.sit(src, stream.Want{})
	eventually(t, "30 records", func() bool { return d.count() == 30 })
	ps := d.all()
	adm := kadm.NewClient(c.cl)
	if _, err := adm.DeleteTopic(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new topic", func() bool {
		_, err := adm.CreateTopic(context.Background(), 2, 1, nil, in)
		return err == nil
	})
	fresh := client(t, c.brokers)
	for p := range int32(2) {
		produce(t, fresh, numbered(in, p, 100, 5)...)
	}
	n := d.s.(*session)
	err := n.Commit(context.Background(), ps)
	if err == nil && c.committed(t, in, 0) == 10 {
		t.Error("a checkpoint of the old topic was stored for the new one")
	}
	if err != nil {
		wants(t, err, in, "made anew")
	}
	n.cl.ForceMetadataRefresh() // as it does by itself in a while
	eventually(t, "the end of the session", func() bool { return d.failure() != nil || d.shards() == 0 })
	d.leave(false)

	next := newDesk(t).sit(src, stream.Want{})
	eventually(t, "10 records", func() bool { return next.count() == 10 })
	if l := next.lease(shard{in, 0}); l.Shards != 2 || next.shards() != 2 {
		t.Errorf("%d shards, lease %+v", next.shards(), l)
	}
}

// A record that is larger than what is fetched at once comes whole.
func TestOversizedRecord(t *testing.T) { each(t, oversized) }

func oversized(t *testing.T, c *cluster) {
	in := c.topic(t, 1)
	big := strings.Repeat("x", 300_000)
	produce(t, c.cl, &kgo.Record{Topic: in, Value: []byte(big)}, &kgo.Record{Topic: in, Value: []byte("small")})
	d := newDesk(t).sit(c.source(t, in, `, "fetchDefault": "1Ki", "fetchMax": "2Ki"`), stream.Want{})
	eventually(t, "both records", func() bool { return d.count() == 2 })
	if got := d.of(shard{in, 0}); got[0] != big || got[1] != "small" {
		t.Errorf("%d and %d bytes", len(got[0]), len(got[1]))
	}
}

// A paused shard brings nothing while the others go on.
func TestPauseShard(t *testing.T) { each(t, pauses) }

func pauses(t *testing.T, c *cluster) {
	in := c.topic(t, 2)
	d := newDesk(t).sit(c.source(t, in, ""), stream.Want{})
	eventually(t, "both shards", func() bool { return d.shards() == 2 })
	p := d.s.(stream.Pauser)
	p.Pause(d.lease(shard{in, 0}))
	produce(t, c.cl, append(numbered(in, 0, 0, 5), numbered(in, 1, 0, 5)...)...)
	eventually(t, "5 records", func() bool { return d.count() == 5 })
	produce(t, c.cl, numbered(in, 1, 5, 5)...)
	eventually(t, "10 records", func() bool { return d.count() == 10 })
	if n := len(d.of(shard{in, 0})); n != 0 {
		t.Errorf("%d records of a paused shard", n)
	}
	p.Resume(d.lease(shard{in, 0}))
	eventually(t, "15 records", func() bool { return d.count() == 15 })
}

// A transaction and Close are soon over when nobody answers, and do not leak.
func TestCloseWithoutBroker(t *testing.T) {
	k := alone(t)
	cl := client(t, []string{k.Addr})
	makeTopic(t, cl, "in", 1)
	makeTopic(t, cl, "out", 1)
	produce(t, cl, numbered("in", 0, 0, 3)...)
	d := newDesk(t)
	d.commits = false
	d.sit(source(t, []string{k.Addr}, `{"topics": ["in"], "transactionTimeout": "2s"}`, exactly), inTransactions)
	eventually(t, "3 records", func() bool { return d.count() == 3 })
	transact := func(next int64, answer string) error {
		ps := d.all()
		ps[0].Next = next
		return d.s.(stream.Transactor).Transact(context.Background(), answers("out", answer), ps)
	}
	if err := transact(1, "0"); err != nil {
		t.Fatal(err)
	}
	if err := k.Pause(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := transact(2, "1"); err == nil {
		t.Error("a transaction has ended that nobody could hear of")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the transaction took %v", took)
	}
	s := d.s
	d.s = nil
	d.stop()
	<-d.finished
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	began = time.Now()
	if err := s.Close(ctx); err == nil {
		t.Error("it left a group that nobody could tell")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("Close took %v", took)
	}
}
