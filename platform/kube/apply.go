package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// nameForm is what may be the name of a deployment.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,130}$`)

// Apply implements [platform.Platform].
func (p *Platform) Apply(ctx context.Context, d platform.Deployment) error {
	if !nameForm.MatchString(d.Name) {
		return fmt.Errorf("apply %q: not a name", d.Name)
	}
	if err := p.ready(ctx); err != nil {
		return err
	}
	defer lock(&p.applied, d.Name)()
	if err := p.apply(ctx, d); err != nil {
		return fmt.Errorf("apply %s: %w", d.Name, err)
	}
	return nil
}

func (p *Platform) apply(ctx context.Context, d platform.Deployment) error {
	function.Defaults(&d.Config)
	d.Config.Spec.Scale = nil // no processor's matter
	id := p.idOf(d.Name)
	was, err := p.settled(ctx, id)
	if err != nil {
		return err
	}
	image, err := p.imageOf(ctx, d, was)
	if err != nil {
		return err
	}
	m, written, err := p.write(ctx, d, image)
	if err != nil {
		return err
	}
	if err := p.await(ctx, d, written); err != nil {
		return errors.Join(err, p.retreat(ctx, err, d, m, was))
	}
	if was.deployment == nil || was.deployment.Annotations[noteReady] != d.Fingerprint {
		if err := p.noteReady(ctx, id, d.Fingerprint); err != nil {
			return err
		}
		p.tidy(ctx, id, m.secret.Name)
	}
	if d.Shares != nil {
		if _, err := p.share(ctx, d.Name, d.Shares, 0); err != nil {
			return err
		}
	}
	return p.answers(ctx, id, m)
}

// noteReady notes that a version got ready, and waits until that is seen.
func (p *Platform) noteReady(ctx context.Context, id, fingerprint string) error {
	if err := p.cluster.note(ctx, id, map[string]string{noteReady: fingerprint}); err != nil {
		return err
	}
	p.until(ctx, id, func(o objects) bool { return o.deployment == nil || o.deployment.Annotations[noteReady] == fingerprint })
	return ctx.Err()
}

// settled is what there is of a deployment, once none of it is being deleted.
func (p *Platform) settled(ctx context.Context, id string) (was objects, err error) {
	ok := p.until(ctx, id, func(o objects) bool {
		was = o
		return o.deployment == nil || o.deployment.DeletionTimestamp == nil
	})
	if !ok {
		return was, fmt.Errorf("wait until what was removed is gone: %w", ctx.Err())
	}
	return was, nil
}

// until waits for what is seen of a deployment to be as wanted; false: ctx was done
// before.
func (p *Platform) until(ctx context.Context, id string, ok func(objects) bool) bool {
	for {
		next := p.seen.next(id)
		if ok(p.seen.of(id)) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-next:
		}
	}
}

// imageOf is the image of a deployment: the one that runs if that is of the same
// artefact, so that nothing that runs needs a registry.
func (p *Platform) imageOf(ctx context.Context, d platform.Deployment, was objects) (string, error) {
	if was.deployment != nil && d.Artefact.Digest != "" {
		t := was.deployment.Spec.Template
		for _, c := range t.Spec.Containers {
			if c.Name == container && t.Annotations[noteArtefact] == d.Artefact.Digest && was.deployment.Annotations[noteReady] == t.Annotations[noteFingerprint] {
				return c.Image, nil
			}
		}
	}
	a := d.Artefact
	if len(a.Command) > 0 && filepath.IsAbs(a.Command[0]) { // in the image it is below another directory
		rel, err := filepath.Rel(a.Dir, a.Command[0])
		if err != nil || !filepath.IsLocal(rel) {
			return "", fmt.Errorf("make image: %s is not in the artefact", a.Command[0])
		}
		a.Command = append([]string{rel}, a.Command[1:]...)
	}
	image, err := p.o.Image(ctx, d.Name, a)
	if err != nil {
		return "", fmt.Errorf("make image: %w", err)
	}
	return image, nil
}

// write writes the objects of a deployment, what is needed first before what needs
// it.
func (p *Platform) write(ctx context.Context, d platform.Deployment, image string) (*manifest, *appsv1.Deployment, error) {
	defer lock(&p.writing, d.Name)()
	id := p.idOf(d.Name)
	if d.Shares == nil {
		d.Shares = p.sharesOf(d.Name, p.seen.of(id))
	}
	m, err := p.manifest(d, image)
	if err != nil {
		return nil, nil, err
	}
	if d.Shares != nil {
		p.sharing.keep(d.Name, d.Shares)
	}
	if err := p.cluster.apply(ctx, secrets, m.secret.Name, m.secret, &corev1.Secret{}); err != nil {
		return nil, nil, err
	}
	if m.service != nil {
		if err := p.cluster.apply(ctx, services, id, m.service, &corev1.Service{}); err != nil {
			return nil, nil, err
		}
	}
	if err := p.yield(ctx, m, p.seen.of(id).deployment); err != nil {
		return nil, nil, err
	}
	var written appsv1.Deployment
	if err := p.cluster.apply(ctx, deployments, id, m.deployment, &written); err != nil {
		return nil, nil, err
	}
	if m.autoscaler != nil {
		m.autoscaler.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(&written, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
		if err := p.cluster.apply(ctx, autoscalers, id, m.autoscaler, &autoscalingv2.HorizontalPodAutoscaler{}); err != nil {
			return nil, nil, err
		}
	}
	if m.budget != nil {
		return m, &written, p.cluster.apply(ctx, budgets, id, m.budget, &policyv1.PodDisruptionBudget{})
	}
	return m, &written, nil
}

// await waits until all replicas are ready, or until there is no hope of it. Time
// runs anew whenever there is progress.
func (p *Platform) await(ctx context.Context, d platform.Deployment, written *appsv1.Deployment) error {
	ready := time.Duration(d.Config.Spec.ReadinessTimeoutSeconds) * time.Second
	var last *trouble
	var were string
	limit := max(ready, p.o.startLimit)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		next := p.seen.next(written.Name)
		if o := p.seen.of(written.Name); o.deployment != nil && o.deployment.UID == written.UID && o.deployment.Generation >= written.Generation {
			done, t := judge(o, d.Fingerprint)
			if done {
				return nil
			}
			if last = t; t != nil && t.fatal && !d.Config.Spec.WaitReadinessTimeoutBeforeFailure {
				return p.startError(ctx, o, d.Fingerprint, t, t.reason)
			}
			now := running(o, d.Fingerprint)
			if progress := fmt.Sprint(o.deployment.Status.AvailableReplicas, o.deployment.Status.UpdatedReplicas, now); progress != were {
				were, limit = progress, max(ready, p.o.startLimit)
				if len(now) > 0 {
					limit = ready
				}
				timer.Reset(limit)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		case <-timer.C:
			return p.startError(ctx, p.seen.of(written.Name), d.Fingerprint, last, late(limit, last))
		}
	}
}

// late says what did not get ready in time.
func late(limit time.Duration, t *trouble) string {
	reason := fmt.Sprintf("not ready within %s", limit)
	if t != nil && t.reason != "" {
		return reason + ": " + t.reason
	}
	return reason
}

// startError is why replicas did not get ready, with what they logged last.
func (p *Platform) startError(ctx context.Context, o objects, fingerprint string, t *trouble, reason string) error {
	if t == nil {
		t = &trouble{from: container}
		for _, pod := range o.pods {
			if pod.Annotations[noteFingerprint] == fingerprint && !isReady(pod) && pod.DeletionTimestamp == nil {
				t.pod, t.ran = pod.Name, true
			}
		}
	}
	e := &platform.StartError{Replica: t.pod, Reason: reason}
	if e.Replica == "" {
		e.Replica = "none"
	}
	if t.ran {
		e.Log = p.lastLines(ctx, t.pod, t.from)
	}
	return e
}

// retreat goes back to the version that was ready before, which still serves as far
// as it was not replaced; if there was none, the failed one is ended. What was ready
// once and is not any more stays as it is, and so does what was called off.
func (p *Platform) retreat(ctx context.Context, cause error, d platform.Deployment, m *manifest, was objects) error {
	var failed *platform.StartError
	if !errors.As(cause, &failed) {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if was.deployment == nil || was.deployment.Annotations[noteReady] == "" {
		return p.cluster.remove(ctx, deployments, m.deployment.Name)
	}
	former := was.deployment.Annotations[noteReady]
	if former == d.Fingerprint {
		return nil
	}
	for _, set := range p.seen.of(m.deployment.Name).sets {
		if set.Spec.Template.Annotations[noteFingerprint] != former {
			continue
		}
		back := *m.deployment
		set.Spec.Template.DeepCopyInto(&back.Spec.Template)
		labels := maps.Clone(back.Spec.Template.Labels)
		delete(labels, appsv1.DefaultDeploymentUniqueLabelKey)
		back.Spec.Template.Labels = labels
		if n := was.deployment.Spec.Replicas; back.Spec.Replicas != nil && n != nil && *n > 0 {
			back.Spec.Replicas = n
		}
		if err := p.cluster.apply(ctx, deployments, back.Name, &back, &appsv1.Deployment{}); err != nil {
			return fmt.Errorf("go back to the former version: %w", err)
		}
		return nil
	}
	return nil
}

// answers waits until the address does: the cluster needs a moment to lead there.
func (p *Platform) answers(ctx context.Context, id string, m *manifest) error {
	if n := m.deployment.Spec.Replicas; m.service == nil || n != nil && *n == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	address := ""
	p.until(ctx, id, func(o objects) bool { address = addressOf(o.service); return address != "" })
	for {
		conn, err := p.o.Dial(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the replicas are ready, but %s cannot be reached from here: the control plane and the gateway have to reach the cluster's services: %w", address, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tidy removes the Secrets of former versions. What is left over goes the next time.
func (p *Platform) tidy(ctx context.Context, id, but string) {
	names, err := p.cluster.secretsOf(ctx, labelOwner+"="+p.owner+","+labelID+"="+id)
	for _, name := range names {
		if name != but {
			err = errors.Join(err, p.cluster.remove(ctx, secrets, name))
		}
	}
	if err != nil {
		p.o.Log.Warn("remove secrets of former versions", "deployment", id, "error", err)
	}
}

// Remove implements [platform.Platform].
func (p *Platform) Remove(ctx context.Context, name string) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	defer lock(&p.applied, name)()
	if err := p.remove(ctx, name, p.idOf(name)); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func (p *Platform) remove(ctx context.Context, name, id string) error {
	if o := p.seen.of(id); o.deployment == nil && o.service == nil && len(o.pods) == 0 {
		p.sharing.forget(name)
		return nil
	}
	if err := p.cluster.remove(ctx, deployments, id); err != nil {
		return err
	}
	if !p.until(ctx, id, func(o objects) bool { return o.deployment == nil && len(o.pods) == 0 }) {
		return ctx.Err()
	}
	err := errors.Join(p.cluster.remove(ctx, services, id), p.cluster.remove(ctx, budgets, id))
	p.tidy(ctx, id, "")
	p.sharing.forget(name)
	if !p.until(ctx, id, func(o objects) bool { return o.service == nil }) {
		err = errors.Join(err, ctx.Err())
	}
	return err
}
