package image

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/myelin-run/myelin/document"
)

// RegistriesFile is where [ReadRegistries] looks in the data directory.
const RegistriesFile = "registries.yaml"

// RegistryEntry says how one registry is talked with.
type RegistryEntry struct {
	// Host is the registry's name as it is in names of images, with its port:
	// registry.example.com:5000, or docker.io.
	Host string `json:"host"`
	// CA is a file of certificates; one of them has to vouch for the registry, and
	// no other does.
	CA string `json:"ca,omitempty"`
	// Insecure lets the registry be without TLS, or have any certificate.
	Insecure bool `json:"insecure,omitempty"`
	// Mirrors are asked before the registry, in this order, for what is read from
	// it: hosts, with the path below which they have its images.
	Mirrors []string `json:"mirrors,omitempty"`
}

// Registries are those that need more than their names. Nil are none.
type Registries struct {
	all    map[string]RegistryEntry
	client http.RoundTripper
}

// ReadRegistries reads registries.yaml of data. It may be missing.
func ReadRegistries(data string) (*Registries, error) {
	path := filepath.Join(data, RegistriesFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewRegistries(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("read registries: %w", err)
	}
	var list struct {
		Registries []RegistryEntry `json:"registries"`
	}
	doc, err := document.Parse(path, text)
	if err == nil {
		err = doc.Decode(&list)
	}
	if err != nil {
		return nil, err
	}
	made, err := NewRegistries(list.Registries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return made, nil
}

// NewRegistries makes them of a list. It reads the certificates.
func NewRegistries(list []RegistryEntry) (*Registries, error) {
	r := &Registries{all: map[string]RegistryEntry{}}
	special := map[string]http.RoundTripper{}
	for _, one := range list {
		host, err := hostOf(one.Host)
		if err != nil {
			return nil, err
		}
		if _, twice := r.all[host]; twice {
			return nil, fmt.Errorf("registry %s is there twice", one.Host)
		}
		for _, m := range one.Mirrors {
			if _, err := name.NewRepository(m+"/x", name.StrictValidation); err != nil || strings.Contains(m, "//") {
				return nil, fmt.Errorf("registry %s: mirror %q is no host with a path", one.Host, m)
			}
		}
		r.all[host] = one
		if one.CA == "" && !one.Insecure {
			continue
		}
		trust, err := one.trust()
		if err != nil {
			return nil, err
		}
		special[addressOf(host)] = client(trust)
	}
	r.client = &chooser{registries: r, usual: client(nil), special: special}
	return r, nil
}

// hostOf is the name by which images name a registry.
func hostOf(host string) (string, error) {
	r, err := name.NewRegistry(host, name.StrictValidation)
	if err != nil || host == "" {
		return "", fmt.Errorf("%q is no host of a registry, such as registry.example.com:5000", host)
	}
	return r.RegistryStr(), nil
}

// addressOf is a host with its port.
func addressOf(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "443")
}

func (r RegistryEntry) trust() (*tls.Config, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.Insecure} //nolint:gosec // who wrote the file asked for it
	if r.CA == "" {
		return trust, nil
	}
	text, err := os.ReadFile(r.CA)
	if err != nil {
		return nil, fmt.Errorf("registry %s: read certificates: %w", r.Host, err)
	}
	trust.RootCAs = x509.NewCertPool()
	if !trust.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("registry %s: %s has no certificate in PEM", r.Host, r.CA)
	}
	return trust, nil
}

// client talks with registries that trust has to vouch for, nil being the machine's.
func client(trust *tls.Config) http.RoundTripper {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig: trust, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 5 * time.Minute, IdleConnTimeout: 10 * time.Second,
	}
}

// chooser takes each request's host by what is configured for it, and none of
// another machine without TLS unless that is allowed.
type chooser struct {
	registries *Registries
	usual      http.RoundTripper
	special    map[string]http.RoundTripper
}

func (c *chooser) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !c.registries.insecure(r.URL.Host) && !loopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%s is without TLS, and nothing is sent to it: if that shall be, say `insecure: true` in %s", r.URL.Host, RegistriesFile)
	}
	for _, address := range []string{r.URL.Host, addressOf(r.URL.Host)} {
		if s := c.special[address]; s != nil {
			return s.RoundTrip(r)
		}
	}
	return c.usual.RoundTrip(r)
}

// insecure tells whether a host may be without TLS.
func (r *Registries) insecure(host string) bool { return r.all[host].Insecure }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sources are the names to read ref by: from mirrors first.
func (r *Registries) sources(ref name.Reference) (all []name.Reference, err error) {
	for _, m := range r.all[ref.Context().RegistryStr()].Mirrors {
		mirrored := m + "/" + ref.Context().RepositoryStr() + separator(ref) + ref.Identifier()
		other, err := r.reference(mirrored)
		if err != nil {
			return nil, err
		}
		all = append(all, other)
	}
	return append(all, ref), nil
}

func separator(ref name.Reference) string {
	if _, ok := ref.(name.Digest); ok {
		return "@"
	}
	return ":"
}

// reference reads the name of an image.
func (r *Registries) reference(s string) (name.Reference, error) {
	ref, err := name.ParseReference(s)
	if err == nil && r.insecure(ref.Context().RegistryStr()) {
		ref, err = name.ParseReference(s, name.Insecure)
	}
	if err != nil {
		return nil, fmt.Errorf("read image name: %w", err)
	}
	return ref, nil
}

// hint says what to do about an error of a registry, where that is known.
func hint(ref name.Reference, err error) error {
	host := ref.Context().RegistryStr()
	var told *transport.Error
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return fmt.Errorf("%w (if %s is to be trusted, name its certificate as `ca` in %s)", err, host, RegistriesFile)
	case errors.As(err, &told) && slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden}, told.StatusCode):
		return fmt.Errorf("%w (log in with `docker login %s`, or see to the credential helper of it)", err, host)
	}
	return err
}

// tryEach asks each source of ref until one has an answer.
func tryEach[T any](r *Registries, ref name.Reference, ask func(name.Reference) (T, error)) (answer T, err error) {
	all, err := r.sources(ref)
	if err != nil {
		return answer, err
	}
	var problems []error
	for _, source := range all {
		answer, err := ask(source)
		if err == nil {
			return answer, nil
		}
		err = hint(source, err)
		if len(all) > 1 {
			err = fmt.Errorf("%s: %w", source.Context().RegistryStr(), err)
		}
		problems = append(problems, err)
	}
	return answer, errors.Join(problems...)
}
