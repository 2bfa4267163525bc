package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// SSH starts an OpenSSH server on the machine of a Docker that is Distant, and returns the
// command by which one gets in: options and the host follow ssh's name, and what is to be
// done there comes last.
func (s *Server) SSH(t T) []string {
	t.Helper()
	if s.link == nil {
		t.Fatalf("%s is not distant", s.name)
	}
	conf, err := s.keys()
	if err != nil {
		t.Fatalf("ssh to %s: %v", s.name, err)
	}
	program, err := find("sshd", "/usr/sbin/sshd")
	if err != nil {
		t.Fatalf("%v", err)
	}
	there := strconv.Itoa(s.side.cmd.Process.Pid)
	cmd := exec.Command("nsenter", "--target", there, "--mount", "--net", "--pid", "/bin/sh", "-c", `mkdir -p /run/sshd && exec "$0" -D -e -f "$1"`, program, conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(s.path("sshd.log"))
	if err == nil {
		cmd.Stderr = log
		err = cmd.Start()
		log.Close()
	}
	if err != nil {
		t.Fatalf("ssh to %s: %v", s.name, err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-ended })
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	go func() { <-ended; cancel() }()
	for at := net.JoinHostPort(s.link.there.String(), "22"); ; time.Sleep(5 * time.Millisecond) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
		if err == nil {
			c.Close()
			break
		}
		if ctx.Err() != nil {
			text, _ := os.ReadFile(s.path("sshd.log"))
			t.Fatalf("ssh to %s: %v: %s", s.name, err, text)
		}
	}
	return []string{
		"ssh", "-F", "none", "-i", s.path("user.key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=" + s.path("known"), "-o", "GlobalKnownHostsFile=none", "root@" + s.link.there.String(),
	}
}

// keys makes the keys of an OpenSSH server and of its only user, and says where its configuration is.
func (s *Server) keys() (conf string, err error) {
	for _, name := range []string{"host.key", "user.key"} {
		if _, err := os.Stat(s.path(name)); err == nil {
			continue
		}
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path(name)).CombinedOutput(); err != nil {
			return "", fmt.Errorf("make a key: %w: %s", err, out)
		}
	}
	host, err := os.ReadFile(s.path("host.key.pub"))
	if err != nil {
		return "", err
	}
	if err := s.write("known", fmt.Sprintf("%s %s", s.link.there, host)); err != nil {
		return "", err
	}
	return s.path("sshd_config"), s.write("sshd_config", fmt.Sprintf("ListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\n",
		s.link.there, s.path("host.key"), s.path("user.key.pub")))
}
