package source

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestAddressesOfRequests(t *testing.T) {
	for text, ok := range map[string]bool{
		"93.184.216.34": true, "10.1.2.3": true, "192.168.0.9": true, "2606:4700::1": true,
		"127.0.0.1": false, "127.8.9.1": false, "0.0.0.0": false, "::1": false, "::": false, "169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "2002:7f00:1::": false, "::7f00:1": false,
		"fd00:ec2::254": false, "100.100.100.200": false, "168.63.129.16": false, "224.0.0.1": false, "255.255.255.255": false, "ff02::1": false,
	} {
		ip := netip.MustParseAddr(text)
		if err := (Stager{}).reachable(ip); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
		if err := (Stager{Local: true}).reachable(ip); err != nil {
			t.Errorf("%s of a user's own: %v", text, err)
		}
	}
	one := Stager{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	if one.reachable(netip.MustParseAddr("127.0.0.1")) != nil || one.reachable(netip.MustParseAddr("127.0.0.2")) == nil {
		t.Error("networks that are allowed")
	}
}

// A request reaches nothing on this machine: by address, by name, by what a
// name means when it is connected to, or by a redirection.
func TestRequestsDoNotReachThisMachine(t *testing.T) {
	asked := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Host
		_, _ = w.Write([]byte("print(1)"))
	}))
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		srv.URL + "/x.py", "http://localhost:" + port + "/x.py", "http://[::ffff:127.0.0.1]:" + port + "/x.py", "http://0.0.0.0:" + port + "/x.py",
		"http://127.1:" + port + "/x.py", "http://2130706433:" + port + "/x.py", "http://me:pw@127.0.0.1:" + port + "/x.py",
		"git+https://localhost:" + port + "/x.git", "git+https://127.0.0.1:" + port + "/x.git", "git+ssh://127.0.0.1:" + port + "/x.git",
	} {
		if _, _, err := staged(t, Stager{}, Ref{Path: path}); err == nil {
			t.Errorf("%s was fetched", path)
		}
	}
	// Only the first server may be reached; it sends on to the second.
	away := httptest.NewUnstartedServer(http.RedirectHandler(srv.URL+"/x.py", http.StatusFound))
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	away.Listener.Close()
	away.Listener = l
	away.Start()
	t.Cleanup(away.Close)
	s := Stager{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	if _, _, err := staged(t, s, Ref{Path: away.URL + "/y.py"}); err == nil || !strings.Contains(err.Error(), "sources are not fetched from 127.0.0.1") {
		t.Errorf("redirected: %v", err)
	}
	if len(asked) > 0 {
		t.Errorf("it was asked: %v", <-asked)
	}
}

// Git keeps to the address that was looked at, and follows nobody elsewhere.
func TestGitKeepsToItsAddress(t *testing.T) {
	repo, err := url.Parse("https://example.org/x.git")
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Join(gitEnvironment(repo, Ref{Username: "u", Password: "p"}, false, netip.MustParseAddr("93.184.216.34")), "\n")
	for _, want := range []string{"=http.followRedirects\n", "=false\n", "=example.org:443:93.184.216.34\n", "-oHostName=93.184.216.34", "GIT_CONFIG_COUNT=3", "KEY_2=http.https://example.org/.extraHeader"} {
		if !strings.Contains(env, want) {
			t.Errorf("%q is missing in %s", want, env)
		}
	}
}
