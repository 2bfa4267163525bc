package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/test/servers"
)

// TestCosign: Cosign takes our signatures of an image in a registry, we take those of
// Cosign beside ours, and neither takes one by another key.
func TestCosign(t *testing.T) {
	program, err := servers.Cosign()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	repository := servers.Registry(t).Addr + "/team/hello"
	write(t, filepath.Join(dir, "hello.sh"), "#!/bin/sh\necho hello\n")
	digest := runs(t, dir, "build", "hello.sh", "--base", "scratch", "-o", "image:"+repository+":1")
	for _, name := range []string{"ours", "cosigns"} {
		runs(t, dir, "keys", "new", name)
	}
	cosign := func(verb, key string) error {
		cmd := exec.CommandContext(t.Context(), program, verb, filepath.Join(dir, key), repository+"@"+digest)
		out, err := cmd.CombinedOutput()
		t.Logf("cosign %s %s: %v: %s", verb, key, err, out)
		return err
	}
	verify := func(key string) error {
		cmd := exec.CommandContext(t.Context(), bin(t, "myelin"), "image", "verify", repository+":1", "--key", key)
		cmd.Dir, cmd.Env = dir, append(cmd.Environ(), "MYELIN_DATA="+filepath.Join(dir, "data"))
		out, err := cmd.CombinedOutput()
		t.Logf("myelin image verify %s: %v: %s", key, err, out)
		return err
	}
	if err := cosign("verify", "ours.pub"); err == nil {
		t.Error("Cosign took an image that nobody signed")
	}
	if signed := runs(t, dir, "image", "sign", repository+":1", "--key", "ours.key"); !strings.Contains(signed, digest) {
		t.Errorf("signed %s instead of %s", signed, digest)
	}
	if err := cosign("verify", "ours.pub"); err != nil {
		t.Error("Cosign did not take our signature")
	}
	if cosign("verify", "cosigns.pub") == nil || verify("cosigns.pub") == nil {
		t.Error("a signature by another key was taken")
	}
	if err := cosign("sign", "cosigns.key"); err != nil {
		t.Fatal("Cosign did not sign")
	}
	for _, key := range []string{"ours.pub", "cosigns.pub"} {
		if cosign("verify", key) != nil || verify(key) != nil {
			t.Errorf("after Cosign signed, too, the signature for %s was not taken", key)
		}
	}
}
