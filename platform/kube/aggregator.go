package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Where every API server says by what it is known to those that it passes questions
// on to (Kubernetes' documentation, "Configure the aggregation layer").
const (
	aggregatorNamespace = "kube-system"
	aggregatorConfig    = "extension-apiserver-authentication"
	aggregatorCA        = "requestheader-client-ca-file"
	aggregatorNames     = "requestheader-allowed-names"
)

// Aggregated is t, of a server that only the cluster's API server is to ask: it has
// asked whoever asks it who they are, and whether they may. It asks the API server
// by what that is known, once.
func (p *Platform) Aggregated(ctx context.Context, t *tls.Config) (*tls.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var m corev1.ConfigMap
	err := p.cluster.clients[corev1.SchemeGroupVersion].Get().Namespace(aggregatorNamespace).Resource("configmaps").Name(aggregatorConfig).Do(ctx).Into(&m)
	if err == nil {
		t, err = knownBy(t, m.Data)
	}
	if err != nil {
		return nil, fmt.Errorf("by what the API server is known (ConfigMap %s in %s): %w", aggregatorConfig, aggregatorNamespace, err)
	}
	return t, nil
}

// knownBy has a server take connections of those alone that are as m says.
func knownBy(t *tls.Config, m map[string]string) (*tls.Config, error) {
	t = t.Clone()
	t.ClientAuth, t.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM([]byte(m[aggregatorCA])) {
		return nil, fmt.Errorf("%s has no certificate: the API server has no aggregation layer", aggregatorCA)
	}
	var names []string
	if text := m[aggregatorNames]; text != "" {
		if err := json.Unmarshal([]byte(text), &names); err != nil {
			return nil, fmt.Errorf("%s: %w", aggregatorNames, err)
		}
	}
	t.VerifyConnection = func(c tls.ConnectionState) error {
		if len(names) > 0 && !slices.Contains(names, c.PeerCertificates[0].Subject.CommonName) {
			return errors.New("not the API server")
		}
		return nil
	}
	return t, nil
}
