package servers

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
)

// Versions of the services of objects. A test keeps gofakes3's equal to the one in
// tools/s3/go.mod; tools/s3/requirements.txt has moto's.
const (
	gofakes3Release = "v1.2.0"
	motoRelease     = "5.2.5"
)

var (
	gofakes3 = kind{"gofakes3", configureGofakes3}
	moto     = kind{"moto", configureMoto}
)

// S3Bucket is the bucket that Gofakes3 has.
const S3Bucket = "suite"

// Gofakes3 starts a service of objects that speaks the protocol of Amazon S3,
// keeps them in memory, and asks nobody for credentials. Its other stores may
// answer with a mixture while an object is written anew.
func Gofakes3(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, gofakes3, opts)
}

// Moto starts another one, which keeps objects in memory and has no bucket at
// first. It asks for credentials once it is told to: POST 0 to /moto-api/reset-auth.
func Moto(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, moto, opts)
}

func configureGofakes3(s *Server, o options) error {
	if o.login || o.tls {
		return errors.New("gofakes3 is here without logins and TLS")
	}
	program, err := fetched("gofakes3-" + gofakes3Release)
	if err != nil {
		return err
	}
	s.program.command = func() *exec.Cmd {
		return exec.Command(program, "-host", s.Addr, "-backend", "mem", "-initialbucket", S3Bucket, "-quiet")
	}
	s.program.ready = s.answers(s.dial, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200")
	return nil
}

func configureMoto(s *Server, o options) error {
	if o.login || o.tls {
		return errors.New("moto is here without logins and TLS")
	}
	dir, err := fetched("moto-" + motoRelease)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	s.program.command = func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(dir, "bin", "python"), "-B", "-m", "moto.server", "-H", host, "-p", port)
		cmd.Env = append(cmd.Environ(), "PYTHONUNBUFFERED=1")
		return cmd
	}
	s.program.ready = s.answers(s.dial, "GET /moto-api/ HTTP/1.0\r\n\r\n", "HTTP/1.0 200", "HTTP/1.1 200")
	return nil
}

// MotoPackages is where the Python packages lie that Moto needs, the client library
// of Amazon S3 among them.
func MotoPackages() (string, error) {
	dir, err := fetched("moto-" + motoRelease)
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "lib", "python3*", "site-packages"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("packages of moto in %s: %d places: %w", dir, len(found), err)
	}
	return found[0], nil
}
