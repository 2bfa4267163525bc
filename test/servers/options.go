package servers

import (
	"errors"
	"regexp"
	"slices"
)

// Option changes a server from its plain form, which lets everybody in.
type Option func(*options)

type options struct {
	user, password string
	login, tls     bool
	plain          bool // Kafka's login by SASL/PLAIN alone
	nkey           string
	forbid         string
	operator       *operator
	tokens         *tokens
	jvm            []string
	synced         bool
	room           string
	distant        bool
	advertise      func(addr string) string
}

func gather(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

var (
	word       = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
	connection = regexp.MustCompile(`^[A-Za-z0-9._=:;/+-]*$`)
)

// validate keeps a login from being more than a word of a configuration file.
func (o options) validate() error {
	if !word.MatchString(o.nkey) {
		return errors.New("an nkey has letters and digits only")
	}
	if o.plain && !connection.MatchString(o.password) {
		return errors.New("a connection string takes letters, digits, '.', '_', '-', '=', ':', ';', '/' and '+' only")
	}
	if !o.plain && (!word.MatchString(o.user) || !word.MatchString(o.password)) {
		return errors.New("a login takes letters, digits, '.', '_' and '-' only")
	}
	if o.login && o.password == "" {
		return errors.New("a login needs a password")
	}
	return nil
}

// ConnectionString lets clients of Kafka in by SASL/PLAIN alone and as Azure Event
// Hubs does: with the name $ConnectionString, and this as the password.
func ConnectionString(s string) Option {
	return func(o *options) { o.login, o.plain, o.user, o.password = true, true, "$ConnectionString", s }
}

// Login lets clients in with this name and password only: Kafka by SASL/PLAIN,
// SCRAM-SHA-256 and SCRAM-SHA-512. With no name, the password is NATS's token
// and Redis's requirepass; the others need a name.
func Login(user, password string) Option {
	return func(o *options) { o.user, o.password, o.login = user, password, true }
}

// NKey lets clients of NATS in that prove to have the seed of this public key.
func NKey(public string) Option { return func(o *options) { o.nkey = public } }

// Forbid keeps the user of Login from a subject of NATS, both ways.
func Forbid(subject string) Option { return func(o *options) { o.forbid = subject } }

// operator is who vouches for accounts of NATS, and what is known of one.
type operator struct{ token, account, accountToken string }

// Operator lets clients of NATS in that have a JWT of this account, which has
// to have a JWT of this operator. Such a server has no JetStream.
func Operator(operatorJWT, account, accountJWT string) Option {
	return func(o *options) { o.operator = &operator{operatorJWT, account, accountJWT} }
}

// WithTLS makes the server speak TLS only, with a certificate for 127.0.0.1 and
// localhost that Server.TLS trusts.
func WithTLS() Option { return func(o *options) { o.tls = true } }

// Advertise makes a Kafka broker send its clients to another address, a
// proxy's say, which choose gets for the broker's own. It is called once for
// each broker, before the broker starts. Brokers go on to talk to each other directly.
func Advertise(choose func(addr string) string) Option {
	return func(o *options) { o.advertise = choose }
}

// JVM gives Kafka's Java further flags, for a benchmark say.
func JVM(flags ...string) Option {
	return func(o *options) { o.jvm = append(slices.Clone(o.jvm), flags...) }
}

// Room gives a Docker a disk of its own, of a size such as "256m", which Fill fills.
func Room(size string) Option { return func(o *options) { o.room = size } }

// Distant gives a Docker a machine of its own, as far as that goes: it is reached by TCP
// and TLS, with the certificates of Server.Certificates, over a link that Cut cuts, and sees no
// temporary files of this machine. What its containers publish is reached as on a network.
func Distant() Option { return func(o *options) { o.distant = true } }

// Synced has PostgreSQL wait for the disk before it confirms, as it does where
// it is installed.
func Synced() Option { return func(o *options) { o.synced = true } }
