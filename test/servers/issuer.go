package servers

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// oidcRelease is what tools/oidc/package.json names; a test keeps the two equal.
const oidcRelease = "9.13.3"

//go:embed issuer.mjs
var issuing string

// Issuing is whom an issuer knows.
type Issuing struct {
	Client   string // id of the client
	Secret   string // "": it is a public one
	Redirect string // where it sends browsers back to
	// People, with what their tokens say of them besides who they are, if the scope
	// roles is asked for.
	People map[string]map[string]any
}

// Issuer starts an OpenID Connect issuer of one client. Who signs in writes a name
// of People, and nothing else. Its URL is http:// and its address.
func Issuer(t T, of Issuing, opts ...Option) *Server {
	t.Helper()
	return open(t, kind{"oidc", of.configure}, opts)
}

func (of Issuing) configure(s *Server, o options) error {
	if o.login || o.tls {
		return errors.New("the issuer is here without logins and TLS")
	}
	dir, err := fetched("oidc-" + oidcRelease)
	if err != nil {
		return err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return fmt.Errorf("node is not installed; %s", installHint)
	}
	client := map[string]any{
		"client_id": of.Client, "redirect_uris": []string{of.Redirect}, "grant_types": []string{"authorization_code"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": "none",
	}
	if of.Secret != "" {
		client["client_secret"], client["token_endpoint_auth_method"] = of.Secret, "client_secret_basic"
	}
	known, err := json.Marshal(client)
	if err != nil {
		return err
	}
	people, err := json.Marshal(of.People)
	if err != nil {
		return err
	}
	if err := s.write("issuer.mjs", issuing); err != nil {
		return err
	}
	s.program.command = func() *exec.Cmd {
		cmd := exec.Command(node, s.path("issuer.mjs"))
		cmd.Env = append(cmd.Environ(), "MODULES="+filepath.Join(dir, "node_modules"), "ISSUER=http://"+s.Addr, "CLIENT="+string(known), "PEOPLE="+string(people))
		return cmd
	}
	s.program.ready = s.answers(s.dial, "GET /.well-known/openid-configuration HTTP/1.1\r\nHost: "+s.Addr+"\r\nConnection: close\r\n\r\n", "HTTP/1.1 200")
	return nil
}
