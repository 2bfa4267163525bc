package servers

import (
	"fmt"
	"strings"
)

// kafkaLog writes what Kafka has to say to its standard output.
const kafkaLog = `rootLogger.level = INFO
rootLogger.appenderRefs = out
rootLogger.appenderRef.out.ref = OUT
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %p %m (%c{1})%n
logger.config.name = org.apache.kafka.common.config
logger.config.level = WARN
logger.tools.name = org.apache.kafka.server.config
logger.tools.level = WARN
`

// brokerConf is the configuration of a broker with a vote. CLIENT is the
// listener of the test; brokers talk to each other on ones of their own, which
// no login, certificate or proxy is in the way of.
func brokerConf(s *Server, id int, quorum string, brokers int, o options) string {
	var b strings.Builder
	set := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }
	client, between, controller := s.ports[0], s.ports[1], s.ports[2]
	set("process.roles", "broker,controller")
	set("node.id", id)
	set("controller.quorum.voters", quorum)
	set("listeners", fmt.Sprintf("CLIENT://%s,BETWEEN://%s,CONTROLLER://%s", client.Addr(), between.Addr(), controller.Addr()))
	set("advertised.listeners", fmt.Sprintf("CLIENT://%s,BETWEEN://%s", s.Advertised, between.Addr()))
	set("listener.security.protocol.map", "CLIENT:"+protocol(o)+",BETWEEN:PLAINTEXT,CONTROLLER:PLAINTEXT")
	set("inter.broker.listener.name", "BETWEEN")
	set("controller.listener.names", "CONTROLLER")
	set("log.dirs", s.path("data"))
	secure(s, o, set)

	// What Kafka keeps for itself: small, and on up to three brokers.
	copies := min(brokers, 3)
	for _, topic := range []string{"offsets.topic", "transaction.state.log", "share.coordinator.state.topic"} {
		set(topic+".replication.factor", copies)
		set(topic+".num.partitions", 4)
	}
	set("transaction.state.log.min.isr", (copies+1)/2)
	set("share.coordinator.state.topic.min.isr", (copies+1)/2)
	set("auto.create.topics.enable", false) // a wrong name is an error
	set("num.network.threads", 2)
	set("num.io.threads", 4)
	set("log.cleaner.dedupe.buffer.size", 8<<20)

	// Tests of death and rebalancing should not take minutes.
	set("group.initial.rebalance.delay.ms", 0)
	set("group.min.session.timeout.ms", 500)
	set("group.consumer.min.session.timeout.ms", 1000)
	set("group.consumer.session.timeout.ms", 6000)
	set("group.consumer.min.heartbeat.interval.ms", 200)
	set("group.consumer.heartbeat.interval.ms", 500)
	set("broker.session.timeout.ms", 4000)
	set("broker.heartbeat.interval.ms", 500)
	return b.String()
}

func protocol(o options) string {
	switch {
	case o.tls && o.login:
		return "SASL_SSL"
	case o.tls:
		return "SSL"
	case o.login:
		return "SASL_PLAINTEXT"
	}
	return "PLAINTEXT"
}

// secure configures the login and the certificate of the client's listener.
func secure(s *Server, o options, set func(string, any)) {
	const client = "listener.name.client."
	if o.tls {
		set(client+"ssl.keystore.type", "PEM")
		set(client+"ssl.keystore.location", s.path(bundleFile))
	}
	if o.login {
		const jaas, security = ".sasl.jaas.config", "org.apache.kafka.common.security."
		set(client+"plain"+jaas, fmt.Sprintf("%splain.PlainLoginModule required user_%s=\"%s\";", security, o.user, o.password))
		if o.plain {
			set("sasl.enabled.mechanisms", "PLAIN")
			return
		}
		set("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512")
		set(client+"scram-sha-256"+jaas, security+"scram.ScramLoginModule required;")
		set(client+"scram-sha-512"+jaas, security+"scram.ScramLoginModule required;")
	}
}
