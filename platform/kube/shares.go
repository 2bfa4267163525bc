package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// shareWait is the longest that one question to a processor waits for its triggers.
const shareWait = 30 * time.Second

// sharing is what is known of the shares of deployments.
type sharing struct {
	mu   sync.Mutex
	said map[string]function.Shares   // by name; those that nobody has said are not in it
	told map[string]map[string]string // what shares, by name and life of a replica
}

func (s *sharing) keep(name string, shares function.Shares) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said[name] = maps.Clone(shares)
}

func (s *sharing) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.said, name)
	delete(s.told, name)
}

func (s *sharing) of(name string) (function.Shares, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shares, ok := s.said[name]
	return shares, ok
}

// knows reports whether a replica was told these shares, and did as it was told.
func (s *sharing) knows(name, life, text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[name][life] == text
}

// remember notes what replicas were told, and forgets those that are gone.
func (s *sharing) remember(name string, told map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[name] = told
}

// sharesOf are those with which replicas are started: as was said in this life, or
// else in a former one.
func (p *Platform) sharesOf(name string, o objects) function.Shares {
	if shares, ok := p.sharing.of(name); ok {
		return shares
	}
	var shares function.Shares
	if o.deployment == nil || json.Unmarshal([]byte(o.deployment.Annotations[noteShares]), &shares) != nil {
		return nil
	}
	return shares
}

// Share implements [platform.Sharer]. A replica that is being started is told when it
// is asked for again: it is a change that the platform tells of.
func (p *Platform) Share(ctx context.Context, name string, shares function.Shares) (platform.Shared, error) {
	out := newShared()
	err := p.ready(ctx)
	if err == nil {
		err = shares.Validate()
	}
	if err == nil {
		out, err = p.share(ctx, name, shares, shareWait)
	}
	if err != nil {
		return out, fmt.Errorf("share %s: %w", name, err)
	}
	return out, nil
}

func (p *Platform) share(ctx context.Context, name string, shares function.Shares, wait time.Duration) (platform.Shared, error) {
	out := newShared()
	id := p.idOf(name)
	text, err := json.Marshal(shares)
	if err == nil {
		err = p.keepShares(ctx, name, id, shares, string(text))
	}
	if err != nil {
		return out, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, max(0, time.Until(deadline)/2)) // the rest is for the answer to come
	}
	pods := listening(p.seen.of(id))
	views, errs := make([]map[string]shareView, len(pods)), make([]error, len(pods))
	var all sync.WaitGroup
	told := map[string]string{}
	for i, pod := range pods {
		life := lifeOf(pod)
		if p.sharing.knows(name, life, string(text)) {
			told[life] = string(text)
			continue
		}
		all.Go(func() {
			views[i], errs[i] = p.askShares(ctx, id, pod, http.MethodPut, "?wait="+wait.String(), text)
		})
	}
	all.Wait()
	for i, pod := range pods {
		switch pending := see(views[i], &out); {
		case errs[i] != nil && p.stillReady(id, pod):
			err = errors.Join(err, errs[i])
		case views[i] != nil && !pending:
			told[lifeOf(pod)] = string(text)
		}
	}
	p.sharing.remember(name, told)
	return out, err
}

// keepShares has replicas that are started from now on begin with these shares.
func (p *Platform) keepShares(ctx context.Context, name, id string, shares function.Shares, text string) error {
	defer lock(&p.writing, name)()
	p.sharing.keep(name, shares)
	d := p.seen.of(id).deployment
	if d == nil || d.DeletionTimestamp != nil || d.Annotations[noteShares] == text {
		return nil
	}
	if err := p.cluster.rewrite(ctx, configSecret(d.Spec.Template.Spec), text); err != nil {
		return err
	}
	return p.cluster.note(ctx, id, map[string]string{noteShares: text})
}

// configSecret is the one that a pod's processor is configured by.
func configSecret(pod corev1.PodSpec) string {
	for _, v := range pod.Volumes {
		if v.Name == "config" && v.Secret != nil {
			return v.Secret.SecretName
		}
	}
	return ""
}

// rewrite sets the shares in a processor's configuration.
func (c *cluster) rewrite(ctx context.Context, name, shares string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	client := c.clients[secrets.group]
	var s corev1.Secret
	err := client.Get().Namespace(c.namespace).Resource(secrets.resource).Name(name).Do(ctx).Into(&s)
	if apierrors.IsNotFound(err) {
		return nil // it is going
	}
	var file map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(s.Data[configKey], &file)
	}
	var text []byte
	if err == nil {
		file["shares"] = json.RawMessage(shares)
		text, err = json.Marshal(file)
	}
	if err == nil {
		text, err = json.Marshal(map[string]any{"data": map[string][]byte{configKey: text}})
	}
	if err == nil {
		err = client.Patch(types.MergePatchType).Namespace(c.namespace).Resource(secrets.resource).Name(name).
			Param("fieldManager", c.manager).Body(text).Do(ctx).Error()
	}
	if err != nil {
		return fmt.Errorf("write shares into secret %s: %w", name, err)
	}
	return nil
}

// lifeOf tells a replica from the one that it is started again as.
func lifeOf(pod *corev1.Pod) string { return fmt.Sprint(pod.UID, " ", containerOf(pod).RestartCount) }

// listening are the replicas that can be asked, those that leave included: until they
// drain they take events as the others do.
func listening(o objects) (out []*corev1.Pod) {
	for _, pod := range o.pods {
		if pod.Status.PodIP != "" && containerOf(pod).State.Running != nil {
			out = append(out, pod)
		}
	}
	return out
}

// stillReady reports whether a replica has to have heard: one that is being started
// or stopped need not.
func (p *Platform) stillReady(id string, pod *corev1.Pod) bool {
	for _, now := range p.seen.of(id).pods {
		if lifeOf(now) == lifeOf(pod) {
			return isReady(now)
		}
	}
	return false
}

// shareView is what a processor answers for one trigger.
type shareView struct {
	Part  float64   `json:"part"`
	State string    `json:"state"`
	Until time.Time `json:"until,omitzero"`
}

// askShares tells one processor its shares, or asks for them. What comes back is the
// function's to forge.
func (p *Platform) askShares(ctx context.Context, id string, pod *corev1.Pod, method, query string, text []byte) (map[string]shareView, error) {
	answer, status, err := p.request(ctx, id, pod, method, "/shares"+query, text)
	if err != nil {
		return nil, fmt.Errorf("processor %s: %w", pod.Name, err)
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("processor %s: %.200s", pod.Name, answer)
	}
	views := map[string]shareView{}
	if err := json.Unmarshal(answer, &views); err != nil {
		return nil, fmt.Errorf("processor %s: read its shares: %w", pod.Name, err)
	}
	return views, nil
}

// Shares implements [platform.Sharer].
func (p *Platform) Shares(ctx context.Context, name string) (platform.Shared, function.Shares, error) {
	out := newShared()
	if err := p.ready(ctx); err != nil {
		return out, nil, err
	}
	id := p.idOf(name)
	o := p.seen.of(id)
	var errs []error
	for _, pod := range listening(o) {
		views, err := p.askShares(ctx, id, pod, http.MethodGet, "", nil)
		if err == nil {
			see(views, &out)
		} else if p.stillReady(id, pod) {
			errs = append(errs, err)
		}
	}
	return out, p.sharesOf(name, o), errors.Join(errs...)
}

func newShared() platform.Shared {
	return platform.Shared{Parts: map[string]float64{}, Pending: map[string]string{}, Until: map[string]time.Time{}}
}

// see adds what one processor answered, and reports whether it has still to do
// something.
func see(views map[string]shareView, out *platform.Shared) (pending bool) {
	for trigger, v := range views {
		out.Parts[trigger] = max(out.Parts[trigger], v.Part)
		if v.State == "draining" || v.State == "connecting" {
			pending = true
			out.Pending[trigger] = v.State
		}
		if v.Until.After(out.Until[trigger]) {
			out.Until[trigger] = v.Until
		}
	}
	return pending
}
