package sbom

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"path"
	"regexp"
	"strings"
)

// debianPackages reads dpkg's status: paragraphs of fields.
func debianPackages(name string, text []byte) (all []Package) {
	for paragraph := range strings.SplitSeq(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\n") {
		f := fields(paragraph)
		status := f["Status"]
		if f["Package"] == "" || f["Version"] == "" || status != "" && !strings.HasSuffix(status, " installed") {
			continue
		}
		p := Package{Kind: "deb", Name: f["Package"], Version: f["Version"], File: name, Qualifiers: "arch=" + escape(f["Architecture"])}
		if f["Architecture"] == "" {
			p.Qualifiers = "arch=all"
		}
		all = append(all, p)
	}
	return all
}

// fields reads lines of "Name: value"; the first of a name counts, and a line that
// begins with a space goes on with the one before.
func fields(text string) map[string]string {
	f := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue
		}
		if _, known := f[name]; !known {
			f[name] = strings.TrimSpace(value)
		}
	}
	return f
}

// assignments reads lines of NAME=value or NAME="value".
func assignments(text []byte) map[string]string {
	f := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			f[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return f
}

var separators = regexp.MustCompile(`[-_.]+`)

// pythonPackage reads what a distribution says of itself.
func pythonPackage(name string, text []byte) (Package, bool) {
	f := fields(string(text))
	p := Package{Kind: "pypi", Name: strings.ToLower(separators.ReplaceAllString(f["Name"], "-")), Version: f["Version"], File: name}
	return p, p.Name != "" && p.Version != ""
}

// inNodeModules tells whether dir is that of a package, not one within it.
func inNodeModules(dir string) bool {
	parent := path.Dir(dir)
	if strings.HasPrefix(path.Base(parent), "@") {
		parent = path.Dir(parent)
	}
	return path.Base(parent) == "node_modules"
}

func nodePackage(name string, text []byte) (Package, bool) {
	var f struct{ Name, Version string }
	if json.Unmarshal(text, &f) != nil || f.Name == "" || f.Version == "" {
		return Package{}, false
	}
	p := Package{Kind: "npm", Name: f.Name, Version: f.Version, File: name}
	if scope, rest, ok := strings.Cut(f.Name, "/"); ok && strings.HasPrefix(scope, "@") {
		p.Group, p.Name = scope, rest
	}
	return p, p.Name != ""
}

// maxPackages is how many packages one jar may say that it has.
const maxPackages = 10_000

// javaPackages reads what Maven wrote into a jar, of itself and of those that are
// in it. A jar without that is named by its file.
func javaPackages(name string, data []byte) (all []Package) {
	jar, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil
	}
	for _, f := range jar.File {
		if len(all) < maxPackages && strings.HasPrefix(f.Name, "META-INF/maven/") && path.Base(f.Name) == "pom.properties" {
			if p, ok := mavenPackage(f); ok {
				p.File = name
				all = append(all, p)
			}
		}
	}
	if len(all) == 0 {
		all = append(all, named(name))
	}
	return all
}

func mavenPackage(f *zip.File) (p Package, ok bool) {
	r, err := f.Open()
	if err != nil {
		return p, false
	}
	defer r.Close()
	p.Kind = "maven"
	for lines := bufio.NewScanner(io.LimitReader(r, maxText)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(key) {
		case "groupId":
			p.Group = strings.TrimSpace(value)
		case "artifactId":
			p.Name = strings.TrimSpace(value)
		case "version":
			p.Version = strings.TrimSpace(value)
		}
	}
	return p, p.Group != "" && p.Name != "" && p.Version != ""
}

var jarName = regexp.MustCompile(`^(.+?)(?:-(\d[^/]*))?\.jar$`)

// named is a jar of which no more is known than its name, such as tea-1.2.jar.
func named(name string) Package {
	p := Package{Kind: "generic", Name: path.Base(name), File: name}
	if m := jarName.FindStringSubmatch(p.Name); m != nil {
		p.Name, p.Version = m[1], m[2]
	}
	return p
}
