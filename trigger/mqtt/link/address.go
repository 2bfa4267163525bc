package link

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// Address is where the broker is, and who asks there.
type Address struct {
	Host           string // and port
	Secure         bool
	User, Password string
}

// ParseURL reads mqtt://user:password@host:port. Its errors do not show the
// url, which may hold a password.
func ParseURL(s string) (a Address, err error) {
	if s == "" {
		return a, errors.New("url: is required, such as mqtt://mqtt.example.com:1883")
	}
	if !strings.Contains(s, "://") {
		s = "mqtt://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return a, errors.New("url: is none: a special character in user or password is written as %40 is for @")
	}
	port := "1883"
	switch u.Scheme {
	case "mqtt", "tcp":
	case "mqtts", "ssl", "tls":
		a.Secure, port = true, "8883"
	case "ws", "wss":
		return a, errors.New("url: MQTT over WebSockets is not supported: use mqtt:// or mqtts://")
	default:
		return a, errors.New("url: begins with neither mqtt:// nor mqtts://")
	}
	if u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return a, errors.New("url: has more than a host and a port; what it would say is said by attributes such as subscriptions and tls")
	}
	host := u.Hostname()
	if host == "" {
		host = "localhost"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	a.Host, a.User = net.JoinHostPort(host, port), u.User.Username()
	a.Password, _ = u.User.Password()
	return a, nil
}
