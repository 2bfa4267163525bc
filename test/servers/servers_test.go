package servers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

var shared Pool

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "child" {
		os.Exit(child(os.Args[2], os.Args[3]))
	}
	os.Exit(shared.Run(m))
}

// limit bounds what a test waits for.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// took starts a server and says how long that took.
func took(t *testing.T, start func(T, ...Option) *Server, opts ...Option) *Server {
	t.Helper()
	began := time.Now()
	s := start(t, opts...)
	t.Logf("%s serves after %s", s.name, time.Since(began).Round(time.Millisecond))
	return s
}

// again ends a server in a way, and starts it.
func again(t *testing.T, s *Server, end func() error) {
	t.Helper()
	began := time.Now()
	check(t, end())
	ended := time.Now()
	check(t, s.Start())
	t.Logf("%s was gone after %s and served %s later", s.name, ended.Sub(began).Round(time.Millisecond), time.Since(ended).Round(time.Millisecond))
}

// lasts puts something into a server, and looks for it after a kill and after a
// stop. Then it pauses the server, and looks again while that is resumed.
func lasts(t *testing.T, s *Server, put, look func(*testing.T, *Server)) {
	t.Helper()
	put(t, s)
	look(t, s)
	again(t, s, s.Kill)
	look(t, s)
	again(t, s, s.Stop)
	look(t, s)
	check(t, s.Pause())
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if s.program.ready(ctx) == nil {
		t.Errorf("a paused %s answers", s.name)
	}
	check(t, s.Resume())
	look(t, s)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The versions of the scripts are those that the tests look for.
func TestVersionsAgree(t *testing.T) {
	for file, want := range map[string]string{
		"../../tools/nats/go.mod":          `nats-server/v2 ` + regexp.QuoteMeta(natsRelease) + `\s`,
		"../../go.mod":                     `etcd/server/v3 ` + regexp.QuoteMeta(etcdRelease) + `\s`,
		"../../tools/s3/go.mod":            `gofakes3 ` + regexp.QuoteMeta(gofakes3Release) + `\s`,
		"../../tools/s3/requirements.txt":  `(?m)^moto==` + regexp.QuoteMeta(motoRelease) + `$`,
		"../../tools/kafka/pom.xml":        `<artifactId>kafka_2.13</artifactId>\s*<version>` + regexp.QuoteMeta(kafkaRelease) + `<`,
		"../../tools/artemis/pom.xml":      `<artifactId>artemis-server</artifactId>\s*<version>` + regexp.QuoteMeta(artemisRelease) + `<`,
		"../../tools/elasticmq/pom.xml":    `<artifactId>elasticmq-server_2.13</artifactId>\s*<version>` + regexp.QuoteMeta(elasticmqRelease) + `<`,
		"../../tools/kinesis/package.json": `"kinesis-local": "` + regexp.QuoteMeta(kinesisRelease) + `"`,
		"../../tools/oidc/package.json":    `"oidc-provider": "` + regexp.QuoteMeta(oidcRelease) + `"`,
	} {
		data, err := os.ReadFile(file)
		check(t, err)
		if !regexp.MustCompile(want).Match(data) {
			t.Errorf("%s does not have %s", file, want)
		}
	}
}

// What Kubernetes, Cosign and Helm are built of is kept by its content.
func TestKubernetesIsOfItsSources(t *testing.T) {
	for _, built := range []struct {
		dir, release string
		of           []string
	}{
		{"kubernetes", kubernetesRelease, []string{"go.mod", "go.sum", "main.go", "pause/main.go"}},
		{"cosign", cosignRelease, []string{"go.mod", "go.sum", "main.go"}},
		{"helm", helmRelease, []string{"go.mod", "go.sum"}},
	} {
		sum := sha256.New()
		for _, name := range built.of {
			data, err := os.ReadFile("../../tools/" + built.dir + "/" + name)
			check(t, err)
			sum.Write(data)
		}
		if want := hex.EncodeToString(sum.Sum(nil))[:8]; !strings.HasSuffix(built.release, "-"+want) {
			t.Errorf("%s should end with %s", built.release, want)
		}
	}
}

// What is missing is told with the command that installs it.
func TestMissing(t *testing.T) {
	t.Setenv("MYELIN_SERVERS", t.TempDir())
	for _, k := range []kind{kafka, artemis, elasticmq, kinesis, {"oidc", Issuing{Client: "test", Redirect: "http://127.0.0.1/callback"}.configure}, nats, etcd, gofakes3, moto} {
		_, err := prepare(k, t.TempDir(), options{})
		if err == nil || !strings.Contains(err.Error(), "scripts/servers.sh") {
			t.Errorf("%s: %v", k.name, err)
		}
	}
}

// A server that cannot start says why at once, with the end of its log.
func TestDoesNotStart(t *testing.T) {
	s, err := prepare(redis, t.TempDir(), options{})
	check(t, err)
	defer s.close()
	check(t, s.write("redis.conf", "nonsense\n"))
	err = s.Start()
	if err == nil || !strings.Contains(err.Error(), "ended before it served: exit status 1") || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
}

// A server that ends without having been told to is found out.
func TestVanished(t *testing.T) {
	s := Redis(t)
	if err := s.vanished(); err != nil {
		t.Errorf("one that runs: %v", err)
	}
	check(t, s.main.cmd.Process.Kill())
	<-s.main.exited
	if err := s.vanished(); err == nil || !strings.Contains(err.Error(), "ended by itself: signal: killed") {
		t.Errorf("got %v", err)
	}
	check(t, s.Start())
	check(t, s.Kill())
	if err := s.vanished(); err != nil {
		t.Errorf("one that was killed as it was asked: %v", err)
	}
}

func TestMisuse(t *testing.T) {
	s := Redis(t)
	if err := s.Start(); err == nil {
		t.Error("a running server was started")
	}
	check(t, s.Stop())
	for name, do := range map[string]func() error{"kill": s.Kill, "stop": s.Stop, "pause": s.Pause} {
		if do() == nil {
			t.Errorf("%s of a stopped server is no error", name)
		}
	}
	common := shared.Redis(t)
	if common.Kill() == nil || common.Stop() == nil || common.Pause() == nil {
		t.Error("a shared server was ended")
	}
	if common != shared.Redis(t) {
		t.Error("a shared server is another the second time")
	}
	for name, opt := range map[string]Option{"a broken password": Login("u", "a\nb"), "an empty one": Login("u", ""), "Advertise": Advertise(nil)} {
		if name == "Advertise" {
			opt = Advertise(func(a string) string { return a })
		}
		if _, err := prepare(redis, t.TempDir(), gather([]Option{opt})); err == nil {
			t.Errorf("redis took %s", name)
		}
	}
}

// leavers have most to leave behind.
var leavers = map[string]kind{rabbitmq.name: rabbitmq, docker.name: docker}

// child starts a server, says when it serves, and waits to be killed.
func child(name, dir string) int {
	s, err := prepare(leavers[name], dir, options{})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		os.Stdout.WriteString(err.Error())
		return 1
	}
	os.Stdout.WriteString("up\n")
	select {}
}

// Servers die with the process that started them, even if that is killed.
func TestDiesWithItsParent(t *testing.T) {
	for name := range leavers {
		t.Run(name, func(t *testing.T) { diesWithParent(t, name) })
	}
}

func diesWithParent(t *testing.T, name string) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "child", name, dir)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	buf := make([]byte, 4096)
	n, err := out.Read(buf)
	if string(buf[:n]) != "up\n" {
		t.Errorf("the child said %q, %v", buf[:n], err)
	}
	before := processes(t, dir)
	if len(before) < 2 { // the server, and what it needs beside
		t.Errorf("found only %v", before)
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait()
	deadline := time.Now().Add(30 * time.Second)
	for len(processes(t, dir)) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v", processes(t, dir))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// processes lists what runs in a directory.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	check(t, err)
	var found []string
	for _, e := range entries {
		cwd, err := os.Readlink("/proc/" + e.Name() + "/cwd")
		if err != nil || !strings.HasPrefix(cwd, dir) {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && len(line) > 0 {
			found = append(found, e.Name()+" "+strings.ReplaceAll(string(line[:min(len(line), 60)]), "\x00", " "))
		} else if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Logf("process %s: %v", e.Name(), err)
		}
	}
	return found
}
