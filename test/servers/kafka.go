package servers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaRelease is what tools/kafka/pom.xml names; a test keeps the two equal.
const kafkaRelease = "4.3.1"

var kafka = kind{"kafka", func(s *Server, o options) error { return configureKafka([]*Server{s}, o) }}

// Kafka starts one broker, its own quorum. Topics are not made by being named.
func Kafka(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, kafka, opts)
}

// Cluster is brokers of one quorum, every one with a vote.
type Cluster struct{ Brokers []*Server }

// Addrs is where clients connect, each broker as it is advertised.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, b := range c.Brokers {
		addrs = append(addrs, b.Advertised)
	}
	return addrs
}

// KafkaCluster starts n brokers, with three copies of what Kafka keeps for
// itself if there are so many. Its node ids begin with 1.
func KafkaCluster(t T, n int, opts ...Option) *Cluster {
	t.Helper()
	c, o := &Cluster{}, gather(opts)
	for i := range n {
		s, err := prepare(kind{fmt.Sprintf("kafka-%d", i+1), func(*Server, options) error { return nil }}, t.TempDir(), o)
		if err != nil {
			t.Fatalf("prepare kafka: %v", err)
		}
		t.Cleanup(func() { finish(t, s) })
		c.Brokers = append(c.Brokers, s)
	}
	if err := configureKafka(c.Brokers, o); err != nil {
		t.Fatalf("prepare kafka: %v", err)
	}
	if err := together(c.Brokers, func(s *Server) error { return s.Start() }); err != nil {
		t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for _, s := range c.Brokers { // each is served by itself; now by all of them
		for s.lists(ctx, n) != nil && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if ctx.Err() != nil {
		t.Fatalf("kafka: %d brokers have not found each other after %s", n, startLimit)
	}
	return c
}

func together(brokers []*Server, do func(*Server) error) error {
	errs := make([]error, len(brokers))
	var all sync.WaitGroup
	for i, s := range brokers {
		all.Go(func() { errs[i] = do(s) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func configureKafka(brokers []*Server, o options) error {
	jars, err := fetched("kafka-" + kafkaRelease)
	if err != nil {
		return err
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return fmt.Errorf("java is not installed; %s", installHint)
	}
	if o.login && o.user == "" {
		return errors.New("kafka needs a name to log in")
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	quorum, err := voters(brokers)
	if err != nil {
		return err
	}
	return together(brokers, func(s *Server) error {
		if o.advertise != nil {
			s.Advertised = o.advertise(s.Addr)
		}
		j := jvm{java: java, jars: jars, s: s, flags: o.jvm}
		conf := brokerConf(s, slices.Index(brokers, s)+1, quorum, len(brokers), o)
		if err := errors.Join(s.write("kafka.properties", conf), s.write("log4j2.properties", kafkaLog)); err != nil {
			return err
		}
		s.program.command = func() *exec.Cmd { return j.command("kafka.Kafka", s.path("kafka.properties")) }
		s.program.ready = func(ctx context.Context) error { return s.lists(ctx, 1) }
		return j.format(base64.RawURLEncoding.EncodeToString(id), o)
	})
}

// voters takes each broker's further ports, and says where the quorum is.
func voters(brokers []*Server) (string, error) {
	var all []string
	for i, s := range brokers {
		if _, err := s.port(); err != nil { // between brokers
			return "", err
		}
		p, err := s.port() // the quorum's
		if err != nil {
			return "", err
		}
		all = append(all, fmt.Sprintf("%d@%s", i+1, p.Addr()))
	}
	return strings.Join(all, ","), nil
}

// lists asks a broker, past its advertised address, whether it serves and knows
// at least n brokers.
func (s *Server) lists(ctx context.Context, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.ports[1].Addr()), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(answer.Brokers) < n || answer.ControllerID < 0 {
		return fmt.Errorf("it lists %d brokers of %d, controller %d", len(answer.Brokers), n, answer.ControllerID)
	}
	return nil
}

// jvm runs Kafka's classes for one broker.
type jvm struct {
	java, jars string
	s          *Server
	flags      []string
}

func (j jvm) command(args ...string) *exec.Cmd {
	// Short lives and few cores: quick to start matters, and not the last tenth of speed.
	flags := []string{"-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Djava.io.tmpdir=" + j.s.dir, "-Dlog4j2.configurationFile=" + j.s.path("log4j2.properties")}
	flags = append(flags, j.flags...)
	return exec.Command(j.java, append(append(flags, "-cp", filepath.Join(j.jars, "*")), args...)...)
}

func (j jvm) format(cluster string, o options) error {
	args := []string{"kafka.tools.StorageTool", "format", "--cluster-id=" + cluster, "-c", j.s.path("kafka.properties")}
	if o.login && !o.plain {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, o.user, o.password))
		}
	}
	out, err := j.command(args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("format storage: %w: %s", err, out)
	}
	return nil
}
