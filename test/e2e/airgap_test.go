package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAirGapped walks the way of docs/container-images.md for machines without a
// network, on one that has none: not even the loopback.
func TestAirGapped(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes a network of its own")
	}
	dir := t.TempDir()
	if out, err := alone(t, dir, "image", "copy", "127.0.0.1:5000/debian:12", "oci:none"); err == nil || !strings.Contains(out, "unreachable") {
		t.Errorf("there is a network: %v: %s", err, out)
	}
	steps := [][]string{
		{"base", "shell", "-o", "oci:base"},
		{"image", "copy", "oci:base", "tar:base.tar"},
		{"image", "copy", "tar:base.tar", "oci:carried"},
	}
	for _, step := range steps {
		if out, err := alone(t, dir, step...); err != nil {
			t.Fatalf("%q: %v: %s", step, err, out)
		}
	}
	write(t, filepath.Join(dir, "hello.sh"), "#!/bin/sh\necho hello\n")
	var digests []string
	for _, to := range []string{"oci:hello", "tar:hello.tar"} {
		out, err := alone(t, dir, "build", "hello.sh", "--base", "oci:carried", "-o", to, "--sbom", "bill.json")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		digests = append(digests, lastLine(out))
	}
	bill, err := os.ReadFile(filepath.Join(dir, "bill.json"))
	for _, want := range []string{"pkg:deb/debian/dash@", "pkg:golang/github.com/valyala/fasthttp@", `"name": "hello"`, digests[0]} {
		if err != nil || !strings.Contains(string(bill), want) {
			t.Errorf("no %s among what is in it, %v", want, err)
		}
	}
	if attached, err := alone(t, dir, "image", "sbom", "--attached", "oci:hello"); err != nil || attached != string(bill) {
		t.Errorf("attached is another one, %v: %s", err, attached)
	}
	if digests[0] != digests[1] || !strings.HasPrefix(digests[0], "sha256:") {
		t.Errorf("%q", digests)
	}
}

// alone has the command line do something in dir where there is no network.
func alone(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(bin(t, "myelin"), args...)
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), "MYELIN_DATA="+filepath.Join(dir, "data")), &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	return said.String(), err
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
