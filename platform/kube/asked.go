package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// read reads what a function's configuration has as Kubernetes writes it, strictly,
// over what is there.
func read(text json.RawMessage, where string, into any) error {
	if len(text) == 0 || string(text) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

// asked adds to a pod what a function asks of Kubernetes.
func asked(pod *corev1.PodSpec, s function.Spec) error {
	pod.NodeSelector, pod.NodeName, pod.PriorityClassName = s.NodeSelector, s.NodeName, s.PriorityClassName
	if s.PreemptionPolicy != "" {
		pod.PreemptionPolicy = ptr(corev1.PreemptionPolicy(s.PreemptionPolicy))
	}
	if s.ServiceAccount != "" { // whoever names one wants its token
		pod.ServiceAccountName, pod.AutomountServiceAccountToken = s.ServiceAccount, nil
	}
	if s.ImagePullSecrets != "" {
		pod.ImagePullSecrets = []corev1.LocalObjectReference{{Name: s.ImagePullSecrets}}
	}
	for _, one := range []struct {
		text  json.RawMessage
		where string
		into  any
	}{
		{s.Affinity, "spec.affinity", &pod.Affinity},
		{s.Tolerations, "spec.tolerations", &pod.Tolerations},
		{s.SecurityContext, "spec.securityContext", pod.SecurityContext},
		{s.InitContainers, "spec.initContainers", &pod.InitContainers},
	} {
		if err := read(one.text, one.where, one.into); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sidecars)) {
		beside := corev1.Container{Name: name}
		if err := read(s.Sidecars[name], "spec.sidecars."+name, &beside); err != nil {
			return err
		}
		if beside.Name == container {
			return fmt.Errorf("spec.sidecars.%s: the function's own container is called so", name)
		}
		pod.Containers = append(pod.Containers, beside)
	}
	return volumes(pod, s.Volumes)
}

// volumes adds those of the function, each with its mount.
func volumes(pod *corev1.PodSpec, text json.RawMessage) error {
	var all []struct {
		Volume      corev1.Volume      `json:"volume"`
		VolumeMount corev1.VolumeMount `json:"volumeMount"`
	}
	if err := read(text, "spec.volumes", &all); err != nil {
		return err
	}
	for i, v := range all {
		if v.VolumeMount.Name == "" {
			v.VolumeMount.Name = v.Volume.Name
		}
		if v.Volume.Name == "" || v.VolumeMount.Name != v.Volume.Name {
			return fmt.Errorf("spec.volumes[%d]: want a volume with a name, and a volumeMount of the same", i)
		}
		if !slices.ContainsFunc(pod.Volumes, func(other corev1.Volume) bool { return other.Name == v.Volume.Name }) {
			pod.Volumes = append(pod.Volumes, v.Volume)
		}
		pod.Containers[0].VolumeMounts = append(pod.Containers[0].VolumeMounts, v.VolumeMount)
	}
	return nil
}

// resources are those of a function's container, whatever they are called.
func resources(r function.Resources) (out corev1.ResourceRequirements, err error) {
	if out.Requests, err = amounts(r.Requests, "spec.resources.requests"); err != nil {
		return out, err
	}
	out.Limits, err = amounts(r.Limits, "spec.resources.limits")
	return out, err
}

func amounts(of map[string]quantity.Amount, where string) (corev1.ResourceList, error) {
	if len(of) == 0 {
		return nil, nil
	}
	list := corev1.ResourceList{}
	for name, amount := range of {
		q, err := resource.ParseQuantity(string(amount))
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", where, name, err)
		}
		list[corev1.ResourceName(name)] = q
	}
	return list, nil
}

// tmpSize bounds what a replica writes, and the shared memory of its workers.
func tmpSize() *resource.Quantity { return resource.NewQuantity(256<<20, resource.BinarySI) }

var (
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)
)

// labelFits reports whether Kubernetes takes a label; functions may have others.
func labelFits(key, value string) bool {
	return labelKey.MatchString(key) && labelValue.MatchString(value)
}

// refuse says what a function asks for that there is not on this platform.
func refuse(cfg function.Config) error {
	s := cfg.Spec
	for name, t := range s.Triggers {
		if t.Dealt() && !t.Disabled {
			return fmt.Errorf("trigger %s: on Kubernetes there is no dealer of shards yet", name)
		}
	}
	switch {
	case len(s.Devices) > 0:
		return fmt.Errorf("spec.devices: on Kubernetes devices are resources: ask for them in spec.resources.limits")
	case s.HostIPC:
		return fmt.Errorf("spec.hostIPC: on Kubernetes functions do not share the host's")
	}
	return nil
}
