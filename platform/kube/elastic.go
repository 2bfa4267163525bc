package kube

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/myelin-run/myelin/function"
)

// Autoscales implements [platform.Autoscaler]: a function that names metrics has an
// autoscaler of the cluster.
func (p *Platform) Autoscales(c function.Config) bool {
	_, _, follows := c.Spec.Follows()
	text := string(c.Spec.CustomScalingMetricSpecs)
	return follows && text != "" && text != "null" && text != "[]"
}

// autoscaler is what has the number of a deployment's replicas follow the metrics that
// the function names. The cluster switches it off while there are none.
func autoscaler(c function.Config, kind metav1.TypeMeta, of metav1.ObjectMeta) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	least, most, _ := c.Spec.Follows()
	low, high := int32(max(1, least)), int32(most) //nolint:gosec // the control plane bounds them
	a := &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta: kind, ObjectMeta: of,
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: &low, MaxReplicas: high,
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", APIVersion: appsv1.SchemeGroupVersion.String(), Name: of.Name}},
	}
	if err := read(c.Spec.CustomScalingMetricSpecs, "spec.customScalingMetricSpecs", &a.Spec.Metrics); err != nil {
		return nil, err
	}
	for i, m := range a.Spec.Metrics {
		if m.Type == "" {
			return nil, fmt.Errorf("spec.customScalingMetricSpecs[%d].type: want one, as an autoscaler of version 2 has: Resource, ContainerResource, Pods, Object or External", i)
		}
	}
	return a, nil
}

// Selected names the deployment whose pods a selector of labels means, as autoscalers
// say it; false: none, or not one alone.
func (p *Platform) Selected(namespace, selector string) (name string, ok bool) {
	all, err := labels.ParseToRequirements(selector)
	if err != nil || namespace != p.cluster.namespace {
		return "", false
	}
	for _, r := range all {
		value, one := r.Values().PopAny()
		if r.Key() != labelID || !one || r.Values().Len() > 1 || r.Operator() != selection.Equals && r.Operator() != selection.In && r.Operator() != selection.DoubleEquals {
			continue
		}
		if d := p.seen.of(value).deployment; d != nil {
			return d.Annotations[noteName], true
		}
	}
	return "", false
}

// What an autoscaler's deployment notes: who says how many replicas there are.
const (
	begun = "begun" // the control plane did last: it has created or woken it
	left  = "left"  // nobody but the autoscaler
)

// yield leaves the number of replicas to an autoscaler where there are some already,
// and takes away the autoscaler of a deployment that has one no more.
func (p *Platform) yield(ctx context.Context, m *manifest, was *appsv1.Deployment) error {
	if was == nil || was.DeletionTimestamp != nil || was.Spec.Replicas == nil {
		return nil
	}
	before, id := was.Annotations[noteElastic], was.Name
	if m.autoscaler == nil {
		if before == "" {
			return nil
		}
		return p.cluster.remove(ctx, autoscalers, id)
	}
	if *was.Spec.Replicas == 0 || *m.deployment.Spec.Replicas == 0 {
		return nil
	}
	if before != left { // what a manager of fields has said and then leaves out is set back, unless another says it too
		if err := p.cluster.applyAs(ctx, p.cluster.manager+"-replicas", deployments, id, replicasOf(was), &appsv1.Deployment{}); err != nil {
			return err
		}
	}
	m.deployment.Annotations[noteElastic], m.deployment.Spec.Replicas = left, nil
	return nil
}

// replicasOf says of a deployment nothing but how many replicas it has.
func replicasOf(d *appsv1.Deployment) any {
	return map[string]any{
		"kind": "Deployment", "apiVersion": appsv1.SchemeGroupVersion.String(),
		"metadata": map[string]string{"name": d.Name, "namespace": d.Namespace}, "spec": map[string]any{"replicas": *d.Spec.Replicas},
	}
}
