package spec

import (
	"fmt"
)

// foreign are nuctl's flags that say something about containers or Kubernetes.
// They are known, so that whoever uses one is told why it does nothing here.
var foreign = []struct {
	name, short string
	toggle      bool
	about       string
}{
	{"image", "i", false, "container images"},
	{"registry", "r", false, "container images"},
	{"run-image", "", false, "container images"},
	{"run-registry", "", false, "container images"},
	{"base-image", "", false, "container images"},
	{"onbuild-image", "", false, "container images"},
	{"output-image-file", "", false, "container images"},
	{"input-image-file", "", false, "container images"},
	{"no-pull", "", true, "container images"},
	{"no-cleanup", "", true, "container images"},
	{"nodeSelector", "", false, "nodes of a cluster"},
	{"nodeName", "", false, "nodes of a cluster"},
	{"priorityClassName", "", false, "nodes of a cluster"},
	{"preemptionPolicy", "", false, "nodes of a cluster"},
	{"http-trigger-service-type", "", false, "services of a cluster"},
	{"run-as-user", "", false, "the security context of a container"},
	{"run-as-group", "", false, "the security context of a container"},
	{"fsgroup", "", false, "the security context of a container"},
	{"volume", "", false, "volumes of a container"},
	{"target-cpu", "", false, "automatic scaling"},
	{"publish", "", true, "published versions"},
}

// AddForeign defines the flags that the local platform cannot follow, hidden.
func (f *Flags) AddForeign() {
	for _, fl := range foreign {
		if fl.toggle {
			f.set.Bool(fl.name, false, "not on the local platform yet")
		} else {
			f.set.StringArrayP(fl.name, fl.short, nil, "not on the local platform yet")
		}
		_ = f.set.MarkHidden(fl.name) // it is there
	}
}

// Foreign returns an error about the first such flag that was given.
func (f *Flags) Foreign() error {
	for _, fl := range foreign {
		if f.set.Lookup(fl.name) != nil && f.set.Changed(fl.name) {
			return fmt.Errorf("--%s: not on the local platform yet: it is about %s", fl.name, fl.about)
		}
	}
	return nil
}
