package e2e

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/test/servers"
)

// TestImageServes makes a base of this machine's packages and an image on it, and
// runs what is in the image with nothing of this machine but its kernel, and by a
// Docker engine.
func TestImageServes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root changes the root directory")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hello.py"), "import ctypes, ssl, sqlite3\nctypes.CDLL('libstdc++.so.6') # as wheels of numpy do\ndef handler(context, event):\n    return 'hello ' + event.body.decode()\n")
	base, first, second := "oci:"+filepath.Join(dir, "base"), "tar:"+filepath.Join(dir, "first.tar"), "oci:"+filepath.Join(dir, "second")
	runs(t, dir, "base", "python", "-o", base)
	known := map[uint64]bool{}
	a := runs(t, dir, "build", "hello.py", "--base", base, "-o", first)
	b := runs(t, dir, "build", "hello.py", "--base", base, "-o", second)
	if a != b {
		t.Errorf("made twice: %s, %s", a, b)
	}
	written(t, dir, known)
	write(t, filepath.Join(dir, "hello.py"), "import ctypes, ssl, sqlite3\nctypes.CDLL('libstdc++.so.6') # as wheels of numpy do\ndef handler(context, event):\n    return 'Hello ' + event.body.decode()\n")
	runs(t, dir, "build", "hello.py", "--base", base, "-o", "oci:"+filepath.Join(dir, "third"))
	if n := written(t, dir, known); n > 100_000 {
		t.Errorf("a change of the code wrote %d bytes", n)
	}
	img, err := image.Base(t.Context(), second, image.Architecture())
	if err != nil {
		t.Fatal(err)
	}
	on, err := image.Base(t.Context(), base, image.Architecture())
	if err != nil {
		t.Fatal(err)
	}
	if own, err := image.Own(img, on); err != nil || own > 100_000 {
		t.Errorf("%d bytes on the base, %v", own, err)
	}
	root := unpacked(t, img)
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, root, c.Config.Entrypoint, c.Config.Env, c.Config.WorkingDir)
	resp, err := http.Post(url, "text/plain", strings.NewReader("image"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "hello image" {
		t.Errorf("%d %q, %v", resp.StatusCode, text, err)
	}
	runsInDocker(t, servers.Docker(t), strings.TrimPrefix(first, "tar:"), "Docker", "hello Docker")
}

// written is how many bytes the files below dir have that are not known yet.
func written(t *testing.T, dir string, known map[uint64]bool) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if at := fi.Sys().(*syscall.Stat_t).Ino; !known[at] {
			known[at] = true
			n += fi.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// runs has the command line do something in dir and returns what it answers.
func runs(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(bin(t, "myelin"), args...)
	var problems bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), "MYELIN_DATA="+filepath.Join(dir, "data")), &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("myelin %q: %v: %s", args, err, problems.String())
	}
	return strings.TrimSpace(string(out))
}

// lines is a log that grows.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var ready = regexp.MustCompile(`msg=ready .*http:(127\.0\.0\.1:\d+)`)

// serve runs a command below another root directory as the image's user, until
// the test ends, and returns where it listens.
func serve(t *testing.T, root string, command, env []string, dir string) string {
	t.Helper()
	log := &lines{}
	cmd := exec.Command(command[0], append(command[1:], "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0")...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Errorf("it does not end")
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	})
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if m := ready.FindStringSubmatch(log.String()); m != nil {
			return "http://" + m[1]
		}
		select {
		case <-ended:
			t.Fatalf("it ended: %s", log)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("it does not serve: %s", log)
		}
	}
}
