package control

import (
	"context"
	"errors"

	"github.com/myelin-run/myelin/control/certificate"
	"github.com/myelin-run/myelin/platform/kube"
	"github.com/myelin-run/myelin/platform/kube/podmetrics"
)

// PodMetrics is where a cluster's API server asks for the load of pods, for its
// autoscalers; see package platform/kube/podmetrics.
type PodMetrics struct {
	Addr             string // an IP and a port; "": nowhere
	Certificate, Key string // files in PEM; what the cluster's APIService trusts
}

func (m PodMetrics) check() error {
	if m.Addr != "" && (m.Certificate == "" || m.Key == "") {
		return errors.New("pod metrics: the cluster asks by TLS: give a certificate and its key")
	}
	return nil
}

// podMetrics serves the load of pods, if that is wanted.
func (c *Control) podMetrics(ctx context.Context, run *floors, p place) error {
	cluster, ok := p.(*kube.Platform)
	if !ok || c.o.Kubernetes.Metrics.Addr == "" {
		return nil
	}
	m := c.o.Kubernetes.Metrics
	files, err := certificate.Load(m.Certificate, m.Key)
	if err != nil {
		return err
	}
	known, err := cluster.Aggregated(ctx, files.Config())
	if err != nil {
		return err
	}
	l, err := listen("pod metrics", m.Addr)
	if err != nil {
		return err
	}
	run.start("pod metrics", serveAPI(l, known, podmetrics.Handler(cluster), c.o.Log))
	return nil
}
