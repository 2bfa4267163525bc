package link

import (
	"net/url"

	"github.com/myelin-run/myelin/asyncapi"
)

// Protocol is that of NATS among AsyncAPI's bindings, and BindingVersion the one
// that is written.
const (
	Protocol       = "nats"
	BindingVersion = "0.1.0"
)

// Describe says where the servers are.
func (d *Dialer) Describe() (out []asyncapi.Server) {
	security := ""
	switch {
	case d.to.user != "":
		security = "userPassword"
	case d.opts.NKeyFile != "" || d.opts.CredentialsFile != "":
		security = "asymmetricEncryption"
	}
	for _, s := range d.to.servers {
		u, err := url.Parse(s)
		if err != nil { // New has parsed it
			continue
		}
		host := u.Host
		if u.Port() == "" && (u.Scheme == "nats" || u.Scheme == "tls") {
			host += ":4222"
		}
		out = append(out, asyncapi.Server{Host: host, Protocol: u.Scheme, Security: security})
	}
	return out
}

// Described is a subject with what a message of NATS brings.
func Described(subject string) asyncapi.Channel {
	return asyncapi.Channel{Address: subject, Message: asyncapi.Message{
		Headers: map[string]string{"Content-Type": "What the data is.", "Nats-Msg-Id": "Id of the event; without it one is made."}}}
}
