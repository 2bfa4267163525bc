package function

import (
	"errors"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
)

// Loaded is a function.yaml that was read, with the places of its fields.
type Loaded struct {
	Config   Config
	Document *document.Document
}

// written by Kubernetes or Nuclio into what they export; not the author's.
var exported = []string{
	"status", "metadata.creationTimestamp", "metadata.deletionTimestamp", "metadata.finalizers",
	"metadata.generation", "metadata.managedFields", "metadata.ownerReferences", "metadata.selfLink", "metadata.uid",
}

// Parse reads a function.yaml (or JSON), ours or Nuclio's. Name stands in
// errors, which are [document.Errors] with all mistakes found. The
// configuration may be a part of one: no field is required yet, and no default
// is set. See [Defaults] and [Validate].
func Parse(name string, text []byte) (*Loaded, error) {
	doc, err := document.Parse(name, text)
	if err != nil {
		return nil, err
	}
	doc.Ignore(exported...)
	l := &Loaded{Document: doc}
	err = doc.Decode(&l.Config)
	return l, report(doc, err, check(&l.Config))
}

// ParseBuildFile reads a build.yaml: the fields of spec.build, on their own.
// It sets the flags of the build beside the sources; what function.yaml says
// in spec.build goes before it, field by field (see [MergeBuild]), and the
// command line goes before both.
func ParseBuildFile(name string, text []byte) (Build, error) {
	var b Build
	doc, err := document.Parse(name, text)
	if err != nil {
		return b, err
	}
	err = doc.Decode(&b)
	var c checker
	c.build("", &b)
	return b, report(doc, err, c.Errors)
}

// Validate checks a complete configuration, with the lines of the mistakes.
func (l *Loaded) Validate() error { return l.Locate(Validate(l.Config), "") }

// Locate gives err, about the field base and those within it, its lines.
func (l *Loaded) Locate(err error, base string) error { return l.Document.Locate(err, base) }

// parseObject reads an object of another kind than a function's, and checks the
// fields that are set.
func parseObject[T any](name string, text []byte, check func(*checker, *T)) (v T, err error) {
	doc, err := document.Parse(name, text)
	if err != nil {
		return v, err
	}
	doc.Ignore(exported...)
	err = doc.Decode(&v)
	var c checker
	check(&c, &v)
	return v, report(doc, err, c.Errors)
}

// report joins what decoding and checking found, without telling twice about
// one field.
func report(doc *document.Document, decoding error, checked document.Errors) error {
	var decoded document.Errors
	if decoding != nil && !errors.As(decoding, &decoded) {
		return decoding
	}
	for _, e := range checked {
		told := slices.ContainsFunc(decoded, func(d *document.Error) bool {
			return d.Path == e.Path || strings.HasPrefix(d.Path, e.Path+".") || strings.HasPrefix(d.Path, e.Path+"[")
		})
		if !told {
			decoded = append(decoded, e)
		}
	}
	return doc.Locate(decoded.Err(), "")
}

// IsNuclio tells whether the configuration is written in Nuclio's format,
// whose defaults differ in a few fields.
func (c *Config) IsNuclio() bool { return strings.HasPrefix(c.APIVersion, "nuclio.io/") }

// SplitRuntime returns the language and the version of a runtime, such as
// "python" and "3.12"; "go" is another name of "golang".
func SplitRuntime(runtime string) (name, version string) {
	name, version, _ = strings.Cut(runtime, ":")
	if name == "go" {
		name = "golang"
	}
	return name, version
}
