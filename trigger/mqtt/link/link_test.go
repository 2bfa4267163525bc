package link_test

import (
	"testing"

	"github.com/myelin-run/myelin/trigger/mqtt/link"
)

func TestAddresses(t *testing.T) {
	for url, want := range map[string]link.Address{
		"mqtt://h":             {Host: "h:1883"},
		"h:7":                  {Host: "h:7"},
		"tcp://u:p%40@h:7/":    {Host: "h:7", User: "u", Password: "p@"},
		"mqtts://[::1]":        {Host: "[::1]:8883", Secure: true},
		"ssl://h":              {Host: "h:8883", Secure: true},
		"mqtt://":              {Host: "localhost:1883"},
		"tls://u@example.com:": {Host: "example.com:8883", Secure: true, User: "u"},
	} {
		if got, err := link.ParseURL(url); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", url, got, err, want)
		}
	}
}
