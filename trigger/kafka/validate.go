package kafka

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/kafka/link"
)

func defaults() Config {
	return Config{
		InitialOffset: "earliest", OutOfRange: "earliest", IsolationLevel: "read_committed",
		GroupProtocol: "classic", BalanceStrategy: "cooperative-sticky",
		SessionTimeout: span(10 * time.Second), HeartbeatInterval: span(3 * time.Second),
		RebalanceTimeout: span(time.Minute), TransactionTimeout: span(15 * time.Second), DialTimeout: span(5 * time.Second),
		FetchMin: 1, FetchDefault: 1 << 20, FetchMax: 50 << 20, MaxWaitTime: span(250 * time.Millisecond),
		MaxMessageSize: 1 << 20,
	}
}

func span(d time.Duration) quantity.Duration { return quantity.Duration(d) }

// Validate reports all that is wrong.
func (c *Config) Validate() error {
	var es document.Errors
	c.checkNames(&es)
	c.checkTimes(&es)
	c.checkSizes(&es)
	if c.SASL != nil {
		c.SASL.Check(&es)
	}
	c.checkTLS(&es)
	return es.Err()
}

func (c *Config) checkNames(es *document.Errors) {
	for i, b := range c.Brokers {
		link.CheckBroker(es, fmt.Sprintf("brokers[%d]", i), b)
	}
	if len(c.Topics) == 0 {
		es.Add("topics", "is required: the topics to read")
	}
	for i, t := range c.Topics {
		checkTopic(es, fmt.Sprintf("topics[%d]", i), t)
	}
	if c.ConsumerGroup == "" {
		es.Add("consumerGroup", "is required: the group that keeps the function's position")
	}
	link.Word(es, "initialOffset", c.InitialOffset, "earliest", "latest")
	link.Word(es, "outOfRange", c.OutOfRange, "earliest", "latest", "stop")
	link.Word(es, "isolationLevel", c.IsolationLevel, "read_committed", "read_uncommitted")
	link.Word(es, "groupProtocol", c.GroupProtocol, "classic", "consumer")
	link.Word(es, "balanceStrategy", c.BalanceStrategy, "cooperative-sticky", "sticky", "range", "roundrobin")
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func checkTopic(es *document.Errors, path, t string) {
	if strings.HasPrefix(t, "^") {
		if _, err := regexp.Compile(t); err != nil {
			es.Add(path, "%v", err)
		}
		return
	}
	if !topicName.MatchString(t) || t == "." || t == ".." {
		es.Add(path, "%q is no topic: at most 249 letters, digits, dots, underscores and dashes; ^ begins a regular expression", t)
	}
}

func (c *Config) checkTimes(es *document.Errors) {
	for path, d := range map[string]quantity.Duration{
		"sessionTimeout": c.SessionTimeout, "heartbeatInterval": c.HeartbeatInterval, "rebalanceTimeout": c.RebalanceTimeout,
		"transactionTimeout": c.TransactionTimeout, "dialTimeout": c.DialTimeout, "maxWaitTime": c.MaxWaitTime,
	} {
		if d.Std() < time.Millisecond {
			es.Add(path, "is %v, expected at least 1ms", d)
		}
	}
	if c.HeartbeatInterval >= c.SessionTimeout {
		es.Add("heartbeatInterval", "is %v, expected less than sessionTimeout, %v; a third of it is good", c.HeartbeatInterval, c.SessionTimeout)
	}
}

func (c *Config) checkSizes(es *document.Errors) {
	if c.FetchMax == 0 { // Nuclio's word for no limit of its own
		c.FetchMax = defaults().FetchMax
	}
	for path, n := range map[string]quantity.Size{
		"fetchMin": c.FetchMin, "fetchDefault": c.FetchDefault, "fetchMax": c.FetchMax, "maxMessageSize": c.MaxMessageSize,
	} {
		if n < 1 || n > 1<<30 {
			es.Add(path, "is %v, expected 1 byte to 1Gi", n)
		}
	}
	if c.FetchMin > c.FetchMax {
		es.Add("fetchMin", "is %v, more than fetchMax, %v", c.FetchMin, c.FetchMax)
	}
}

func (c *Config) checkTLS(es *document.Errors) {
	if c.TLS != nil {
		c.TLS.Check(es)
	}
	if (c.AccessCertificate == "") != (c.AccessKey == "") {
		es.Add("accessCertificate", "accessCertificate and accessKey are given together or not at all")
	}
}
