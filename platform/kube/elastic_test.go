package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/kube/podmetrics"
	"github.com/myelin-run/myelin/platform/platformtest"
)

// elastic has a deployment scaled by the cluster.
func elastic(d platform.Deployment, least, most int) platform.Deployment {
	d.Config.Spec.Replicas, d.Config.Spec.MinReplicas, d.Config.Spec.MaxReplicas = nil, &least, &most
	d.Config.Spec.CustomScalingMetricSpecs = json.RawMessage(`[{"type": "Pods", "pods": {"metric": {"name": "` + podmetrics.AtOnce + `"}, "target": {"type": "AverageValue", "averageValue": "2"}}}]`)
	return d
}

// metricsAPI has the cluster ask a platform for the metrics of pods.
func (s *site) metricsAPI(t *testing.T, p *Platform) {
	t.Helper()
	var l net.Listener
	if err := s.Inside(func() (err error) { l, err = net.Listen("tcp", net.JoinHostPort(s.NodeAddress(), "0")); return err }); err != nil {
		t.Fatal(err)
	}
	cert, bundle := selfSigned(t, "metrics.default.svc")
	known, err := p.Aggregated(t.Context(), &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: podmetrics.Handler(p), TLSConfig: known, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { server.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	s.kubectl(t, fmt.Sprintf(`
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics", "namespace": "default"}, "spec": {"ports": [{"name": "https", "port": 443, "targetPort": %[1]d}]}},
  {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "metrics", "namespace": "default", "labels": {"kubernetes.io/service-name": "metrics"}},
   "addressType": "IPv4", "ports": [{"name": "https", "port": %[1]d}], "endpoints": [{"addresses": [%[2]q], "conditions": {"ready": true}}]},
  {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "%[3]s.%[4]s"},
   "spec": {"group": %[4]q, "version": %[3]q, "groupPriorityMinimum": 100, "versionPriority": 100, "service": {"name": "metrics", "namespace": "default"}, "caBundle": %[5]q}}]}`,
		port, s.NodeAddress(), podmetrics.Version, podmetrics.Group, bundle), "apply", "-f", "-")
	t.Cleanup(func() { s.kubectl(t, "", "delete", "apiservice", podmetrics.Version+"."+podmetrics.Group) })
	s.kubectl(t, "", "wait", "--for=condition=Available", "--timeout=60s", "apiservice/"+podmetrics.Version+"."+podmetrics.Group)
}

// selfSigned is a certificate and its bundle, as a cluster is told it.
func selfSigned(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	text, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{text}, PrivateKey: key}, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: text}))
}

// autoscalerFollows: an autoscaler of the cluster follows what processors say, a new
// version begins with as many replicas as there are, and a function that names no
// metrics any more has the replicas that it is given.
func autoscalerFollows(t *testing.T, s *site) {
	w := s.world(t, nil)
	p := w.Platform.(*Platform)
	s.metricsAPI(t, p)
	d := elastic(w.Deployment("f", "1"), 1, 3)
	w.Apply(d)
	if o := w.See("f"); len(o.Replicas) != 1 {
		t.Fatalf("it begins with %+v", o.Replicas)
	}
	began := time.Now()
	c, url := s.client(false), "http://"+w.See("f").Address+"/slow?for=2s"
	stop := platformtest.Load(6, func() error {
		resp, err := c.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	w.Await("f", "three replicas", func(o platform.Observed) bool { return ready(o) == 3 })
	t.Logf("three replicas %v after the load began", time.Since(began).Round(100*time.Millisecond))
	d2 := elastic(w.Deployment("f", "2"), 1, 3)
	w.Apply(d2)
	if o := w.See("f"); ready(o) != 3 || o.Fingerprint != d2.Fingerprint {
		t.Errorf("the new version has %+v", o.Replicas)
	}
	w.Apply(elastic(w.Deployment("f", "3"), 4, 5)) // what is noted by now: nobody but the autoscaler says how many
	w.Await("f", "the new minimum", func(o platform.Observed) bool { return ready(o) >= 4 })
	if n, err := stop(); err != nil || n == 0 {
		t.Errorf("of %d requests: %v", n, err)
	}
	w.Apply(w.Deployment("f", "4"))
	w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	if left := s.kubectl(t, "", "get", "hpa", "-n", s.space(t, w.Dir), "-o", "name"); strings.TrimSpace(left) != "" {
		t.Errorf("there is still %s", left)
	}
}

func ready(o platform.Observed) (n int) {
	for _, r := range o.Replicas {
		if r.State == "ready" {
			n++
		}
	}
	return n
}

// TestAutoscaler: what a function asks of an autoscaler is checked.
func TestAutoscaler(t *testing.T) {
	p := offline()
	d := elastic(everything(), 0, 4)
	m, err := p.manifest(d, "image")
	if err != nil {
		t.Fatal(err)
	}
	a := m.autoscaler.Spec
	if *a.MinReplicas != 1 || a.MaxReplicas != 4 || a.ScaleTargetRef.Name != m.deployment.Name || a.Metrics[0].Pods.Metric.Name != podmetrics.AtOnce {
		t.Errorf("%+v", a)
	}
	for text, want := range map[string]string{
		`[{"type": "Pods", "pod": {}}]`: "spec.customScalingMetricSpecs: ", `[{}]`: "spec.customScalingMetricSpecs[0].type: want", `{}`: "spec.customScalingMetricSpecs: ",
	} {
		d.Config.Spec.CustomScalingMetricSpecs = json.RawMessage(text)
		if _, err := p.manifest(d, "image"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	n := 3
	for _, without := range []string{"", "null", "[]"} {
		d.Config.Spec.CustomScalingMetricSpecs = json.RawMessage(without)
		if p.Autoscales(d.Config) {
			t.Errorf("scaled by %q", without)
		}
	}
	if d = elastic(everything(), 1, 4); !p.Autoscales(d.Config) {
		t.Error("not scaled")
	}
	if d.Config.Spec.Replicas = &n; p.Autoscales(d.Config) {
		t.Error("a fixed number is scaled")
	}
}

// TestKnownBy: only the API server may ask, as the cluster says that it is known.
func TestKnownBy(t *testing.T) {
	server, _ := selfSigned(t, "metrics")
	known, _ := selfSigned(t, "front-proxy-client")
	stranger, _ := selfSigned(t, "front-proxy-client")
	says := map[string]string{aggregatorCA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: known.Certificate[0]}))}
	ask := func(says map[string]string, certs ...tls.Certificate) error {
		t.Helper()
		config, err := knownBy(&tls.Config{Certificates: []tls.Certificate{server}}, says)
		if err != nil {
			return err
		}
		here, there := net.Pipe()
		defer here.Close()
		done := make(chan error, 1)
		go func() { done <- tls.Server(there, config).HandshakeContext(t.Context()); there.Close() }()
		go func() {
			_ = tls.Client(here, &tls.Config{InsecureSkipVerify: true, Certificates: certs}).HandshakeContext(t.Context()) //nolint:gosec // whose server it is does not matter here
			_, _ = io.Copy(io.Discard, here)
		}()
		return <-done
	}
	named := func(names string) map[string]string {
		return map[string]string{aggregatorCA: says[aggregatorCA], aggregatorNames: names}
	}
	for what, err := range map[string]error{
		"any name": ask(says, known), "its name": ask(named(`["other","front-proxy-client"]`), known),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"no certificate": ask(says), "a stranger's": ask(says, stranger), "another name": ask(named(`["other"]`), known),
		"no authority": ask(map[string]string{}, known), "nonsense": ask(named(`{`), known),
	} {
		if err == nil {
			t.Errorf("%s is let in", what)
		}
	}
}
