package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/function"
)

// Feeds are what brings events to the running versions of one function: its
// mappings, and the aliases that they follow.
type Feeds struct {
	Function string
	// Triggers are those of the function's working copy.
	Triggers map[string]function.Trigger
	Mappings []function.Mapping
	Aliases  []function.Alias
}

// TriggerAnnotation names the trigger of function.yaml that a mapping is.
const TriggerAnnotation = "myelin.run/trigger"

// Owner writes whose function.yaml a mapping comes from.
func Owner(fn string) string { return "function " + fn }

// Owned returns the name of the mapping that belongs to a trigger of
// function.yaml: FUNCTION-TRIGGER. apart is for one whose name is another's
// already, and for triggers whose name is no label: it has a part that is the
// trigger's alone.
func Owned(fn, trigger string, apart bool) string {
	name := fn + "-" + trigger
	if !apart && labelForm.MatchString(name) && len(name) <= 63 {
		return name
	}
	sum := sha256.Sum256([]byte(fn + "/" + trigger))
	plain := strings.Trim(unlabelled.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return fmt.Sprintf("%s-%x", strings.TrimRight(plain[:min(len(plain), 54)], "-"), sum[:4])
}

var (
	labelForm  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	unlabelled = regexp.MustCompile(`[^a-z0-9]+`)
)

// TriggerOf returns the name that a mapping's source has in a processor: that
// of function.yaml, or the mapping's own.
func TriggerOf(m function.Mapping) string {
	if name := m.Metadata.Annotations[TriggerAnnotation]; name != "" && m.Spec.Owner == Owner(m.Spec.Function) {
		return name
	}
	return m.Metadata.Name
}

// fed reports whether a mapping is one of a queue, a stream or a clock; those of
// kind http are routes of the gateway.
func fed(m function.Mapping) bool { return m.Spec.Source.Kind != "http" }

// Divides reports whether versions can have parts of a source at once. Of
// others the version with the greatest weight has it all, and a move ends the
// old reader before the new one begins: the clock, a port, channels of which each reader gets all, and sources whose
// broker knows a reader by its name and has one of a name.
func Divides(t function.Trigger) bool {
	var a struct {
		Group      string `json:"group"`      // of mqtt
		InstanceID string `json:"instanceID"` // of kafka
		Broadcast  bool   `json:"broadcast"`  // of nats
	}
	if len(t.Attributes) > 0 && json.Unmarshal(t.Attributes, &a) != nil {
		return true // the trigger says what is wrong
	}
	switch t.Kind {
	case "cron", "grpc", "smtp", "redisPubSub":
		return false
	case "mqtt":
		return a.Group != ""
	case "kafka", "kafka-cluster":
		return a.InstanceID == ""
	case "nats":
		return !a.Broadcast
	case "sql", "s3", "imap", "postgresReplication": // the dealer has one of them read
		return t.Dealt()
	}
	return true
}

// Sources returns the triggers that the processors of version n, 0 for the
// working copy, have besides those that clients reach: all that can come to it,
// whether or not it gets a share now, so that a move of an alias starts no
// processor anew. A mapping of an alias may come to any published version.
func (f Feeds) Sources(n int) map[string]function.Trigger {
	out := map[string]function.Trigger{}
	if n == 0 {
		for name, t := range f.Triggers {
			if t.Kind != "http" {
				out[name] = t
			}
		}
	}
	for _, m := range f.all() {
		name := TriggerOf(m)
		if _, inFile := out[name]; inFile || f.mayReach(m, n) {
			out[name] = m.Spec.Source
		}
	}
	return out
}

// all are the mappings of queues, streams and clocks, in order of their names,
// without those whose trigger another one has.
func (f Feeds) all() (out []function.Mapping) {
	ms := slices.Clone(f.Mappings)
	slices.SortFunc(ms, func(a, b function.Mapping) int {
		// Those of function.yaml, which have an owner, first.
		return cmp.Or(cmp.Compare(min(1, len(b.Spec.Owner)), min(1, len(a.Spec.Owner))), cmp.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	taken := map[string]bool{}
	for _, m := range ms {
		if name := TriggerOf(m); fed(m) && m.Spec.Function == f.Function && !taken[name] {
			taken[name] = true
			out = append(out, m)
		}
	}
	return out
}

// mayReach reports whether a mapping can come to a version without being
// changed itself. The working copy gets what an alias brings only if it is
// named by it.
func (f Feeds) mayReach(m function.Mapping, n int) bool {
	if m.Spec.Alias == "" {
		v, err := function.ParseVersion(m.Spec.Version)
		return err == nil && v == n
	}
	if n > 0 {
		return true
	}
	a := f.alias(m.Spec.Alias)
	if a == nil {
		return false
	}
	return slices.Contains(a.Spec.Names(), 0) || a.Status.Effective != nil && slices.Contains(a.Status.Effective.Names(), 0)
}

func (f Feeds) alias(name string) *function.Alias {
	i := slices.IndexFunc(f.Aliases, func(a function.Alias) bool { return a.Metadata.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Aliases[i]
}

// Shares returns how much version n gets of each of its Sources. What an alias
// divides follows what is in effect of it, not what it waits for.
func (f Feeds) Shares(n int) function.Shares {
	out := function.Shares{}
	by := map[string]function.Mapping{}
	for _, m := range f.all() {
		by[TriggerOf(m)] = m
	}
	for name := range f.Sources(n) {
		m, mapped := by[name]
		if !mapped { // of a function that was deployed before there were mappings
			continue
		}
		if part := f.part(m, n); part < 1 {
			out[name] = function.Share{Part: part}
		}
	}
	return out
}

// part is how much of a mapping's source a version gets.
func (f Feeds) part(m function.Mapping, n int) float64 {
	for _, t := range f.Targets(m) {
		if v, err := function.ParseVersion(t.Version); err == nil && v == n {
			return t.Weight / 100
		}
	}
	return 0
}

// Targets are the versions that get a mapping's events now, with their parts of
// a hundred; none of a mapping that is disabled, or whose alias is not there or
// not yet in effect.
func (f Feeds) Targets(m function.Mapping) []function.Weighted {
	if m.Spec.Disabled || m.Spec.Source.Disabled {
		return nil
	}
	if m.Spec.Alias == "" {
		v, err := function.ParseVersion(m.Spec.Version)
		if err != nil {
			return nil
		}
		return []function.Weighted{{Version: function.VersionLabel(v), Weight: 100}}
	}
	a := f.alias(m.Spec.Alias)
	if a == nil || a.Status.Effective == nil {
		return nil
	}
	s := *a.Status.Effective
	var out []function.Weighted
	for _, v := range s.Names() {
		if part := s.Share(v); part > 0 {
			out = append(out, function.Weighted{Version: function.VersionLabel(v), Weight: part * 100})
		}
	}
	if len(out) > 1 && fed(m) && !Divides(m.Spec.Source) {
		most := slices.MaxFunc(out, func(a, b function.Weighted) int { return cmp.Compare(a.Weight, b.Weight) })
		out = []function.Weighted{{Version: most.Version, Weight: 100}}
	}
	return out
}

// Fed returns a configuration with the triggers that version n runs.
func (f Feeds) Fed(cfg function.Config, n int) function.Config {
	ts := map[string]function.Trigger{}
	for name, t := range cfg.Spec.Triggers {
		if t.Kind == "http" {
			ts[name] = t
		}
	}
	maps.Copy(ts, f.Sources(n))
	if len(ts) == 0 && cfg.Spec.Triggers == nil {
		return cfg
	}
	cfg.Spec.Triggers = ts
	return cfg
}

// Handover is the order in which the processors of a function's versions are
// told new shares, so that no event is lost or comes twice: first who takes more
// of a source that is divided, and who leaves one that is not; then the rest. have
// and want are shares by version; the returned ones are told in between.
func Handover(have, want map[int]function.Shares, sources map[string]function.Trigger) map[int]function.Shares {
	between := map[int]function.Shares{}
	for n, wants := range want {
		s := function.Shares{}
		for name, t := range sources {
			part := max(have[n].Of(name).Part, wants.Of(name).Part)
			if !Divides(t) {
				part = min(have[n].Of(name).Part, wants.Of(name).Part)
			}
			if part < 1 {
				s[name] = function.Share{Part: part}
			}
		}
		between[n] = s
	}
	return between
}

// Hold changes want so that sources which somebody takes more of, and does not
// have yet, stay as they are between: until the new reader is there, the old one
// goes on; and until the old one of a source that is not divided has ended, no
// new one begins. pending are the triggers that do not yet do as they were told.
func Hold(have, between, want map[int]function.Shares, pending map[int]map[string]string) {
	late := map[string]bool{}
	for _, names := range pending {
		for name := range names {
			late[name] = true
		}
	}
	for name := range late {
		gains := false
		for n := range want {
			gains = gains || want[n].Of(name).Part > have[n].Of(name).Part
		}
		for n := range want {
			if !gains {
				break
			}
			if share := between[n].Of(name); share.Part < 1 {
				want[n][name] = share
			} else {
				delete(want[n], name)
			}
		}
	}
}
