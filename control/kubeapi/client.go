// Package kubeapi asks the API server of a Kubernetes cluster about objects of
// the kinds that are the control plane's own, as JSON. It says how such kinds are
// established, listed, watched and written; what is in them is not its business.
package kubeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Options say which cluster, and as whom.
type Options struct {
	// Config is a kubeconfig file; "": what KUBECONFIG says, then ~/.kube/config,
	// then, in a pod, its service account.
	Config string
	// Context is one of the file's contexts; "": its current one.
	Context string
	// Namespace is where the control plane's own objects are; "": the context's.
	Namespace string
	// Manager is as whom fields are written; default "myelin".
	Manager string
	// Wrap sees what is asked. May be nil.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Client asks one cluster.
type Client struct {
	host      string
	namespace string
	manager   string
	config    *rest.Config
	http      *http.Client

	mu     sync.Mutex
	groups map[schema.GroupVersion]rest.Interface
}

// Resource is a kind, as addresses say it.
type Resource struct{ Group, Version, Plural string }

// limit bounds how long one question may take. An API server gives up after a minute.
const limit = 30 * time.Second

// Connect reads the configuration. It asks nobody.
func Connect(o Options) (*Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Config
	said := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	config, err := said.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	if o.Namespace == "" {
		if o.Namespace, _, err = said.Namespace(); err != nil {
			return nil, fmt.Errorf("kubernetes: %w", err)
		}
	}
	if o.Manager == "" {
		o.Manager = "myelin"
	}
	if o.Wrap != nil {
		config.Wrap(o.Wrap)
	}
	config.QPS = -1 // API servers share themselves out fairly
	config.UserAgent = "myelin"
	config.WarningHandler = rest.NoWarnings{}
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	return &Client{host: config.Host, namespace: o.Namespace, manager: o.Manager, config: config, http: web, groups: map[schema.GroupVersion]rest.Interface{}}, nil
}

// Namespace is where the control plane's own objects are.
func (c *Client) Namespace() string { return c.namespace }

// Host is the API server's address.
func (c *Client) Host() string { return c.host }

// Close ends the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// of is what asks about the kinds of a group.
func (c *Client) of(r Resource) (rest.Interface, error) {
	g := schema.GroupVersion{Group: r.Group, Version: r.Version}
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.groups[g]; one != nil {
		return one, nil
	}
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	config := rest.CopyConfig(c.config)
	config.GroupVersion, config.APIPath = &g, "/apis"
	if g.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	one, err := rest.RESTClientForConfigAndClient(config, c.http)
	if err == nil {
		c.groups[g] = one
	}
	return one, err
}

// Address names an object. Its namespace is "" if its kind has none, or for those of all.
type Address struct {
	Resource
	Namespace, Name string
	// Part is a subresource, such as status.
	Part string
}

func (a Address) String() string {
	s := a.Plural
	if a.Name != "" {
		s += " " + a.Name
	}
	if a.Namespace != "" {
		s += " of namespace " + a.Namespace
	}
	return s
}

// ask sends one request; content is nil or an object.
func (c *Client) ask(ctx context.Context, do string, verb func(rest.Interface) *rest.Request, a Address, content any) ([]byte, error) {
	one, err := c.of(a.Resource)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := verb(one).NamespaceIfScoped(a.Namespace, a.Namespace != "").Resource(a.Plural).MaxRetries(0)
	if a.Name != "" {
		r = r.Name(a.Name)
	}
	if a.Part != "" {
		r = r.SubResource(a.Part)
	}
	if content != nil {
		text, err := json.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", do, a, err)
		}
		r = r.Body(text)
	}
	raw, err := answer(r.Do(ctx))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", do, a, err)
	}
	return raw, nil
}

// answer is what an API server said; its errors are whole.
func answer(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	return r.Raw()
}

// Get returns an object.
func (c *Client) Get(ctx context.Context, a Address) ([]byte, error) {
	return c.ask(ctx, "get", func(i rest.Interface) *rest.Request { return i.Get() }, a, nil)
}

// Create makes an object, and returns it as it is then.
func (c *Client) Create(ctx context.Context, a Address, object any) ([]byte, error) {
	a.Name = ""
	return c.ask(ctx, "create", func(i rest.Interface) *rest.Request {
		return i.Post().Param("fieldManager", c.manager)
	}, a, object)
}

// Replace writes an object in place of the one whose resourceVersion it has.
func (c *Client) Replace(ctx context.Context, a Address, object any) ([]byte, error) {
	return c.ask(ctx, "write", func(i rest.Interface) *rest.Request {
		return i.Put().Param("fieldManager", c.manager)
	}, a, object)
}

// Patch merges fields into an object: what is null goes.
func (c *Client) Patch(ctx context.Context, a Address, fields any) ([]byte, error) {
	return c.ask(ctx, "write", func(i rest.Interface) *rest.Request {
		return i.Patch(types.MergePatchType).Param("fieldManager", c.manager)
	}, a, fields)
}

// Apply says what an object shall be like; fields that somebody else has are taken.
func (c *Client) Apply(ctx context.Context, a Address, object any) ([]byte, error) {
	return c.ask(ctx, "apply", func(i rest.Interface) *rest.Request {
		return i.Patch(types.ApplyPatchType).Param("fieldManager", c.manager).Param("force", "true")
	}, a, object)
}

// Delete removes an object. That there is none is fine.
func (c *Client) Delete(ctx context.Context, a Address) error {
	_, err := c.ask(ctx, "delete", func(i rest.Interface) *rest.Request { return i.Delete() }, a, nil)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Passing says whether an error may be over soon, as while an API server starts. What
// was asked may have been done.
func Passing(err error) bool {
	var said apierrors.APIStatus
	if !errors.As(err, &said) {
		return err != nil
	}
	code := said.Status().Code
	return code == http.StatusTooManyRequests || code == http.StatusRequestTimeout ||
		code >= http.StatusInternalServerError && code != http.StatusInsufficientStorage
}
