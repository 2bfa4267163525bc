package link

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for url, want := range map[string]Address{
		"amqp://":                           {Hosts: []string{"localhost:5672"}, User: "guest", VHost: "/"},
		"amqps://a,b:1/v%2Fw":               {Hosts: []string{"a:5671", "b:1"}, Secure: true, User: "guest", VHost: "v/w"},
		"amqp://me:p%40ss:w%25rd@[::1]:9/x": {Hosts: []string{"[::1]:9"}, User: "me", Password: "p@ss:w%rd", VHost: "x"},
		"amqp://me@host/":                   {Hosts: []string{"host:5672"}, User: "me", VHost: "/"},
	} {
		got, err := ParseURL(url)
		if err != nil || strings.Join(got.Hosts, " ") != strings.Join(want.Hosts, " ") || got.Secure != want.Secure || got.User != want.User || got.Password != want.Password || got.VHost != want.VHost {
			t.Errorf("%s: %+v, %v, want %+v", url, got, err, want)
		}
	}
}
