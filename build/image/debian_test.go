package image

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDebian: a base of packages has their files and those of what they need,
// and no documents.
func TestDebian(t *testing.T) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip("no machine of Debian's kind")
	}
	img, _, err := Debian(t.Context(), []string{"dash"}, DebianOptions{Architecture: Architecture()})
	if err != nil {
		t.Fatal(err)
	}
	files := content(t, img)
	if files["usr/bin/dash"] == "" && files["bin/dash"] == "" {
		t.Error("no dash")
	}
	if !strings.Contains(files["var/lib/dpkg/status.d/dash"], "Version: ") {
		t.Errorf("status %q", files["var/lib/dpkg/status.d/dash"])
	}
	libc := false
	for name := range files {
		libc = libc || strings.HasSuffix(name, "/libc.so.6")
		if strings.HasPrefix(name, "usr/share/doc/") {
			t.Errorf("%s is there", name)
		}
	}
	if !libc {
		t.Error("no C library, which dash needs")
	}
	if _, _, err := Debian(t.Context(), []string{"no-such-package"}, DebianOptions{}); err == nil || !strings.Contains(err.Error(), "apt install no-such-package") {
		t.Errorf("unknown package: %v", err)
	}
}

func TestClosure(t *testing.T) {
	known := packs{
		"a": {name: "a", needs: alternatives("b (>= 1) | c, d:any, debconf | e")}, "c": {name: "c", needs: alternatives("a")},
		"d": {name: "d"}, "debconf": {name: "debconf"}, "x": {name: "x"},
	}
	all, err := known.closure([]string{"a"}, "%s is missing")
	var names []string
	for _, p := range all {
		names = append(names, p.name)
	}
	if err != nil || !slices.Equal(names, []string{"a", "c", "d"}) {
		t.Errorf("%q, %v", names, err)
	}
	if got := conffiles("\n /etc/a 123\n /etc/b 456 obsolete\nx"); len(got) != 2 || got["/etc/b"] != "456" {
		t.Errorf("%q", got)
	}
}

// TestChanged: a file that is not as it came is found.
func TestChanged(t *testing.T) {
	at := t.TempDir() + "/f"
	write(t, at, "text", 0o600)
	if err := same(at, "1cb251ec0d568de6a929b520c4aed8d1"); err != nil {
		t.Error(err)
	}
	if err := same(at, strings.Repeat("0", 32)); err == nil {
		t.Error("it is not noticed")
	}
}
