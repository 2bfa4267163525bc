package servers

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/myelin-run/myelin/test/fault"
)

func kafkaClient(t *testing.T, addr string, cfg *tls.Config, login sasl.Mechanism, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts := append([]kgo.Opt{kgo.SeedBrokers(addr)}, more...)
	if cfg != nil {
		opts = append(opts, kgo.DialTLSConfig(cfg))
	}
	if login != nil {
		opts = append(opts, kgo.SASL(login))
	}
	c, err := kgo.NewClient(opts...)
	check(t, err)
	t.Cleanup(c.Close)
	return c
}

func kafkaLogin(s *Server) sasl.Mechanism {
	if s.User == "" {
		return nil
	}
	return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism()
}

func putKafka(t *testing.T, s *Server) { putKafkaCopies(t, s, 1) }

func putKafkaCopies(t *testing.T, s *Server, copies int16) {
	t.Helper()
	c := kafkaClient(t, s.Addr, s.TLS, kafkaLogin(s))
	_, err := kadm.NewClient(c).CreateTopic(limit(t), 1, copies, nil, "t")
	check(t, err)
	check(t, c.ProduceSync(limit(t), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr())
}

// lookKafka reads from the topic's beginning, past groups.
func lookKafka(t *testing.T, s *Server) {
	t.Helper()
	c := kafkaClient(t, s.Addr, s.TLS, kafkaLogin(s), kgo.ConsumeTopics("t"))
	records := c.PollFetches(limit(t)).Records()
	if len(records) == 0 || string(records[0].Value) != "v" {
		t.Fatalf("topic holds %v", records)
	}
}

func TestKafka(t *testing.T) { lasts(t, took(t, Kafka), putKafka, lookKafka) }

// Classic groups, KIP-848's and share groups all get their records.
func TestKafkaGroups(t *testing.T) {
	s := shared.Kafka(t)
	putKafka(t, s)
	fromStart(t, kafkaClient(t, s.Addr, nil, nil), "share")
	for name, opts := range map[string][]kgo.Opt{
		"classic": {kgo.ConsumerGroup("classic"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())},
		"kip848":  {kgo.ConsumerGroup("kip848"), kgo.ServerSideBalancer(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())},
		"share":   {kgo.ShareGroup("share")},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			c := kafkaClient(t, s.Addr, nil, nil, append(opts, kgo.ConsumeTopics("t"))...)
			fetches := c.PollFetches(limit(t))
			if records := fetches.Records(); len(records) == 0 || string(records[0].Value) != "v" {
				t.Fatalf("group gets %v, %v", records, fetches.Err())
			}
			t.Logf("first record after %s", time.Since(began).Round(time.Millisecond))
		})
	}
}

// fromStart lets a share group have what was there before it.
func fromStart(t *testing.T, c *kgo.Client, group string) {
	t.Helper()
	value := "earliest"
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "share.auto.offset.reset", &value
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	resource.Configs = append(resource.Configs, config)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(limit(t), c)
	check(t, err)
	check(t, kerr.ErrorForCode(answer.Resources[0].ErrorCode))
}

func TestKafkaLogin(t *testing.T) {
	s := took(t, Kafka, Login("ann", "secret"), WithTLS())
	lasts(t, s, putKafka, lookKafka)
	for name, m := range map[string]sasl.Mechanism{
		"plain":     plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(),
		"scram-256": scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(),
	} {
		if err := kafkaClient(t, s.Addr, s.TLS, m).Ping(limit(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := scram.Auth{User: s.User, Pass: "wrong"}.AsSha512Mechanism()
	if kafkaClient(t, s.Addr, s.TLS, wrong, kgo.RequestRetries(0)).Ping(limit(t)) == nil {
		t.Error("a wrong password is let in")
	}
}

// With three brokers, the death of one loses nothing and stops nobody.
func TestKafkaCluster(t *testing.T) {
	began := time.Now()
	c := KafkaCluster(t, 3)
	t.Logf("three brokers serve after %s", time.Since(began).Round(time.Millisecond))
	putKafkaCopies(t, c.Brokers[0], 3)
	check(t, c.Brokers[0].Kill())
	lookKafka(t, c.Brokers[1])
	began = time.Now()
	check(t, c.Brokers[0].Start())
	t.Logf("the killed one served again after %s", time.Since(began).Round(time.Millisecond))
	lookKafka(t, c.Brokers[0])
}

// Clients that are sent to a proxy are cut off with it; the broker is not.
func TestKafkaThroughProxy(t *testing.T) {
	var proxy *fault.Proxy
	s := Kafka(t, Advertise(func(addr string) string {
		p, err := fault.Listen(addr)
		check(t, err)
		t.Cleanup(func() { check(t, p.Close()) })
		proxy = p
		return p.Addr()
	}))
	putKafka(t, s) // begins at the broker's own address, and is sent to the proxy
	c := kafkaClient(t, s.Advertised, nil, nil)
	check(t, c.ProduceSync(limit(t), &kgo.Record{Topic: "t", Value: []byte("w")}).FirstErr())
	check(t, proxy.Cut())
	done := make(chan error, 1)
	c.Produce(limit(t), &kgo.Record{Topic: "t", Value: []byte("x")}, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		t.Fatalf("produced through a cut: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	check(t, s.lists(limit(t), 1))
	check(t, proxy.Restore())
	check(t, <-done)
}
