package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/test/servers"
)

// cluster is a Kubernetes with a control plane and its gateway on the node, and a
// registry that it pulls from.
type cluster struct {
	*servers.Kube
	registry *servers.Server
	plane    *plane
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Kube: servers.Kubernetes(t), registry: servers.Registry(t)}
	c.Reach(t, c.registry.Addr)
	c.kubectl(t, "create", "namespace", "functions")
	c.kubectl(t, "label", "namespace", "functions", "pod-security.kubernetes.io/enforce=restricted")
	c.plane = &plane{T: t, data: planeData(t), api: freeAddress(t), gateway: freeAddress(t), start: func(cmd *exec.Cmd) error { return c.Inside(cmd.Start) }}
	c.Let(t, c.plane.api)
	c.Let(t, c.plane.gateway)
	c.plane.begin("--platform", "kubernetes", "--kubeconfig", c.Within, "--kube-namespace", "functions", "--registry", c.registry.Addr+"/functions")
	return c
}

func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := c.Kubectl(ctx, "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// TestUpOnKubernetes: functions run on a cluster as on a laptop: deployed, called through
// the gateway, found again by the next control plane, and gone when they are deleted.
func TestUpOnKubernetes(t *testing.T) {
	c := newCluster(t)
	p := c.plane
	source := func(text string) string {
		return `package hello

import myelin "github.com/myelin-run/myelin/sdk/go"

func Handler(_ *myelin.Context, e *myelin.Event, out *myelin.Response) error {
	out.Body = append(append(out.Body, "` + text + `"...), e.Body...)
	return nil
}
`
	}
	for _, greeting := range []string{"hello ", "good day "} {
		p.run("hello", "hello.go", source(greeting))
		p.until("an answer of "+greeting, func() bool { _, got := p.ask("hello", "Ada"); return got == greeting+"Ada" })
	}
	if got := c.kubectl(t, "get", "deployments", "-n", "functions", "-o", "jsonpath={.items[*].status.readyReplicas}"); got != "1" {
		t.Errorf("in the cluster is %s", got)
	}
	p.kill()
	p.up()
	if status, got := p.ask("hello", "Ada"); got != "good day Ada" {
		t.Errorf("after a kill of the control plane %d %q", status, got)
	}
	p.says("delete", "hello", "--force")
	c.gone(t)
}

// gone waits until nothing of any function is left.
func (c *cluster) gone(t *testing.T) {
	t.Helper()
	left := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if left = c.kubectl(t, "get", "deployments,pods,services,secrets", "-n", "functions", "-o", "name"); left == "" {
			return
		}
	}
	t.Errorf("left is %s", left)
}
