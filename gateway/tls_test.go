package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/access"
	"github.com/myelin-run/myelin/processor/handoff"
)

// running is a whole gateway on a port of its own, which has been told t.
func running(t *testing.T, port int, s Settings, table route.Table) (address string) {
	t.Helper()
	socket, err := handoff.Listen("http", netAddr(port))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Sockets: []handoff.Socket{socket}, Dir: dir, Scratch: dir, Drain: 20 * time.Second, Log: quiet, Settings: s})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		handoff.Close([]handoff.Socket{socket})
	})
	tellTable(t, filepath.Join(dir, AdminFile), table)
	return socket.Address()
}

func netAddr(port int) string {
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String()
}

func tellTable(t *testing.T, socket string, table route.Table) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	until(t, "the admin socket", func() bool {
		r, err := http.NewRequest("PUT", "http://gateway/routes", strings.NewReader(asJSON(t, table)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == 204
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// writePair makes a certificate of a test server's kind as files.
func writePair(t *testing.T, dir string, c tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func roots(t *testing.T, s *httptest.Server) *http.Transport {
	t.Helper()
	return &http.Transport{TLSClientConfig: s.Client().Transport.(*http.Transport).TLSClientConfig.Clone(), ForceAttemptHTTP2: true}
}

// One port speaks TLS and, to the machine itself, in the clear; what is asked is
// logged.
func TestTLSByFiles(t *testing.T) {
	pair := httptest.NewTLSServer(nil)
	defer pair.Close()
	dir := t.TempDir()
	cert, key := writePair(t, dir, pair.TLS.Certificates[0])
	logFile := filepath.Join(dir, "access.log")
	addr := running(t, 0, Settings{Certificate: cert, Key: key, Store: dir, AccessLog: &access.Options{File: logFile}}, route.Table{Deployments: []route.Deployment{said(t, "f")}})
	tr := roots(t, pair)
	client := &http.Client{Transport: tr, Timeout: 30 * time.Second}
	defer tr.CloseIdleConnections()
	for url, proto := range map[string]int{"https://" + addr + "/f/s": 2, "http://" + addr + "/f/p": 1} {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.ProtoMajor != proto || !strings.HasPrefix(string(b), "f GET /") {
			t.Errorf("%s: HTTP/%d %d %s", url, resp.ProtoMajor, resp.StatusCode, b)
		}
	}
	until(t, "the access log", func() bool {
		b, _ := os.ReadFile(logFile)
		return strings.Contains(string(b), `"target":"/f/s","proto":"HTTP/2.0"`) && strings.Contains(string(b), `"target":"/f/p"`)
	})
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if c, err := tls.Dial("tcp", addr, old); err == nil {
		c.Close()
		t.Error("TLS 1.1 was spoken")
	}
}

// names answers, over TCP, that every name is this machine.
func names(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { answerNames(c) })
		}
	})
	return l.Addr().String()
}

func answerNames(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		var m dnsmessage.Message
		if _, err := io.ReadFull(c, b); err != nil || m.Unpack(b) != nil || len(m.Questions) == 0 {
			return
		}
		q := m.Questions[0]
		m.Response, m.Additionals = true, nil
		if q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
		}
		b, err := m.Pack()
		if err != nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
			return
		}
	}
}

// A certificate is got from an authority at the first handshake, kept, and got
// for no other host.
func TestACME(t *testing.T) {
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	quietLog := log.New(t.Output(), "", 0)
	store := db.NewMemoryStore()
	issuer := ca.New(quietLog, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "test", ValidityPeriod: 86400}})
	front := wfe.New(quietLog, store, va.New(quietLog, 1, port, false, names(t), store), issuer, []string{"pebble.test"}, false, false, 0, 0)
	server := httptest.NewTLSServer(front.Handler())
	defer server.Close()
	dir := t.TempDir()
	rootFile := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(rootFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := running(t, port, Settings{Store: dir, ACME: &ACME{Directory: server.URL + wfe.DirectoryPath, Hosts: []string{"gw.example.com"}, Roots: rootFile}}, route.Table{Deployments: []route.Deployment{said(t, "f")}})
	pool := x509.NewCertPool()
	pool.AddCert(issuer.GetRootCert(0).Cert)
	dial := func(name string) error {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", addr, &tls.Config{ServerName: name, RootCAs: pool})
		if err == nil {
			c.Close()
		}
		return err
	}
	var last error
	t.Cleanup(func() {
		if last != nil {
			t.Logf("the last try: %v", last)
		}
	})
	until(t, "a certificate", func() bool { last = dial("gw.example.com"); return last == nil })
	if err := dial("other.example.com"); err == nil {
		t.Error("a certificate for another host")
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "acme", "gw.example.com*")); err != nil || len(kept) == 0 {
		t.Errorf("nothing is kept: %v, %v", kept, err)
	}
}
