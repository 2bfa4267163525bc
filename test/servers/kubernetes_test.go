package servers

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const twoPods = `apiVersion: apps/v1
kind: Deployment
metadata: {name: two}
spec:
  replicas: 2
  selector: {matchLabels: {app: two}}
  template:
    metadata: {labels: {app: two}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: pause, image: ` + pauseImage + `, imagePullPolicy: Never}]
`

// TestKubernetes: a cluster runs pods, and does so again after each of its parts was killed.
func TestKubernetes(t *testing.T) {
	began := time.Now()
	c := Kubernetes(t)
	t.Logf("kubernetes serves after %v", time.Since(began).Round(time.Millisecond))
	kubectl := func(input string, args ...string) string {
		t.Helper()
		out, err := c.Kubectl(limit(t), input, args...)
		check(t, err)
		return out
	}
	kubectl(twoPods, "apply", "-f", "-")
	kubectl("", "rollout", "status", "deployment/two", "--timeout", "60s")
	for _, part := range order {
		check(t, c.Parts[part].Kill())
		check(t, c.Parts[part].Start())
	}
	kubectl("", "scale", "deployment/two", "--replicas", "3")
	kubectl("", "rollout", "status", "deployment/two", "--timeout", "60s")
	if out := kubectl("", "get", "deployment/two", "-o", "jsonpath={.status.readyReplicas}"); out != "3" {
		t.Errorf("%s pods are ready, want 3", out)
	}
	if _, err := c.Kubectl(limit(t), "", "get", "nonsense"); err == nil || !strings.Contains(fmt.Sprint(err), "nonsense") {
		t.Errorf("asked for nonsense: %v", err)
	}
}
