package cli

import (
	"context"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/control"
	"github.com/myelin-run/myelin/control/catalog"
)

// clusterFlags say which Kubernetes functions run on, and where their images go.
type clusterFlags struct {
	config, context, namespace string
	registry, gateway          string
	metrics                    control.PodMetrics
}

func (f *clusterFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.config, "kubeconfig", "", "`file` that says how the cluster is reached (default what KUBECONFIG says, else ~/.kube/config; in a pod its service account)")
	fs.StringVar(&f.context, "kube-context", "", "`context` of that file (default its current one)")
	fs.StringVar(&f.namespace, "kube-namespace", "", "`namespace` of the cluster that functions run in, which has to be there (default the context's, or the pod's own)")
	fs.StringVar(&f.registry, "registry", "", "`repository` below which images of functions are pushed, and from which the cluster pulls them, such as registry.example.com/myelin; see myelin image")
	fs.StringVar(&f.gateway, "kube-gateway", "", "`URL` of the gateway for functions in the cluster, such as http://10.0.0.1:8080, so that they can call each other")
	fs.StringVar(&f.metrics.Addr, "kube-metrics-addr", "", "IP `address` and port at which the cluster's API server asks for the load of pods, for its autoscalers (default: nowhere)")
	fs.StringVar(&f.metrics.Certificate, "kube-metrics-cert", "", "`file` with the certificate of --kube-metrics-addr, in PEM")
	fs.StringVar(&f.metrics.Key, "kube-metrics-key", "", "`file` with its key, in PEM")
}

func (f *clusterFlags) given() bool { return *f != clusterFlags{} }

// options are those of a control plane whose functions' images are made by makes.
func (f *clusterFlags) options(a *app, makes func(context.Context, build.Artefact) (v1.Image, func(), error)) (*control.Kubernetes, error) {
	f.registry = strings.TrimSuffix(f.registry, "/")
	if f.registry == "" {
		return nil, usage("--platform kubernetes needs --registry: where images of functions are pushed, and the cluster pulls them, such as registry.example.com/myelin")
	}
	if _, err := name.NewRepository(f.registry + "/hello"); err != nil || image.IsPlace(f.registry) {
		return nil, usage("--registry %s: want a registry and a path in it, such as registry.example.com/myelin", f.registry)
	}
	if u, err := url.Parse(f.gateway); f.gateway != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return nil, usage("--kube-gateway %s: want a URL such as http://10.0.0.1:8080", f.gateway)
	}
	depot, err := a.depot()
	if err != nil {
		return nil, err
	}
	return &control.Kubernetes{Config: f.config, Context: f.context, Namespace: f.namespace, Gateway: f.gateway, Metrics: f.metrics,
		Image: func(ctx context.Context, of catalog.Name, art build.Artefact) (string, error) {
			img, release, err := makes(ctx, art)
			if err != nil {
				return "", err
			}
			defer release()
			return f.push(ctx, depot, of, img, short(art.Digest))
		}}, nil
}

// push gives the registry an image, unless it has it, and says what it is called
// there: by its digest, which cannot become another's.
func (f *clusterFlags) push(ctx context.Context, depot image.Depot, of catalog.Name, img v1.Image, tag string) (string, error) {
	repository := f.registry + "/" + of.String()
	digest, err := depot.Write(ctx, img, image.Registry+":"+repository+":"+tag, "")
	if err != nil {
		return "", err
	}
	return repository + "@" + digest.String(), nil
}
