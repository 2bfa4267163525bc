package function

import (
	"time"
)

// Mapping binds a source of events to a function: to one of its aliases or
// versions, or to its working copy. It is an object of its own, so that sources
// and functions change apart from each other.
type Mapping struct {
	// myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// EventMapping.
	Kind string `json:"kind,omitempty"`
	// What the mapping is called, one name in a namespace, and labelled.
	Metadata Metadata `json:"metadata"`
	// What it binds to what.
	Spec MappingSpec `json:"spec"`
	// What is now. It is not the writer's to say.
	Status MappingStatus `json:"status,omitzero"`
}

// MappingSpec says what a mapping binds to what.
type MappingSpec struct {
	// The function.
	Function string `json:"function,omitempty"`
	// Its alias that events follow. With neither alias nor version: the working copy.
	Alias string `json:"alias,omitempty"`
	// Number of its version that gets the events, or $latest.
	Version string `json:"version,omitempty" document:"scalar"`
	// Whether the mapping is kept without bringing events.
	Disabled bool `json:"disabled,omitempty"`
	// Where events come from: a trigger, as in function.yaml.
	Source Trigger `json:"source"`
	// The function whose function.yaml the mapping comes from: "function NAME". Empty: it is its own.
	Owner string `json:"owner,omitempty"`
}

// MappingStatus is how a mapping is now.
type MappingStatus struct {
	// active, disabled, waiting or error.
	State string `json:"state,omitempty"`
	// Why, when something is wrong or waited for.
	Message string `json:"message,omitempty"`
	// Who gets the events, and how many of a hundred.
	Targets []Weighted `json:"targets,omitempty"`
	// Revision of the mapping that this status is about.
	Observed int64 `json:"observedRevision,omitempty"`
	// When the state last changed.
	Changed time.Time `json:"changed,omitzero"`
}

// MappingDefaults fills in what m does not say.
func MappingDefaults(m *Mapping) {
	fill(&m.APIVersion, APIVersion)
	fill(&m.Kind, MappingKind)
	m.Spec.Source = triggerDefaults(m.Metadata.Name, m.Spec.Source, false)
}

// ParseMapping reads a mapping from YAML or JSON, as [Parse] reads a function.
func ParseMapping(name string, text []byte) (Mapping, error) {
	return parseObject(name, text, (*checker).mapping)
}

// ValidateMapping checks a complete mapping. Its errors are [document.Errors]
// without lines. Whether the function is there and the kind of the source is
// known it does not know.
func ValidateMapping(m Mapping) error {
	var c checker
	c.mapping(&m)
	if m.Metadata.Name == "" {
		c.Add("metadata.name", "is required")
	}
	if m.Spec.Function == "" {
		c.Add("spec.function", "is required")
	}
	if m.Spec.Source.Kind == "" {
		c.Add("spec.source.kind", "is required, such as http or kafka")
	}
	c.notHidden("spec.source.password", m.Spec.Source.Password)
	c.notHidden("spec.source.secret", m.Spec.Source.Secret)
	return c.Err()
}

// mapping finds what is wrong in the fields that are set.
func (c *checker) mapping(m *Mapping) {
	c.word("apiVersion", m.APIVersion, []string{APIVersion})
	c.word("kind", m.Kind, []string{MappingKind})
	c.metadata(&m.Metadata)
	s := &m.Spec
	if s.Function != "" {
		c.label("spec.function", s.Function)
	}
	if s.Alias != "" && s.Version != "" {
		c.Add("spec.version", "is given beside alias: keep one")
	}
	if s.Alias != "" {
		c.label("spec.alias", s.Alias)
		c.aliasName("spec.alias", s.Alias)
	}
	if s.Version != "" {
		c.version("spec.version", s.Version)
	}
	c.trigger("spec.source", &s.Source)
}

// RestoreMappingSecrets puts old's secrets where m, which came back from
// somebody whom it was shown to, has only "***".
func RestoreMappingSecrets(m *Mapping, old Mapping) {
	restore(&m.Spec.Source.Password, old.Spec.Source.Password)
	restore(&m.Spec.Source.Secret, old.Spec.Source.Secret)
}
