package amazon

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Config is what the attributes of all triggers of Amazon's services have. The
// trigger's own url is https://KEY@host, or http://, where KEY is the identifier of
// an access key and its secret the key itself. Without a url it is Amazon's own
// address in the region; without a key, who asks is what the environment says.
type Config struct {
	// Region of the service. Default: AWS_REGION, or AWS_DEFAULT_REGION.
	Region string `json:"region,omitempty"`
	// Timeout bounds each request. Default 30s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
	TLS     *secure.TLS       `json:"tls,omitempty"`
}

// Defaults is what is assumed where a spec says nothing.
func Defaults() Config { return Config{Timeout: quantity.Duration(30 * time.Second)} }

var regionName = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

// Check reports the fields that cannot be kept to.
func (c *Config) Check(es *document.Errors) {
	if c.Region != "" && !regionName.MatchString(c.Region) {
		es.Add("region", "is %q, expected a name such as eu-central-1", c.Region)
	}
	if c.Timeout.Std() < 100*time.Millisecond {
		es.Add("timeout", "is %v, expected at least 100ms", c.Timeout)
	}
	if c.TLS != nil {
		c.TLS.Check(es)
	}
}

// Place is where services are and who asks them.
type Place struct {
	cfg      Config
	scheme   string
	host     string // "": Amazon's own
	region   string
	identity identity
}

// At reads the url, user and secret of a trigger, and opens nothing. Its errors do
// not show them.
func At(s trigger.Settings, c Config) (*Place, error) {
	p := &Place{cfg: c, scheme: "https", region: c.Region}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if v := os.Getenv(name); p.region == "" && regionName.MatchString(v) {
			p.region = v
		}
	}
	key, secret := s.Spec.Username, s.Spec.Secret.Reveal()
	if secret == "" {
		secret = s.Spec.Password.Reveal()
	}
	if s.Spec.URL != "" {
		u, err := parse(s.Spec.URL)
		if err != nil {
			return nil, &trigger.SpecError{Err: document.Under("url", err)}
		}
		p.scheme, p.host = u.Scheme, u.Host
		if u.User != nil && key == "" {
			key = u.User.Username()
		}
	}
	if (key == "") != (secret == "") {
		return nil, &trigger.SpecError{Err: document.Under("url", errors.New("has no key or there is no secret: https://KEY@host, or the username, and the trigger's secret go together"))}
	}
	if p.region == "" && p.host == "" {
		return nil, document.Under("region", errors.New("is required where there is no url and AWS_REGION is not set"))
	}
	if p.region == "" {
		p.region = "us-east-1"
	}
	if c.TLS != nil && p.scheme != "https" {
		return nil, document.Under("tls", errors.New("is only for an url that begins with https://"))
	}
	p.identity = newIdentity(key, secret)
	return p, nil
}

func parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("is not of the form https://KEY@host:port")
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("has a password, which is shown to whoever may see the function: the trigger's secret is not")
	}
	return u, nil
}

// Region is where the services are.
func (p *Place) Region() string { return p.region }

// Open makes a client of a service. It connects when it is first used.
func (p *Place) Open(s Service) (*Client, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 20 * time.Second, ForceAttemptHTTP2: false}
	if p.cfg.TLS != nil {
		conf, err := p.cfg.TLS.Config()
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = conf
	}
	host := p.host
	if host == "" {
		host = p.own(s)
	}
	both := t.Clone()
	both.ForceAttemptHTTP2 = true
	return &Client{service: s, region: p.region, endpoint: p.scheme + "://" + host, timeout: p.cfg.Timeout.Std(), identity: p.identity, signer: v4.NewSigner(),
		http: &http.Client{Transport: t, CheckRedirect: stay}, streams: &http.Client{Transport: both, CheckRedirect: stay}}, nil
}

// stay has an answer that leads elsewhere taken as it is.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// own is the name of Amazon's own host of a service.
func (p *Place) own(s Service) string {
	domain := "amazonaws.com"
	if strings.HasPrefix(p.region, "cn-") {
		domain += ".cn"
	}
	return fmt.Sprintf("%s.%s.%s", s.Name, p.region, domain)
}
