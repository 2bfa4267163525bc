package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/control"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/quantity"
)

// What the command line knows of control planes is in one file of the user's,
// which nobody else may read.
const (
	envToken   = "MYELIN_TOKEN"
	envCA      = "MYELIN_CA"
	envContext = "MYELIN_CONTEXTS"
)

// known is what is kept of a control plane.
type known struct {
	Token  quantity.Secret `json:"token,omitempty"`
	CAFile string          `json:"caFile,omitempty"`
}

// contexts are the control planes that are known, by address.
type contexts map[string]known

func contextFile() (string, error) {
	if path := os.Getenv(envContext); path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no directory for settings: set %s: %w", envContext, err)
	}
	return filepath.Join(dir, "myelin", "contexts.json"), nil
}

func readContexts() (contexts, error) {
	path, err := contextFile()
	if err != nil {
		return contexts{}, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return contexts{}, nil
	}
	c := contexts{}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// write replaces the file, for its owner alone.
func (c contexts) write() error {
	path, err := contextFile()
	if err != nil {
		return err
	}
	plain := map[string]map[string]string{}
	for at, k := range c {
		plain[at] = map[string]string{"token": k.Token.Reveal(), "caFile": k.CAFile}
	}
	text, err := json.MarshalIndent(plain, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".contexts") // of mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(append(text, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

// credentials finds what to say to the control plane at an address: what the
// environment says, else what myelin login kept, else, of one on this machine
// that belongs to the owner of the data directory's token, that one.
func (a *app) credentials(address string) (known, error) {
	all, err := readContexts()
	if err != nil {
		return known{}, err
	}
	k := all[address]
	if ca := os.Getenv(envCA); ca != "" {
		k.CAFile = ca
	}
	if token := os.Getenv(envToken); token != "" {
		k.Token = quantity.Secret(token)
	}
	if k.Token == "" && here(address) {
		if data, err := a.dataDir(); err == nil {
			path := filepath.Join(data, control.TokenFile)
			if ownedBy(address, path) {
				text, _ := os.ReadFile(path) // whoever may not read it has another
				k.Token = quantity.Secret(strings.TrimSpace(string(text)))
			}
		}
	}
	return k, nil
}

// here tells whether an address is this machine's own.
func here(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// web returns the client of HTTP for the control plane; what is wrong with the
// credentials is told when they are used.
func (a *app) web() *http.Client {
	k, err := a.credentials(a.apiURL())
	if err != nil {
		return &http.Client{Transport: broken{err}}
	}
	return k.client()
}

func (k known) client() *http.Client {
	if k.CAFile == "" {
		return client.WithToken(k.Token.Reveal(), nil)
	}
	text, err := os.ReadFile(k.CAFile)
	if err != nil {
		return &http.Client{Transport: broken{fmt.Errorf("read the certificates that are trusted: %w", err)}}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return &http.Client{Transport: broken{fmt.Errorf("there is no certificate in %s", k.CAFile)}}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return client.WithToken(k.Token.Reveal(), t)
}

// broken fails every request.
type broken struct{ err error }

// RoundTrip implements [http.RoundTripper].
func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }
