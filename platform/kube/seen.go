package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// seen is what there is in the cluster, as watches tell it. Nothing is asked for
// what is seen.
type seen struct {
	informers map[kind]cache.SharedIndexInformer

	mu      sync.Mutex
	changed map[string]chan struct{} // by id, closed at the next change
	dirty   map[string]string        // names by id, to be told of
	rouse   chan struct{}
	before  map[string]string // generation by name, as it was told last
}

// objects are those of one deployment.
type objects struct {
	deployment *appsv1.Deployment // nil if there is none
	service    *corev1.Service    // nil if there is none
	sets       []*appsv1.ReplicaSet
	pods       []*corev1.Pod // by age
}

// byID is the index of objects by their deployment.
const byID = "id"

func newSeen(c *cluster, selector string) (*seen, error) {
	s := &seen{informers: map[kind]cache.SharedIndexInformer{}, changed: map[string]chan struct{}{}, dirty: map[string]string{},
		rouse: make(chan struct{}, 1), before: map[string]string{}}
	for k, example := range map[kind]runtime.Object{deployments: &appsv1.Deployment{}, replicaSets: &appsv1.ReplicaSet{}, pods: &corev1.Pod{}, services: &corev1.Service{}} {
		watch := cache.NewFilteredListWatchFromClient(c.clients[k.group], k.resource, c.namespace, func(o *metav1.ListOptions) { o.LabelSelector = selector })
		i := cache.NewSharedIndexInformer(watch, example, 0, cache.Indexers{byID: func(object any) ([]string, error) { return []string{idOfObject(object)}, nil }})
		err := i.SetTransform(func(object any) (any, error) {
			if m, err := meta.Accessor(object); err == nil {
				m.SetManagedFields(nil)
			}
			return object, nil
		})
		if err == nil {
			_, err = i.AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc: s.touch, UpdateFunc: func(_, object any) { s.touch(object) }, DeleteFunc: s.touch,
			})
		}
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", k.resource, err)
		}
		s.informers[k] = i
	}
	return s, nil
}

func idOfObject(object any) string {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return ""
	}
	return m.GetLabels()[labelID]
}

// run watches until ctx is done, calls synced once all is seen, and tells of the
// names that changed.
func (s *seen) run(ctx context.Context, synced func(), tell func(name string, moved bool)) error {
	var all sync.WaitGroup
	defer all.Wait()
	var ready []cache.InformerSynced
	for _, i := range s.informers {
		all.Go(func() { i.RunWithContext(ctx) })
		ready = append(ready, i.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), ready...) {
		return nil // ctx is done
	}
	synced()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.rouse:
		}
		for name, moved := range s.takeDirty() {
			tell(name, moved)
		}
	}
}

// takeDirty are the names that changed, and of which the replicas did.
func (s *seen) takeDirty() map[string]bool {
	s.mu.Lock()
	ids := s.dirty
	s.dirty = map[string]string{}
	s.mu.Unlock()
	out := map[string]bool{}
	for id, name := range ids {
		now := generation(s.of(id).pods)
		s.mu.Lock()
		out[name] = s.before[name] != now
		s.before[name] = now
		s.mu.Unlock()
	}
	return out
}

// touch notes that an object changed.
func (s *seen) touch(object any) {
	id := idOfObject(object)
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return
	}
	s.mu.Lock()
	if c := s.changed[id]; c != nil {
		close(c)
		delete(s.changed, id)
	}
	if name := m.GetAnnotations()[noteName]; name != "" {
		s.dirty[id] = name
	}
	s.mu.Unlock()
	select {
	case s.rouse <- struct{}{}:
	default:
	}
}

// next is closed when something of a deployment changes after this call.
func (s *seen) next(id string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.changed[id]
	if c == nil {
		c = make(chan struct{})
		s.changed[id] = c
	}
	return c
}

// of is what is seen of a deployment. It is not to be written to.
func (s *seen) of(id string) (o objects) {
	each(s, deployments, id, func(d *appsv1.Deployment) { o.deployment = d })
	each(s, services, id, func(v *corev1.Service) { o.service = v })
	each(s, replicaSets, id, func(r *appsv1.ReplicaSet) { o.sets = append(o.sets, r) })
	each(s, pods, id, func(p *corev1.Pod) {
		if p.Status.Phase != corev1.PodFailed && p.Status.Phase != corev1.PodSucceeded { // evicted: another takes its place
			o.pods = append(o.pods, p)
		}
	})
	slices.SortFunc(o.pods, func(a, b *corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return o
}

func each[T any](s *seen, k kind, id string, do func(T)) {
	all, err := s.informers[k].GetIndexer().ByIndex(byID, id)
	if err != nil {
		return
	}
	for _, object := range all {
		if o, ok := object.(T); ok {
			do(o)
		}
	}
}

// ids are those of all Deployments, in order.
func (s *seen) ids() []string {
	ids := s.informers[deployments].GetIndexer().ListIndexFuncValues(byID)
	slices.Sort(ids)
	return ids
}
