package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// answerLimit bounds what an API server is asked that takes it no time.
const answerLimit = time.Minute

// kind is one of those that a function is made of.
type kind struct {
	group    schema.GroupVersion
	resource string
}

var (
	deployments = kind{appsv1.SchemeGroupVersion, "deployments"}
	replicaSets = kind{appsv1.SchemeGroupVersion, "replicasets"}
	pods        = kind{corev1.SchemeGroupVersion, "pods"}
	services    = kind{corev1.SchemeGroupVersion, "services"}
	secrets     = kind{corev1.SchemeGroupVersion, "secrets"}
	budgets     = kind{policyv1.SchemeGroupVersion, "poddisruptionbudgets"}
	autoscalers = kind{autoscalingv2.SchemeGroupVersion, "horizontalpodautoscalers"}
)

// cluster asks an API server about one namespace. It knows these kinds only, since
// a client of all that there are is as large as the rest of the program.
type cluster struct {
	host      string
	namespace string
	manager   string // as whom fields are written
	clients   map[schema.GroupVersion]rest.Interface
}

func connect(config *rest.Config, namespace, manager string) (*cluster, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, autoscalingv2.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c := &cluster{host: config.Host, namespace: namespace, manager: manager, clients: map[schema.GroupVersion]rest.Interface{}}
	for _, g := range []schema.GroupVersion{appsv1.SchemeGroupVersion, corev1.SchemeGroupVersion, policyv1.SchemeGroupVersion, autoscalingv2.SchemeGroupVersion} {
		one := rest.CopyConfig(config)
		one.GroupVersion, one.APIPath, one.UserAgent = &g, "/apis", "myelin"
		if g.Group == "" {
			one.APIPath = "/api"
		}
		one.QPS = -1                           // API servers share themselves out fairly
		one.WarningHandler = rest.NoWarnings{} // what matters is told when pods are refused
		one.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
		if c.clients[g], err = rest.RESTClientForConfigAndClient(one, http); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// check says whether the cluster answers, and may be asked.
func (c *cluster) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	err := c.clients[deployments.group].Get().Namespace(c.namespace).Resource(deployments.resource).Param("limit", "1").Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("reach the cluster at %s: %w", c.host, err)
	}
	return nil
}

// apply says what an object shall be like; fields that somebody else has are taken.
func (c *cluster) apply(ctx context.Context, k kind, name string, object any, into runtime.Object) error {
	return c.applyAs(ctx, c.manager, k, name, object, into)
}

func (c *cluster) applyAs(ctx context.Context, manager string, k kind, name string, object any, into runtime.Object) error {
	text, err := json.Marshal(object)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		err = c.clients[k.group].Patch(types.ApplyPatchType).Namespace(c.namespace).Resource(k.resource).Name(name).
			Param("fieldManager", manager).Param("force", "true").Body(text).Do(ctx).Into(into)
	}
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", k.resource, name, err)
	}
	return nil
}

// note writes annotations of a Deployment.
func (c *cluster) note(ctx context.Context, name string, notes map[string]string) error {
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": notes}})
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		err = c.clients[deployments.group].Patch(types.MergePatchType).Namespace(c.namespace).Resource(deployments.resource).Name(name).
			Param("fieldManager", c.manager+"-notes").Body(text).Do(ctx).Error()
	}
	if err != nil {
		return fmt.Errorf("note that deployment %s is ready: %w", name, err)
	}
	return nil
}

// remove deletes an object, and what it owns before it. That there is none is fine.
func (c *cluster) remove(ctx context.Context, k kind, name string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	foreground := metav1.DeletePropagationForeground
	err := c.clients[k.group].Delete().Namespace(c.namespace).Resource(k.resource).Name(name).
		Body(&metav1.DeleteOptions{PropagationPolicy: &foreground}).Do(ctx).Error()
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s %s: %w", k.resource, name, err)
	}
	return nil
}

// secretsOf names the Secrets of a deployment.
func (c *cluster) secretsOf(ctx context.Context, selector string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	var list corev1.SecretList
	err := c.clients[secrets.group].Get().Namespace(c.namespace).Resource(secrets.resource).Param("labelSelector", selector).Do(ctx).Into(&list)
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	var names []string
	for _, s := range list.Items {
		names = append(names, s.Name)
	}
	return names, nil
}
