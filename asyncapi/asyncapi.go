// Package asyncapi writes down where a function's events come from and where it
// sends others, as an AsyncAPI 3.0 document. Components that know a source say
// so by a [Description]; what a document looks like is known here and nowhere
// else. It knows no kind of source, and no secret is ever given to it.
package asyncapi

// Version of the specification that documents follow.
const Version = "3.0.0"

// Bindings are what AsyncAPI's bindings of a protocol have to say, by the names
// that they have there. Nil: nothing.
type Bindings map[string]any

// Description is where events come from by one protocol. It holds nothing that
// is not for everybody's eyes: no user, no password, no key.
type Description struct {
	// Protocol whose bindings are meant, as AsyncAPI calls it: "kafka". Without
	// one there are no bindings.
	Protocol string
	// Servers on which the channels are, all of them on each. A source that no
	// network leads to has a [Local] one, for a channel without any would be on all
	// that the document has.
	Servers  []Server
	Channels []Channel
	// Channel is the channel of a topic, queue or subject that letters are sent
	// to at the same servers; nil: one without bindings.
	Channel func(name string) Channel
	// Typed says that messages have a content type, so that one may be a CloudEvent
	// in structured mode.
	Typed bool
	// CloudEvent is what the attributes of a CloudEvent in binary mode begin with
	// among the headers, "ce-"; nil if the protocol has no such mode.
	CloudEvent *string
}

// Server is where a source is.
type Server struct {
	Host string // host:port; "": where the function itself listens, with HTTP
	// Path under which all channels are; "": none.
	Path string
	// Protocol as AsyncAPI calls it, with TLS another than without: "kafka-secure".
	Protocol, ProtocolVersion string
	// Security is how one shows who one is: a type of AsyncAPI's security schemes,
	// such as "userPassword"; "": nobody asks, or it is not known.
	Security string
	// Variables are what stands in the host between { and }, and what it is.
	Variables map[string]string
	About     string
	Bindings  Bindings
}

// Local is the machine that the function runs on.
func Local(protocol string) Server {
	return Server{Host: "localhost", Protocol: protocol, About: "The machine that the function runs on."}
}

// Channel is a topic, a queue, a path: where messages are.
type Channel struct {
	// Address at the server; "": there is none, or it is known only when it runs.
	Address string
	// Parameters are what stands in the address between { and }, and what it is.
	// Braces of an address that are no parameter's stand for themselves.
	Parameters map[string]string
	// About is what a reader should know beyond the address.
	About    string
	Channel  Bindings
	Message  Message
	Receives Bindings // of the operation that receives from it
	Sends    Bindings // of the operation that sends to it
	// Answers says that who sent a message may have an answer; "here" is on the
	// same channel, as in HTTP.
	Answers Answer
	// Answer is the answer's message.
	Answer Message
}

// Answer says where the answer to a message goes.
type Answer int

// Where answers go.
const (
	Never   Answer = iota
	Here           // back by the same channel
	AsAsked        // where the message itself says
)

// Message is what is on a channel.
type Message struct {
	Title string
	// Headers that the protocol or the trigger brings, and what they are. There may
	// be others.
	Headers map[string]string
	// Required are the headers that are always there.
	Required []string
	// ContentType if it is always the same.
	ContentType string
	// Payload is its schema, a JSON schema, if it is known.
	Payload map[string]any
	About   string
	// Bindings of the protocol.
	Bindings Bindings
}
