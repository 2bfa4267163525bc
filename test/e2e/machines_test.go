package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/build/machine"
	"github.com/myelin-run/myelin/test/servers"
)

// TestOtherMachine makes a base and an image for machines that this one is not, and
// runs what is in it by an emulator, with nothing of this machine but its kernel: the
// processor, and the interpreter with the worker.
func TestOtherMachine(t *testing.T) {
	root, c := elsewhere(t, "python", "hello.py", "import platform, ssl\ndef handler(context, event):\n    return platform.machine() + ' ' + event.body.decode()\n")
	python, err := os.Readlink(filepath.Join(root, "usr/bin/python3"))
	if err != nil {
		t.Fatal(err)
	}
	emulated(t, root, filepath.Join("usr/bin", python))
	url := serve(t, root, append([]string{emulator}, c.Entrypoint...), c.Env, c.WorkingDir)
	resp, err := http.Post(url, "text/plain", strings.NewReader("image"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != machine.GNU(servers.OtherMachine())+" image" {
		t.Errorf("%d %q, %v", resp.StatusCode, text, err)
	}
}

// TestOtherMachineNode: an emulated Node.js loads what the worker of an image is
// compiled to. It is asked alone: to a processor it would say the name of the program
// that is emulated, which the kernel does not start.
func TestOtherMachineNode(t *testing.T) {
	root, c := elsewhere(t, "nodejs", "hello.js", "exports.handler = () => 'hello'\n")
	addons, err := filepath.Glob(filepath.Join(root, "myelin/cache/nodejs/*/worker/addon.node"))
	if err != nil || len(addons) != 1 {
		t.Fatalf("%v, %v", addons, err)
	}
	cmd := exec.CommandContext(t.Context(), emulator, "/usr/bin/node", "-p", "require('"+strings.TrimPrefix(addons[0], root)+"'); process.arch")
	cmd.Dir, cmd.Env = c.WorkingDir, c.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if want := map[string]string{machine.AMD64: "x64", machine.ARM64: "arm64"}[servers.OtherMachine()]; err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("%v: %s", err, out)
	}
}

// emulator is where it is in a root directory.
const emulator = "/emulator"

// elsewhere is a root directory with what is in the image of a function for other
// machines, and an emulator of them.
func elsewhere(t *testing.T, runtime, file, source string) (root string, c v1.Config) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root changes the root directory")
	}
	dir, other := t.TempDir(), servers.OtherMachine()
	program, err := servers.Emulator()
	if err == nil {
		err = servers.OtherPackages(filepath.Join(dir, "data"))
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, file), source)
	base, place := "oci:"+filepath.Join(dir, "base"), "oci:"+filepath.Join(dir, "image")
	runs(t, dir, "base", runtime, "--architecture", other, "-o", base)
	runs(t, dir, "build", file, "--base", base, "--architecture", other, "-o", place)
	img, err := image.Base(t.Context(), place, other)
	if err != nil {
		t.Fatal(err)
	}
	root = unpacked(t, img)
	if unfit, err := machine.Unfit(root, other, func(rel string) string { return rel }); err != nil || len(unfit) > 0 {
		t.Errorf("in the image: %s, %v", machine.List(unfit), err)
	}
	if out, err := exec.Command("cp", program, filepath.Join(root, emulator)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	about, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return root, about.Config
}

// unpacked is a directory with what is in an image.
func unpacked(t *testing.T, img v1.Image) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	write(t, filepath.Join(root, "dev", "null"), "")
	unpack := exec.Command("tar", "-C", root, "-x")
	unpack.Stdin = mutate.Extract(img)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, out)
	}
	return root
}

// emulated has a program below root be run by the emulator whoever starts it: in its
// place is one of this machine's, for kernels are not told of other machines here.
func emulated(t *testing.T, root, program string) {
	t.Helper()
	source, at := filepath.Join(root, "start.c"), filepath.Join(root, program)
	write(t, source, `#include <stdlib.h>
#include <unistd.h>
int main(int n, char **args) {
	char **all = calloc(n + 4, sizeof *all);
	all[0] = "`+emulator+`"; all[1] = "-0"; all[2] = args[0]; all[3] = "/`+program+`.other";
	for (int i = 1; i < n; i++) all[i + 3] = args[i];
	execv(all[0], all);
	return 127;
}
`)
	if err := os.Rename(at, at+".other"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-static", "-o", at, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
