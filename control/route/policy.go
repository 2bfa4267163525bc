package route

import "github.com/myelin-run/myelin/quantity"

// Policy is what the gateway asks of the requests of a route and does with
// them, beyond passing them on. Nothing set asks for nothing.
type Policy struct {
	// Timeout is how long a function may take until its answer begins; then
	// the client gets 504. Default: as long as it takes.
	Timeout quantity.Duration `json:"timeout,omitempty"`
	// MaxBody of a request; a larger one gets 413. Default: what the function
	// itself takes.
	MaxBody quantity.Size `json:"maxBody,omitempty"`
	// RateLimit of requests; one too many gets 429.
	RateLimit *RateLimit `json:"rateLimit,omitempty"`
	// Auth is who may call; others get 401 or 403.
	Auth *Auth `json:"auth,omitempty"`
	// CORS says which pages of other origins may call. The gateway answers
	// their preflights, before it asks who they are.
	CORS *CORS `json:"cors,omitempty"`
	// Rewrite is how the function sees the path.
	Rewrite *Rewrite `json:"rewrite,omitempty"`
	// Async takes requests with "Prefer: respond-async", whose answer is
	// fetched later.
	Async *Async `json:"async,omitempty"`
	// Idempotency gives a request with an Idempotency-Key that was answered
	// the same answer again.
	Idempotency *Idempotency `json:"idempotency,omitempty"`
}

// RateLimit is a bucket of tokens, of which each request takes one.
type RateLimit struct {
	// Rate is how many come back in a second, for all clients together; 0: no
	// limit for all.
	Rate float64 `json:"rate,omitempty"`
	// Burst is how many there are at most; default: Rate, at least 1.
	Burst int `json:"burst,omitempty"`
	// PerClient is how many come back in a second for each client; 0: no limit
	// of its own.
	PerClient float64 `json:"perClient,omitempty"`
	// ClientBurst is how many each client has at most; default: PerClient, at
	// least 1.
	ClientBurst int `json:"clientBurst,omitempty"`
	// Client is what a client is known by: "address" (default), "subject", who
	// auth found it to be, or "header:NAME".
	Client string `json:"client,omitempty"`
}

// Auth is one way, or several of which one is enough, to say who one is.
type Auth struct {
	APIKey *APIKey `json:"apiKey,omitempty"`
	Basic  *Basic  `json:"basic,omitempty"`
	JWT    *JWT    `json:"jwt,omitempty"`
}

// APIKey asks for a key in a header or a parameter of the query.
type APIKey struct {
	Header string       `json:"header,omitempty"` // default X-Api-Key
	Query  string       `json:"query,omitempty"`  // default: not looked for
	Keys   []Credential `json:"keys"`
}

// Credential is who may call, and the hash of what proves it.
type Credential struct {
	Name string `json:"name"`
	// Hash is "sha256:" and the hash in hexadecimal, for keys that are random;
	// or a hash of bcrypt ("$2b$..."), for passwords.
	Hash string `json:"hash"`
}

// Basic asks for a name and a password.
type Basic struct {
	Realm string       `json:"realm,omitempty"` // default "functions"
	Users []Credential `json:"users"`
}

// JWT asks for a signed token.
type JWT struct {
	// Issuer that the token must name. With neither keys nor jwksURL its keys
	// are found by OpenID Connect discovery.
	Issuer string `json:"issuer,omitempty"`
	// Audience: the token must be for one of these; default: for anybody.
	Audience []string `json:"audience,omitempty"`
	// JWKSURL is where the issuer's keys are.
	JWKSURL string `json:"jwksURL,omitempty"`
	// Keys are public keys in PEM, or a JSON Web Key Set as text.
	Keys []string `json:"keys,omitempty"`
	// Secret is the key of HS256, HS384 and HS512, 32 bytes or more.
	Secret quantity.Secret `json:"secret,omitempty"`
	// Algorithms allowed; default RS256, ES256, or HS256 if there is a secret.
	Algorithms []string `json:"algorithms,omitempty"`
	// Header that holds the token; default Authorization, after "Bearer ".
	Header string `json:"header,omitempty"`
	// Cookie that may hold it instead.
	Cookie string `json:"cookie,omitempty"`
	// Require are claims that the token must have, with these values; a claim
	// that is a list must have the value in it.
	Require map[string]string `json:"require,omitempty"`
	// Leeway for clocks that differ; default 30s.
	Leeway quantity.Duration `json:"leeway,omitempty"`
}

// CORS says which pages of other origins may call.
type CORS struct {
	Origins     []string          `json:"origins"`               // such as https://example.com; "*" is any
	Methods     []string          `json:"methods,omitempty"`     // default: what the page asks for
	Headers     []string          `json:"headers,omitempty"`     // default: what the page asks for
	Expose      []string          `json:"expose,omitempty"`      // headers of answers that pages may read
	Credentials bool              `json:"credentials,omitempty"` // needs origins without "*"
	MaxAge      quantity.Duration `json:"maxAge,omitempty"`      // of a preflight's answer; default 10m
}

// Rewrite changes the path that the function sees.
type Rewrite struct {
	StripPrefix string `json:"stripPrefix,omitempty"`
	AddPrefix   string `json:"addPrefix,omitempty"`
}

// Async takes requests to be answered later.
type Async struct {
	// Keep is how long a result is kept, default 1h.
	Keep quantity.Duration `json:"keep,omitempty"`
	// Attempts is how often a function is asked whose process dies or cannot
	// be reached, default 5.
	Attempts int `json:"attempts,omitempty"`
	// MaxBody of a request and of its answer, default 4Mi.
	MaxBody quantity.Size `json:"maxBody,omitempty"`
	// Always takes every request so, also without the header.
	Always bool `json:"always,omitempty"`
}

// Idempotency keeps answers by their requests' Idempotency-Key.
type Idempotency struct {
	// Keep is how long, default 24h.
	Keep quantity.Duration `json:"keep,omitempty"`
	// Required refuses POST and PATCH without a key, with 400.
	Required bool `json:"required,omitempty"`
	// Wait is how long a request waits for one with the same key that is under
	// way, before it gets 409; default: it gets 409 at once.
	Wait quantity.Duration `json:"wait,omitempty"`
	// MaxBody of a request and of an answer that is kept, default 1Mi. A
	// larger answer is passed on and not kept.
	MaxBody quantity.Size `json:"maxBody,omitempty"`
}
