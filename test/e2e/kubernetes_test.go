package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/test/servers"
)

// TestKubernetes: the manifest of the page runs an image that was pushed to a registry,
// as restricted as pods can be, and no request fails while images are replaced and pods deleted.
func TestKubernetes(t *testing.T) {
	cluster, registry := servers.Kubernetes(t), servers.Registry(t)
	cluster.Reach(t, registry.Addr)
	kubectl := func(input string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		out, err := cluster.Kubectl(ctx, input, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	kubectl("", "label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted")
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, manifest, _ := strings.Cut(string(page), "```yaml\n")
	manifest, _, _ = strings.Cut(manifest, "```")
	const named = "registry.example.com/hello:1"
	first, second := greets(t, registry.Addr, 1), greets(t, registry.Addr, 2)
	kubectl(strings.ReplaceAll(manifest, named, first), "apply", "-f", "-")
	kubectl("", "rollout", "status", "deployment/hello", "--timeout", "2m")

	at := "http://" + kubectl("", "get", "service/hello", "-o", "jsonpath={.spec.clusterIP}")
	client := &http.Client{Transport: &http.Transport{DialContext: cluster.Dial, DisableKeepAlives: true}, Timeout: time.Minute}
	ask := func() (string, error) {
		resp, err := client.Post(at, "text/plain", strings.NewReader("x"))
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, text)
		}
		return string(text), err
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // until the node sends requests there
		if got, err := ask(); got == "hello 1" {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%q, %v", got, err)
		}
	}
	stop := platformtest.Load(2, func() error { _, err := ask(); return err })
	kubectl("", "set", "image", "deployment/hello", "function="+second)
	kubectl("", "rollout", "status", "deployment/hello", "--timeout", "2m")
	ready := func() []string {
		return strings.Fields(kubectl("", "get", "endpointslices", "-l", "kubernetes.io/service-name=hello", "-o", "jsonpath={.items[*].endpoints[?(@.conditions.ready==true)].targetRef.name}"))
	}
	for _, pod := range awaitTwo(t, ready, "") {
		kubectl("", "delete", "pod", pod, "--wait=false")
		awaitTwo(t, ready, pod)
	}
	awaitTwo(t, func() []string { // those that were deleted have served to their end
		return strings.Fields(kubectl("", "get", "pods", "-l", "app=hello", "-o", "name"))
	}, "")
	if n, err := stop(); err != nil || n == 0 {
		t.Errorf("%d requests: %v", n, err)
	}
	if got, err := ask(); got != "hello 2" {
		t.Errorf("%q, %v", got, err)
	}
}

// awaitTwo waits until two pods take requests, neither of which is one that was deleted,
// and returns them.
func awaitTwo(t *testing.T, ready func() []string, deleted string) []string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		pods := ready()
		if len(pods) == 2 && !slices.Contains(pods, deleted) {
			return pods
		}
		if time.Now().After(end) {
			t.Fatalf("%v are ready, and %q was deleted", pods, deleted)
		}
	}
}

// greets pushes an image of a function in Go, and returns its name.
func greets(t *testing.T, registry string, number int) string {
	t.Helper()
	dir, name := t.TempDir(), fmt.Sprintf("%s/hello:%d", registry, number)
	write(t, filepath.Join(dir, "hello.go"), fmt.Sprintf(`package hello

import myelin "github.com/myelin-run/myelin/sdk/go"

func Handler(_ *myelin.Context, _ *myelin.Event, out *myelin.Response) error {
	out.Body = append(out.Body, "hello %d"...)
	return nil
}
`, number))
	runs(t, dir, "build", "hello.go", "-o", "image:"+name)
	return name
}
