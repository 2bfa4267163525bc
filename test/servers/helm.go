package servers

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// helmRelease is the version of what scripts/servers.sh builds of tools/helm, and the
// beginning of its sources' sum; a test keeps them equal.
const helmRelease = "v4.2.4-5c631445"

// Helm runs Helm, and returns what it prints. Its settings and caches are in dir.
func Helm(ctx context.Context, dir string, args ...string) (string, error) {
	program, err := fetched("helm-" + helmRelease)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"HOME=" + dir, "PATH=/usr/bin:/bin"}
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %v: %w: %s", args, err, told.String())
	}
	return out.String(), nil
}

// Kustomize is what kubectl makes of a directory; it needs no cluster.
func Kustomize(ctx context.Context, dir string) (string, error) {
	at, err := fetched("kubernetes-" + kubernetesRelease)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(at, "hyperkube"), "kubectl", "kustomize", dir)
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kustomize %s: %w: %s", dir, err, told.String())
	}
	return out.String(), nil
}
