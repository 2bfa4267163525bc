package dashboard_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who has no token sees nothing; with one, projects, tokens, secrets and the audit
// log are looked after as far as its roles go.
func TestAccess(t *testing.T) {
	m := newMachine(t, "--auth", "on")
	token, err := os.ReadFile(filepath.Join(m.data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "MYELIN_TOKEN="+strings.TrimSpace(string(token)))
	m.deploy("greet.py", greet, false)
	m.browse("access.mjs", func(what string) { t.Errorf("the browser's script wants %q", what) })
}
