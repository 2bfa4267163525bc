package nodejs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFits: packages that have nothing for another architecture are named.
func TestFits(t *testing.T) {
	dir := t.TempDir()
	elf := func(kind byte) string {
		return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x03\x00" + string([]byte{kind, 0})
	}
	for name, text := range map[string]string{
		"index.js": "", "node_modules/tea/prebuilds/x64.node": elf(62), "node_modules/tea/prebuilds/arm64.node": elf(183),
		"node_modules/pot/node_modules/@clay/pot/build/pot.node": elf(62),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := fits(dir, "amd64"); err != nil {
		t.Error(err)
	}
	if err := fits(dir, "arm64"); err == nil || !strings.Contains(err.Error(), "arm64: @clay/pot (for amd64):") {
		t.Errorf("%v", err)
	}
}
