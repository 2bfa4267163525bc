package kube

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// trouble is why a pod is not ready, or why there is none.
type trouble struct {
	pod    string // "": there is none
	from   string // the container that it is about
	reason string
	// fatal says that waiting does not help.
	fatal bool
	// ran says that a container ran, which may have said why.
	ran bool
}

// hopeless are reasons for which a container does not start, whatever one waits.
var hopeless = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"}

// troubleOf says why a pod is not ready, nil if there is nothing to say.
func troubleOf(pod *corev1.Pod) *trouble {
	if c := condition(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return &trouble{pod: pod.Name, reason: "no node takes it: " + c.Message}
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if t := troubleIn(pod, c); t != nil {
			return t
		}
	}
	return nil
}

func troubleIn(pod *corev1.Pod, c corev1.ContainerStatus) *trouble {
	t := &trouble{pod: pod.Name, from: c.Name}
	which := ""
	if c.Name != container {
		which = "container " + c.Name + ": "
	}
	last := c.State.Terminated
	if last == nil && c.State.Waiting != nil {
		last = c.LastTerminationState.Terminated
	}
	switch w := c.State.Waiting; {
	case w != nil && slices.Contains(hopeless, w.Reason):
		t.reason, t.fatal = which+w.Reason+": "+strings.TrimSpace(w.Message), true
	case last != nil && (last.ExitCode != 0 || c.Name == container):
		t.reason, t.fatal, t.ran = which+ended(last), true, true
	default:
		return nil
	}
	return t
}

// judge says whether a version runs with all its replicas, and what is in its way. The
// Deployment is the one that was written last, or a later one.
func judge(o objects, fingerprint string) (done bool, t *trouble) {
	s, n := o.deployment.Status, *o.deployment.Spec.Replicas
	if s.ObservedGeneration >= o.deployment.Generation && s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n {
		return true, nil
	}
	for _, set := range o.sets {
		if set.Spec.Template.Annotations[noteFingerprint] != fingerprint {
			continue
		}
		for _, c := range set.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				return false, &trouble{reason: "the cluster refuses it: " + c.Message, fatal: true}
			}
		}
	}
	for _, pod := range o.pods {
		if pod.Annotations[noteFingerprint] != fingerprint || pod.DeletionTimestamp != nil || isReady(pod) {
			continue
		}
		if found := troubleOf(pod); found != nil && (t == nil || found.fatal && !t.fatal) {
			t = found
		}
	}
	return false, t
}

// running names the containers of a version that run and are not ready.
func running(o objects, fingerprint string) (names []string) {
	for _, pod := range o.pods {
		if c := containerOf(pod); pod.Annotations[noteFingerprint] == fingerprint && pod.DeletionTimestamp == nil && !isReady(pod) && c.State.Running != nil {
			names = append(names, fmt.Sprint(pod.Name, " ", c.RestartCount))
		}
	}
	return names
}
