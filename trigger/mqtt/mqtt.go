// Package mqtt is the trigger that subscribes to topics of an MQTT broker, with
// version 5 or 3.1.1. It holds what is peculiar to MQTT: sessions that the
// broker keeps, acks in order, shared subscriptions, answers. The packets are
// encoded by Eclipse Paho; the connection is package link's, for acks wait for
// the function, and a full line must hold back the broker without holding back
// its signs of life. It knows no worker and no runtime.
package mqtt

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Kind is the trigger's name in a spec.
const Kind = "mqtt"

// Factory makes MQTT triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the messages of MQTT topics.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	// MQTT has no nack. A message that is given back at a stop is one that is
	// not acked: the broker's session has it for whoever opens the session next.
	// The session of a group's member ends with it.
	return queue.New(s, queue.Options{Kind: Kind, Requeues: cfg.Group == ""}, src)
}

// newSource checks what the configuration alone cannot tell, and opens nothing.
func newSource(s trigger.Settings, cfg Config) (*source, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	to, err := link.ParseURL(s.Spec.URL)
	if err != nil {
		return nil, err
	}
	if to.Password != "" {
		s.Log.Warn("the url has a password, which is shown to whoever may see the function; the field password is not")
	}
	if s.Spec.Username != "" {
		to.User = s.Spec.Username
	}
	if p := s.Spec.Password.Reveal(); p != "" {
		to.Password = p
	}
	switch at := s.Spec.StartAt; {
	case to.Password != "" && to.User == "":
		return nil, errors.New("password: needs a username")
	case !to.Secure && cfg.TLS != secure.TLS{}:
		return nil, errors.New("tls: is only for an url that begins with mqtts://")
	case at != "" && at != "earliest":
		return nil, fmt.Errorf("startAt: %q: an MQTT broker keeps nothing that was read, and begins with what the session has", at)
	}
	src := &source{cfg: cfg, log: s.Log, id: identity(s, cfg), halfway: map[uint16]uint64{}, dialer: &link.Dialer{To: to, TLS: cfg.TLS, Version: cfg.version(),
		KeepAlive: cfg.KeepAlive.Std(), Most: cfg.MaxMessageSize.Bytes(), Timeout: cfg.Timeout.Std(), Log: s.Log}}
	src.replies = src.publisher()
	return src, nil
}

// identity is the name of the session at the broker. It is the same after a
// restart, so that the session is found again; the members of a group have one
// each.
func identity(s trigger.Settings, cfg Config) string {
	id := cfg.ClientID
	if id == "" {
		var parts []string
		for _, p := range []string{"myelin", s.Namespace, s.Function, s.Name} {
			if p != "" {
				parts = append(parts, p)
			}
		}
		id = strings.Join(parts, "-")
	}
	if cfg.Group == "" {
		return id
	}
	replica := s.Replica
	if replica == "" {
		replica, _ = os.Hostname() // the rest is name enough
	}
	return id + "-" + replica
}
