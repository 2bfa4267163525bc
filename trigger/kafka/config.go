package kafka

import (
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/kafka/link"
)

// Config is the trigger's attributes. Nuclio's names mean what they mean
// there; see [Nuclio] for those that are accepted and not used. What the spec
// has for all triggers (url, username, password, startAt) goes first.
type Config struct {
	// Brokers to connect to first, as host:port; the spec's url otherwise, in
	// which several are divided by commas.
	Brokers []string `json:"brokers,omitempty"`
	// Topics to read. A name that begins with ^ is a regular expression.
	Topics []string `json:"topics"`
	// ConsumerGroup whose members share the topics and keep one position.
	ConsumerGroup string `json:"consumerGroup"`
	// InitialOffset says where to begin without a checkpoint: earliest (the
	// default) or latest. The spec's startAt goes first.
	InitialOffset string `json:"initialOffset"`
	// OutOfRange says where to go on if retention has deleted what comes after
	// the checkpoint: earliest (the default), latest, or stop.
	OutOfRange string `json:"outOfRange"`
	// IsolationLevel is read_committed (the default) or read_uncommitted, which
	// brings records of transactions that are open or aborted as well.
	IsolationLevel string `json:"isolationLevel"`

	// GroupProtocol is classic (the default) or consumer, the protocol of Kafka
	// 4 in which the broker shares out. A broker without it gets classic.
	GroupProtocol string `json:"groupProtocol"`
	// BalanceStrategy of the classic protocol: cooperative-sticky (the default),
	// sticky, range or roundrobin; of the consumer protocol: range, or any other
	// for the broker's uniform one.
	BalanceStrategy string `json:"balanceStrategy"`
	// InstanceID makes this a static member, which may be away for a session
	// timeout and finds its shards again. Only for functions of one replica.
	InstanceID string `json:"instanceID,omitempty"`
	// Rack is where this processor is, for brokers that serve from near by.
	Rack string `json:"rack,omitempty"`
	// SessionTimeout is how long the group waits for a silent member; default 10s.
	SessionTimeout quantity.Duration `json:"sessionTimeout"`
	// HeartbeatInterval is how often a member is heard of; default 3s.
	HeartbeatInterval quantity.Duration `json:"heartbeatInterval"`
	// RebalanceTimeout is how long a member may take to finish what it runs
	// when shards are taken from it; default 60s.
	RebalanceTimeout quantity.Duration `json:"rebalanceTimeout"`
	// TransactionTimeout is after what time the broker aborts the transaction
	// of a processor that died, with guarantee exactlyOnce; default 15s. Until
	// then nobody reads on in its shards.
	TransactionTimeout quantity.Duration `json:"transactionTimeout"`
	// DialTimeout bounds one attempt to connect; default 5s.
	DialTimeout quantity.Duration `json:"dialTimeout"`

	// FetchMin is how much a broker gathers before it answers, unless
	// maxWaitTime passes; default 1 byte.
	FetchMin quantity.Size `json:"fetchMin"`
	// FetchDefault is how much of one shard is fetched at once; default 1 MiB. A
	// larger record comes whole all the same.
	FetchDefault quantity.Size `json:"fetchDefault"`
	// FetchMax is how much a broker answers at once; default 50 MiB.
	FetchMax quantity.Size `json:"fetchMax"`
	// MaxWaitTime is how long a broker may wait for fetchMin; default 250ms.
	MaxWaitTime quantity.Duration `json:"maxWaitTime"`
	// MaxMessageSize of what is sent to topics; default 1 MiB, as brokers have it.
	MaxMessageSize quantity.Size `json:"maxMessageSize"`

	SASL *link.SASL `json:"sasl,omitempty"`
	TLS  *link.TLS  `json:"tls,omitempty"`
	Nuclio
}

// Nuclio holds Nuclio's names. The certificates are used; the rest is
// accepted, so that a spec need not be changed, and has no effect: the engine
// waits for what runs, tries again and keeps order by its own fields.
type Nuclio struct {
	// CACert, AccessCertificate and AccessKey are PEM text, or files below SecretPath.
	CACert            string          `json:"caCert,omitempty"`
	AccessCertificate string          `json:"accessCertificate,omitempty"`
	AccessKey         quantity.Secret `json:"accessKey,omitempty"`
	SecretPath        string          `json:"secretPath,omitempty"`

	MaxProcessingTime             quantity.Duration `json:"maxProcessingTime,omitempty"`
	RebalanceRetryMax             int               `json:"rebalanceRetryMax,omitempty"`
	RebalanceRetryBackoff         quantity.Duration `json:"rebalanceRetryBackoff,omitempty"`
	RetryBackoff                  quantity.Duration `json:"retryBackoff,omitempty"`
	MaxWaitHandlerDuringRebalance quantity.Duration `json:"maxWaitHandlerDuringRebalance,omitempty"`
	WorkerAllocationMode          string            `json:"workerAllocationMode,omitempty"`
	ChannelBufferSize             int               `json:"channelBufferSize,omitempty"`
	AckWindowSize                 int               `json:"ackWindowSize,omitempty"`
	LogLevel                      int               `json:"logLevel,omitempty"`
	Version                       string            `json:"version,omitempty" document:"scalar"`
}
