package kube

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// Observe implements [platform.Platform]. It asks nobody: it says what was seen.
func (p *Platform) Observe(ctx context.Context, name string) ([]platform.Observed, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	ids := []string{p.idOf(name)}
	if name == "" {
		ids = p.seen.ids()
	}
	var out []platform.Observed
	for _, id := range ids {
		if o := p.seen.of(id); o.deployment != nil {
			out = append(out, observed(o))
		}
	}
	return out, nil
}

// observed says how a deployment is by its objects.
func observed(o objects) platform.Observed {
	d := o.deployment
	out := platform.Observed{Name: d.Annotations[noteName], Fingerprint: d.Annotations[noteReady], Address: addressOf(o.service), Generation: generation(o.pods)}
	for _, pod := range o.pods {
		out.Replicas = append(out.Replicas, replicaOf(pod))
	}
	return out
}

// addressOf is where a Service answers, "" if there is none.
func addressOf(s *corev1.Service) string {
	if s == nil || s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
		return ""
	}
	return net.JoinHostPort(s.Spec.ClusterIP, fmt.Sprint(s.Spec.Ports[0].Port))
}

// generation names the replicas that are behind the address.
func generation(pods []*corev1.Pod) string {
	var behind []string
	for _, pod := range pods {
		if isReady(pod) {
			behind = append(behind, fmt.Sprint(pod.UID, " ", containerOf(pod).RestartCount))
		}
	}
	if len(behind) == 0 {
		return ""
	}
	slices.Sort(behind)
	sum := sha256.Sum256([]byte(strings.Join(behind, "\n")))
	return hex.EncodeToString(sum[:8])
}

// isReady reports whether a pod is sent requests.
func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && condition(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

func condition(pod *corev1.Pod, of corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == of {
			return c
		}
	}
	return corev1.PodCondition{}
}

// containerOf is the status of the function's container.
func containerOf(pod *corev1.Pod) corev1.ContainerStatus {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == container {
			return c
		}
	}
	return corev1.ContainerStatus{}
}

func replicaOf(pod *corev1.Pod) function.Replica {
	c := containerOf(pod)
	r := function.Replica{Name: pod.Name, State: "starting", Artefact: pod.Annotations[noteArtefact], Restarts: int(c.RestartCount)}
	if c.State.Running != nil {
		r.PID, r.Started = 1, c.State.Running.StartedAt.Time // the first in its pod
	}
	if end := c.LastTerminationState.Terminated; end != nil {
		r.LastEnd = ended(end)
	}
	switch trouble := troubleOf(pod); {
	case pod.DeletionTimestamp != nil:
		r.State = "draining"
	case isReady(pod):
		r.State = "ready"
	case trouble != nil && trouble.fatal:
		r.State, r.Message = "backoff", cmp.Or(trouble.reason, r.LastEnd)
	case trouble != nil:
		r.Message = trouble.reason
	}
	return r
}

// ended says how a container did.
func ended(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason == "OOMKilled":
		return "killed: it used more memory than its limit"
	case t.Signal != 0:
		return fmt.Sprintf("signal %d", t.Signal)
	case t.ExitCode == 0 && t.Message != "":
		return t.Message
	}
	return fmt.Sprintf("exit code %d", t.ExitCode)
}
