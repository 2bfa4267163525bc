// Package sbom says what is in an image or an artefact: finds the packages of
// Debian, Python, Node.js, Java and Go in its files, and writes a bill of
// materials in CycloneDX 1.6 (JSON). The same files make the same document. It
// knows no image formats: files come as a tar.
//
// Specifications: CycloneDX 1.6; package URLs (purl).
package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// MediaType is that of the documents.
const MediaType = "application/vnd.cyclonedx+json"

// Package is one that was found.
type Package struct {
	// Kind is deb, pypi, npm, maven or golang; generic for a file that says no more
	// than its name.
	Kind string
	// Group is the group of Maven and the scope of npm, with its @.
	Group   string
	Name    string
	Version string
	// Qualifiers are those of the package URL: arch=amd64&distro=debian-12.
	Qualifiers string
	// File is where it was found.
	File string
}

// PURL names the package for whoever knows package URLs.
func (p Package) PURL() string {
	var b strings.Builder
	b.WriteString("pkg:" + p.Kind + "/")
	if p.Group != "" {
		b.WriteString(escapePath(p.Group) + "/")
	}
	b.WriteString(escapePath(p.Name))
	if p.Version != "" {
		b.WriteString("@" + escape(p.Version))
	}
	if p.Qualifiers != "" {
		b.WriteString("?" + p.Qualifiers)
	}
	return b.String()
}

// escapePath escapes a name but for what parts it.
func escapePath(s string) string {
	parts := strings.Split(s, "/")
	for i := range parts {
		parts[i] = escape(parts[i])
	}
	return strings.Join(parts, "/")
}

// escape is the percent-encoding of package URLs.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(".-_~:", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Subject is what a document is about.
type Subject struct {
	Kind   string // container or application
	Name   string
	Digest string // sha256:...
	// Maker is the version of Myelin.
	Maker string
}

type document struct {
	Schema       string      `json:"$schema"`
	Format       string      `json:"bomFormat"`
	Spec         string      `json:"specVersion"`
	SerialNumber string      `json:"serialNumber"`
	Version      int         `json:"version"`
	Metadata     metadata    `json:"metadata"`
	Components   []component `json:"components"`
}

type metadata struct {
	Tools struct {
		Components []component `json:"components"`
	} `json:"tools"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref,omitempty"`
	Group      string     `json:"group,omitempty"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Document writes the bill of materials of s.
func Document(s Subject, packages []Package) ([]byte, error) {
	d := document{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1, Components: components(packages)}
	d.SerialNumber = serial(s)
	d.Metadata.Tools.Components = []component{{Type: "application", Name: "myelin", Version: s.Maker}}
	d.Metadata.Component = component{Type: s.Kind, Ref: s.Digest, Name: s.Name, Version: s.Digest}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write bill of materials: %w", err)
	}
	return append(text, '\n'), nil
}

// serial is a name for the document that whoever makes it again gives it too: a
// UUID of version 8.
func serial(s Subject) string {
	sum := sha256.Sum256([]byte("myelin sbom\x00" + s.Name + "\x00" + s.Digest + "\x00" + s.Maker))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return "urn:uuid:" + strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// components are packages in order, each once, with all the places where it is.
func components(packages []Package) []component {
	byRef := map[string]*component{}
	for _, p := range packages {
		ref := p.PURL()
		c := byRef[ref]
		if c == nil {
			c = &component{Type: "library", Ref: ref, Group: p.Group, Name: p.Name, Version: p.Version, PURL: ref}
			byRef[ref] = c
		}
		at := property{"run.myelin:file", p.File}
		if p.File != "" && !slices.Contains(c.Properties, at) {
			c.Properties = append(c.Properties, at)
		}
	}
	all := make([]component, 0, len(byRef))
	for _, c := range byRef {
		slices.SortFunc(c.Properties, func(a, b property) int { return cmp.Compare(a.Value, b.Value) })
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b component) int { return cmp.Compare(a.Ref, b.Ref) })
	return all
}
