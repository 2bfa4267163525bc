package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// checkAddress refuses what others can reach and read on its way, unless that
// was allowed.
func checkAddress(what, addr string, allowed bool) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("%s address %q: want an IP address and a port, such as 127.0.0.1:8070", what, addr)
	}
	if at.Addr().IsLoopback() || allowed {
		return nil
	}
	way := "--insecure-listen if whoever reaches it may call functions"
	if what == "API" {
		way = "--api-cert and --api-key, or --insecure-listen if nobody reads on the way"
	}
	return fmt.Errorf("%s address %s can be reached from other machines and is served in clear: use a loopback address, %s", what, addr, way)
}

func listen(what, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, explain(what, addr, err)
	}
	return l, nil
}

// explain says who has an address that is in use.
func explain(what, addr string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s address: %w", what, err)
	}
	by := ""
	if pid, name := owner(addr); pid != "" {
		by = fmt.Sprintf(" (by pid %s, %s)", pid, name)
	}
	return fmt.Errorf("%s address %s is in use%s", what, addr, by)
}

// owner finds the process that listens on a port, as far as this user may see.
func owner(addr string) (pid, name string) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "", ""
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			// Fields: slot, local address, remote address, state (0A listens), ..., inode.
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", at.Port())) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	return holder(inodes)
}

func holder(inodes map[string]bool) (pid, name string) {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue
		}
		pid = strings.Split(fd, "/")[2]
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		comm, _ := os.ReadFile(filepath.Join("/proc", pid, "comm")) // without a name there is still the pid
		return pid, strings.TrimSpace(string(comm))
	}
	return "", ""
}

// maxHeader is how much a request may say before its body.
const maxHeader = 64 << 10

// serveAPI returns what serves the API until its context is done. Watches and
// followed logs end then; other requests get a moment.
func serveAPI(l net.Listener, t *tls.Config, h http.Handler, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		s := &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader, TLSConfig: t,
			BaseContext: func(net.Listener) context.Context { return ctx }, ConnContext: withCaller,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		}
		stopped := make(chan error, 1)
		defer context.AfterFunc(ctx, func() {
			sctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			err := s.Shutdown(sctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = s.Close()
			}
			stopped <- err
		})()
		serve := func() error { return s.Serve(l) }
		if t != nil {
			serve = func() error { return s.ServeTLS(l, "", "") }
		}
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return <-stopped
	}
}

// fromHere is how processes of this machine reach what listens on addr.
func fromHere(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
