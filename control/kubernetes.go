package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/platform/kube"
	"github.com/myelin-run/myelin/platform/local"
)

// Kubernetes has functions run on a cluster; see package platform/kube. The control
// plane and its gateway have to reach the cluster's pods and services.
type Kubernetes struct {
	Config    string // kubeconfig; default: as kubectl finds it, or a pod's service account
	Context   string // default: the kubeconfig's current one
	Namespace string // default: the context's
	Gateway   string // its URL for functions, so that they can call each other; "": they cannot
	Metrics   PodMetrics
	// Key tells this control plane's objects from those of others in the namespace; a
	// successor has the same. Default: kept in the data directory.
	Key []byte
	// Image makes the image of a function's artefact available to the cluster, and says
	// what it is called there. of is the function's name with its namespace.
	Image func(ctx context.Context, of catalog.Name, a build.Artefact) (reference string, err error)
}

// keyFile has the key of a control plane's objects in a cluster, in its data directory.
const keyFile = "kubernetes.key"

func (c *Control) kubernetes(o local.Options) (place, error) {
	k := *c.o.Kubernetes
	if len(k.Key) == 0 {
		var err error
		if k.Key, err = keptKey(filepath.Join(c.o.DataDir, keyFile)); err != nil {
			return nil, fmt.Errorf("key of what is in the cluster: %w", err)
		}
	}
	image := func(ctx context.Context, name string, a build.Artefact) (string, error) {
		d, ok := catalog.ParseDeployment(name)
		if !ok {
			return "", fmt.Errorf("%q is no deployment", name)
		}
		return k.Image(ctx, d.Name, a)
	}
	return kube.New(kube.Options{
		Config: k.Config, Context: k.Context, Namespace: k.Namespace, Functions: k.Gateway, Key: k.Key, Image: image,
		Moved: o.BeforeDrain, Log: o.Log,
	})
}

// keptKey reads a key, which is made if there is none.
func keptKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key = []byte(rand.Text() + "\n")
	fresh := path + ".new"
	return key, errors.Join(os.WriteFile(fresh, key, 0o600), os.Rename(fresh, path))
}
