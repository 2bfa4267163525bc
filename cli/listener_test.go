package cli

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// The admin's token goes to the owner of its file only.
func TestTokenGoesToItsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(path, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + l.Addr().String()
	if !ownedBy(at, path) {
		t.Error("its own listener is not known")
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 60001, 60001); err != nil {
			t.Fatal(err)
		}
		if ownedBy(at, path) {
			t.Error("another user's listener is trusted")
		}
	}
	l.Close()
	if ownedBy(at, path) || ownedBy("http://localhost", path) || ownedBy(at, path+"x") {
		t.Error("nobody listens, and is trusted")
	}
}
