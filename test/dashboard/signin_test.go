package dashboard_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/myelin-run/myelin/test/servers"
)

// People sign in at an issuer and come back known; what the issuer refuses, and
// what was not begun in the tab, is told and nobody is in.
func TestSignIn(t *testing.T) {
	api := addr(t)
	id := servers.Issuer(t, servers.Issuing{
		Client: "myelin-dashboard", Secret: "a secret of the control plane's", Redirect: "http://" + api + "/callback",
		People: map[string]map[string]any{"ann": {"roles": []string{"builders"}}, "bob": {"roles": []string{"myelin:viewer"}}},
	})
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of the control plane's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMachineAt(t, api, "--auth", "on", "--oidc-issuer", "http://"+id.Addr, "--oidc-client", "myelin-dashboard", "--oidc-client-secret-file", secret,
		"--oidc-scope", "roles", "--oidc-grant", "builders=default:developer")
	m.env = append(m.env, "ISSUER_URL=http://"+id.Addr+"/")
	m.browse("signin.mjs", func(what string) { t.Errorf("the browser's script wants %q", what) })
}
