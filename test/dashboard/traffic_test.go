package dashboard_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inline deploys a function whose source is in its configuration.
func (m *machine) inline(name, handler string, flags ...string) {
	m.Helper()
	dir := filepath.Join(m.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		m.Fatal(err)
	}
	config := fmt.Sprintf("metadata: {name: %s}\nspec:\n  runtime: python\n  handler: main:handler\n  build: {functionSourceCode: %s}\n",
		name, base64.StdEncoding.EncodeToString([]byte(handler)))
	if err := os.WriteFile(filepath.Join(dir, "function.yaml"), []byte(config), 0o644); err != nil {
		m.Fatal(err)
	}
	m.run(dir, flags...)
}

const answering = `import os

def handler(context, event):
    # <img src=x onerror="window.hacked=1"> %s
    return "%s"
`

// Versions are published and compared, an alias is moved, moved by somebody else
// meanwhile, moved back, and rolled out, in a browser.
func TestTraffic(t *testing.T) {
	m := newMachine(t)
	m.inline("shares", fmt.Sprintf(answering, "first", "one"))
	m.browse("traffic.mjs", func(what string) {
		switch what {
		case "change":
			m.inline("shares", fmt.Sprintf(answering, "\u202e\x1b[31m"+strings.Repeat("x", 100_000), "two"), "--env", "LEVEL=<b>high</b>")
		default:
			t.Errorf("the browser's script wants %q", what)
		}
	})
}
