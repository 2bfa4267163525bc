// Package kafka is the trigger that reads topics of Kafka as a member of a
// consumer group. It owns the client, the group's leases, checkpoints under the
// group's generation, transactions and the wording of what brokers refuse; the
// stream engine owns everything else. It knows no worker and no runtime.
package kafka

import (
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/kafka/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Kind is the trigger's name in a spec; NuclioKind is Nuclio's.
const (
	Kind       = "kafka"
	NuclioKind = "kafka-cluster"
)

// Factory makes Kafka triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the records of Kafka topics.", defaults, build).Alias(NuclioKind)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	return stream.New(s, stream.Options{Kind: Kind, Transacts: true, Restores: true}, src)
}

// newSource completes cfg with the spec's common fields.
func newSource(s trigger.Settings, cfg Config) (*Source, error) {
	var es document.Errors
	if len(cfg.Brokers) == 0 && s.Spec.URL != "" {
		cfg.Brokers = link.Brokers(&es, s.Spec.URL)
	}
	if len(cfg.Brokers) == 0 {
		es.Add("brokers", "is required, or the trigger's url: where the brokers are, as host:port")
	}
	cfg.SASL = cfg.SASL.With(s.Spec.Username, s.Spec.Password)
	if cfg.SASL.Nameless() {
		es.Add("sasl.user", "is required, or the trigger's username")
	}
	if err := es.Err(); err != nil {
		return nil, err
	}
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	begins, err := trigger.ParseStart(s.Spec.StartAt)
	if err != nil {
		return nil, err
	}
	return &Source{cfg: cfg, log: log, exactly: s.Spec.Guarantee == "exactlyOnce", part: s.Share.Part, begins: begins}, nil
}
