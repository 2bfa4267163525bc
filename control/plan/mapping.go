package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/function"
)

// The states of a mapping.
const (
	MappingActive   = "active"
	MappingDisabled = "disabled"
	MappingWaiting  = "waiting" // for what it names, or for its source
)

// Status says how a mapping is, by the versions that run and by what their
// triggers have still to do.
func (f Feeds) Status(m function.Mapping, running []int, pending map[int]map[string]string) function.MappingStatus {
	s := function.MappingStatus{State: MappingActive, Targets: f.Targets(m)}
	s.Observed, _ = strconv.ParseInt(m.Metadata.ResourceVersion, 10, 64) // the catalog wrote it
	name := TriggerOf(m)
	var waits []string
	switch {
	case m.Spec.Disabled || m.Spec.Source.Disabled:
		s.State = MappingDisabled
		return s
	case fed(m) && f.shadowed(m):
		waits = append(waits, fmt.Sprintf("the function.yaml of %s has a trigger %q: that one runs", f.Function, name))
		s.Targets = nil
	case m.Spec.Alias != "" && f.alias(m.Spec.Alias) == nil:
		waits = append(waits, fmt.Sprintf("%s has no alias %q", f.Function, m.Spec.Alias))
	case m.Spec.Alias != "" && len(s.Targets) == 0:
		waits = append(waits, fmt.Sprintf("the alias %s is not in effect yet", m.Spec.Alias))
	}
	for _, t := range s.Targets {
		if v, err := function.ParseVersion(t.Version); err == nil && !slices.Contains(running, v) {
			waits = append(waits, fmt.Sprintf("version %s does not run", t.Version))
		}
	}
	for _, v := range slices.Sorted(maps.Keys(pending)) {
		if state := pending[v][name]; state != "" && fed(m) {
			waits = append(waits, fmt.Sprintf("version %s is %s", function.VersionLabel(v), state))
		}
	}
	if len(waits) > 0 {
		s.State, s.Message = MappingWaiting, strings.Join(waits, "; ")
	}
	return s
}

// shadowed reports whether another mapping has the name of m's trigger.
func (f Feeds) shadowed(m function.Mapping) bool {
	return !slices.ContainsFunc(f.all(), func(o function.Mapping) bool { return o.Metadata.Name == m.Metadata.Name })
}

// SameStatus compares what is said.
func SameStatus(a, b function.MappingStatus) bool {
	if len(a.Targets) == 0 && len(b.Targets) == 0 {
		a.Targets, b.Targets = nil, nil
	}
	a.Changed = b.Changed
	return reflect.DeepEqual(a, b)
}
