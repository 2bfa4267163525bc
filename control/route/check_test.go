package route

import (
	"errors"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/document"
)

const zeros = `sha256:0000000000000000000000000000000000000000000000000000000000000000`

func TestPoliciesAreChecked(t *testing.T) {
	for text, path := range map[string]string{
		`{}`: "",
		`{"timeout":"5s","maxBody":"1Mi","rateLimit":{"rate":0.5,"client":"header:X-User"},"rewrite":{"stripPrefix":"/api"},"async":{},"idempotency":{"wait":"1s"}}`:    "",
		`{"auth":{"apiKey":{"keys":[{"name":"a","hash":"` + zeros + `"}]},"jwt":{"issuer":"https://x.example"}},"cors":{"origins":["https://a.b"],"credentials":true}}`: "",
		`{"timeout":"-5s"}`:                     "timeout",
		`{"maxBody":-1}`:                        "maxBody",
		`{"rateLimit":{}}`:                      "rateLimit.rate",
		`{"rateLimit":{"rate":-1}}`:             "rateLimit.rate",
		`{"rateLimit":{"rate":1,"burst":-1}}`:   "rateLimit.burst",
		`{"rateLimit":{"rate":1,"client":"x"}}`: "rateLimit.client",
		`{"auth":{}}`:                           "auth",
		`{"auth":{"apiKey":{}}}`:                "auth.apiKey.keys",
		`{"auth":{"apiKey":{"keys":[{"name":"a","hash":"plain"}]}}}`:           "auth.apiKey.keys[0].hash",
		`{"auth":{"basic":{"users":[{"name":"a:b","hash":"` + zeros + `"}]}}}`: "auth.basic.users[0].name",
		`{"auth":{"jwt":{}}}`:                                              "auth.jwt",
		`{"auth":{"jwt":{"issuer":"x"}}}`:                                  "auth.jwt.issuer",
		`{"auth":{"jwt":{"secret":"short"}}}`:                              "auth.jwt.secret",
		`{"auth":{"jwt":{"issuer":"https://x.y","algorithms":["none"]}}}`:  "auth.jwt.algorithms[0]",
		`{"auth":{"jwt":{"issuer":"https://x.y","algorithms":["HS256"]}}}`: "auth.jwt.algorithms[0]",
		`{"cors":{}}`: "cors.origins",
		`{"cors":{"origins":["*"],"credentials":true}}`: "cors.credentials",
		`{"cors":{"origins":["example.com"]}}`:          "cors.origins[0]",
		`{"cors":{"origins":["*"],"headers":["a b"]}}`:  "cors.headers[0]",
		`{"rewrite":{"addPrefix":"api"}}`:               "rewrite.addPrefix",
		`{"async":{"attempts":-1}}`:                     "async.attempts",
		`{"idempotency":{"maxBody":"1Gi"}}`:             "idempotency.maxBody",
		`{"idempotency":{"keep":"1 day"}}`:              "idempotency.keep",
		`{"rateLimits":{}}`:                             "rateLimits",
	} {
		var p Policy
		err := document.DecodeJSON([]byte(text), &p)
		if err == nil {
			err = p.Check()
		}
		var es document.Errors
		switch {
		case path == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case path != "" && (!errors.As(err, &es) || es[0].Path != path):
			t.Errorf("%s: %v, want it about %s", text, err, path)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(`{"auth":{"jwt":{"issuer":"https://x"}},"cors":{"origins":["*"]},"rateLimit":{"rate":1e308}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var p Policy
		if document.DecodeJSON([]byte(text), &p) != nil {
			return
		}
		if err := p.Check(); err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Error("an error without words")
		}
	})
}
