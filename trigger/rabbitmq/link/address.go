package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/myelin-run/myelin/trigger/secure"
)

// Address is where brokers of one cluster are, and who asks for what there.
type Address struct {
	Hosts          []string // host:port
	Secure         bool
	User, Password string
	VHost          string
}

// ParseURL reads amqp://user:password@host:port,host:port/vhost. All but the
// scheme may be left out. Its errors do not show the url, which may hold a
// password.
func ParseURL(s string) (Address, error) {
	a := Address{User: "guest", VHost: "/"}
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case s == "":
		return a, errors.New("url: is required, such as amqp://rabbitmq.example.com:5672/vhost")
	case !ok, scheme != "amqp" && scheme != "amqps":
		return a, errors.New("url: begins with neither amqp:// nor amqps://")
	}
	a.Secure = scheme == "amqps"
	rest, query, _ := strings.Cut(rest, "?")
	if query != "" {
		return a, errors.New("url: has a query; what it would say is said by attributes such as heartbeat and tls")
	}
	hosts, vhost, hasVHost := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(hosts, '@'); at >= 0 {
		user, password, _ := strings.Cut(hosts[:at], ":")
		hosts = hosts[at+1:]
		var errs [2]error
		a.User, errs[0] = url.PathUnescape(user)
		a.Password, errs[1] = url.PathUnescape(password)
		if errors.Join(errs[:]...) != nil {
			return a, errors.New("url: a % in user and password is written %25")
		}
	}
	if hasVHost && vhost != "" {
		v, err := url.PathUnescape(vhost)
		if err != nil {
			return a, errors.New("url: a % in the virtual host is written %25")
		}
		a.VHost = v
	}
	return a, a.setHosts(hosts)
}

func (a *Address) setHosts(list string) error {
	port := "5672"
	if a.Secure {
		port = "5671"
	}
	for h := range strings.SplitSeq(list, ",") {
		if h == "" {
			h = "localhost"
		}
		host, p, err := net.SplitHostPort(h)
		if err != nil {
			host, p = strings.Trim(h, "[]"), port
		}
		if strings.ContainsAny(host, " /") || p == "" {
			return fmt.Errorf("url: %q is no host and port", h)
		}
		a.Hosts = append(a.Hosts, net.JoinHostPort(host, p))
	}
	return nil
}

// Secured checks that t can be kept to, and returns what reads it, nil if nothing
// is secure.
func Secured(t secure.TLS, yes bool) (func() (*tls.Config, error), error) {
	switch {
	case !yes && t != (secure.TLS{}):
		return nil, errors.New("tls: is only for an url that begins with amqps://")
	case !yes:
		return nil, nil
	}
	return t.Config, nil
}
