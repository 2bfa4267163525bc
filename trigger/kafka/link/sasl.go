package link

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// SASL is how the processor says who it is.
type SASL struct {
	// Enable may be false to keep the settings without using them.
	Enable *bool `json:"enable,omitempty"`
	// Mechanism is PLAIN (the default), SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.
	Mechanism string `json:"mechanism,omitempty"`
	// User and Password; the spec's username and password go first.
	User     string          `json:"user,omitempty"`
	Password quantity.Secret `json:"password,omitempty"`
	// PasswordFile holds the password; read at each connecting.
	PasswordFile string `json:"passwordFile,omitempty"`
	// OAuth is where tokens come from, for OAUTHBEARER.
	OAuth *OAuth `json:"oauth,omitempty"`
	// Handshake is Nuclio's and always true here.
	Handshake *bool `json:"handshake,omitempty"`
}

// OAuth is a token endpoint with client credentials.
type OAuth struct {
	ClientID     string          `json:"clientID,omitempty"`
	ClientSecret quantity.Secret `json:"clientSecret,omitempty"`
	TokenURL     string          `json:"tokenURL,omitempty"`
	Scopes       []string        `json:"scopes,omitempty"`
}

// With returns s with the user and password that a spec has outside of it.
func (s *SASL) With(user string, password quantity.Secret) *SASL {
	if user == "" && password == "" {
		return s
	}
	with := SASL{}
	if s != nil {
		with = *s
	}
	if user != "" {
		with.User = user
	}
	if password != "" {
		with.Password, with.PasswordFile = password, ""
	}
	return &with
}

// On reports whether it is used.
func (s *SASL) On() bool { return s != nil && (s.Enable == nil || *s.Enable) }

// Nameless reports whether it needs a user and has none.
func (s *SASL) Nameless() bool { return s.On() && s.mechanism() != OAuthBearer && s.User == "" }

func (s *SASL) mechanism() string {
	if s.Mechanism == "" {
		return Plain
	}
	return strings.ToUpper(s.Mechanism)
}

func (s *SASL) password() (string, error) {
	if s.PasswordFile == "" {
		return s.Password.Reveal(), nil
	}
	text, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// Auth is how the client says who it is; files are read when it is used.
func (s *SASL) Auth() sasl.Mechanism {
	switch s.mechanism() {
	case OAuthBearer:
		return oauth.Oauth(s.OAuth.token)
	case Scram256:
		return scram.Sha256(s.scram)
	case Scram512:
		return scram.Sha512(s.scram)
	}
	return plain.Plain(func(context.Context) (plain.Auth, error) {
		p, err := s.password()
		return plain.Auth{User: s.User, Pass: p}, err
	})
}

func (s *SASL) scram(context.Context) (scram.Auth, error) {
	p, err := s.password()
	return scram.Auth{User: s.User, Pass: p}, err
}

// The mechanisms of SASL.
const (
	Plain       = "PLAIN"
	Scram256    = "SCRAM-SHA-256"
	Scram512    = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
	passwordAt  = "sasl.passwordFile"
)

// Check reports what cannot be kept to, as of the attribute sasl.
func (s *SASL) Check(es *document.Errors) {
	if s.Mechanism != "" {
		Word(es, "sasl.mechanism", strings.ToUpper(s.Mechanism), Plain, Scram256, Scram512, OAuthBearer)
	}
	if s.Password != "" && s.PasswordFile != "" {
		es.Add(passwordAt, "is given beside sasl.password: keep one")
	}
	if s.Password.Hidden() {
		es.Add("sasl.password", "is only *** as a secret is shown, give the secret itself")
	}
	if strings.ToUpper(s.Mechanism) != OAuthBearer {
		return
	}
	if s.OAuth == nil || s.OAuth.TokenURL == "" || s.OAuth.ClientID == "" {
		es.Add("sasl.oauth", "tokenURL and clientID are required for OAUTHBEARER")
	}
}
