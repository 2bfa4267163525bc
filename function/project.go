package function

import (
	"strings"
)

// Projects gather functions.
const (
	ProjectKind = "Project"
	// ProjectLabel of a function names its project. The name is Nuclio's.
	ProjectLabel = "nuclio.io/project-name"
	// DefaultProject is that of functions that name none. It is always there.
	DefaultProject = "default"
)

// Project gathers functions, for people and for who may do what.
type Project struct {
	// myelin.run/v1, or nuclio.io/v1 or v1beta1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Project, or NuclioProject with nuclio.io.
	Kind string `json:"kind,omitempty"`
	// What the project is called and labelled.
	Metadata Metadata `json:"metadata"`
	// What its owner says of it.
	Spec ProjectSpec `json:"spec"`
	// What is in it.
	Status ProjectStatus `json:"status"`
}

// ProjectSpec is what the owner of a project says of it.
type ProjectSpec struct {
	// What the project is for, in the author's words.
	Description string `json:"description,omitempty"`
	// Whose it is.
	Owner string `json:"owner,omitempty"`
}

// ProjectStatus says what is in a project.
type ProjectStatus struct {
	// How many functions name it.
	Functions int `json:"functions"`
}

// Project returns the name of the project that the metadata are of.
func (m *Metadata) Project() string {
	if p := m.Labels[ProjectLabel]; p != "" {
		return p
	}
	return DefaultProject
}

// ValidateProject checks a project; its errors are [document.Errors] without
// lines.
func ValidateProject(p Project) error {
	var c checker
	c.project(&p)
	if p.Metadata.Name == "" {
		c.Add("metadata.name", "is required")
	}
	return c.Err()
}

// project finds what is wrong in the fields that are set.
func (c *checker) project(p *Project) {
	c.word("apiVersion", p.APIVersion, []string{APIVersion, NuclioAPIVersion, "nuclio.io/v1beta1"})
	kinds := []string{ProjectKind}
	if strings.HasPrefix(p.APIVersion, "nuclio.io/") {
		kinds = append(kinds, "NuclioProject")
	}
	c.word("kind", p.Kind, kinds)
	if p.Metadata.Name != "" {
		c.label("metadata.name", p.Metadata.Name)
	}
	if p.Metadata.Namespace != "" {
		c.label("metadata.namespace", p.Metadata.Namespace)
	}
}

// IsLabel tells whether s may be the name of an object or of a namespace.
func IsLabel(s string) bool { return dnsLabel.MatchString(s) }

// ParseProject reads a project from YAML or JSON, as [Parse] reads a function.
func ParseProject(name string, text []byte) (Project, error) {
	return parseObject(name, text, (*checker).project)
}
