package nodejs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
)

const (
	modules  = "node_modules"
	manifest = "package.json"
	lockFile = "package-lock.json"
)

// plan is what npm has to do for a function.
type plan struct {
	declared bool     // package.json has dependencies
	locked   bool     // and there is a lock
	local    bool     // some of them are in the sources
	scripts  bool     // packages may run their install scripts
	extra    []string // packages that the configuration names
}

// manifestFile is what counts in package.json.
type manifestFile struct {
	Dependencies         map[string]string `json:"dependencies"`
	OptionalDependencies map[string]string `json:"optionalDependencies"`
	Workspaces           json.RawMessage   `json:"workspaces"`
	Myelin               struct {
		InstallScripts bool `json:"installScripts"`
	} `json:"myelin"`
}

func newPlan(src build.Source) (p plan, err error) {
	text, err := os.ReadFile(filepath.Join(src.Dir, manifest))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return p, fmt.Errorf("read %s: %w", manifest, err)
	default:
		if err := p.read(text); err != nil {
			return p, err
		}
	}
	if _, err := os.Stat(filepath.Join(src.Dir, lockFile)); err == nil {
		p.locked = p.declared
	}
	b := src.Config.Spec.Build
	for _, d := range b.Dependencies {
		if d = strings.TrimSpace(d); d == "" || strings.HasPrefix(d, "-") {
			return p, &build.Error{Msg: fmt.Sprintf("spec.build.dependencies: %q is not a package such as lodash@4", d)}
		}
		p.extra = append(p.extra, d)
	}
	for _, c := range b.Commands {
		args, err := npmArguments(c)
		if err != nil {
			return p, err
		}
		p.extra = append(p.extra, args...)
	}
	p.local = p.local || slices.ContainsFunc(p.extra, isLocal)
	return p, nil
}

func (p *plan) read(text []byte) error {
	var m manifestFile
	if err := json.Unmarshal(text, &m); err != nil {
		return mistakeIn(text, err)
	}
	p.declared = len(m.Dependencies)+len(m.OptionalDependencies) > 0 || len(m.Workspaces) > 0
	p.scripts = m.Myelin.InstallScripts
	p.local = len(m.Workspaces) > 0
	for _, of := range []map[string]string{m.Dependencies, m.OptionalDependencies} {
		for _, version := range of {
			p.local = p.local || isLocal(version)
		}
	}
	return nil
}

// mistakeIn tells where JSON is wrong.
func mistakeIn(text []byte, err error) error {
	e := &build.Error{File: manifest, Msg: err.Error()}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := string(text[:min(int(syntax.Offset), len(text))])
		e.Line = 1 + strings.Count(before, "\n")
		e.Text = strings.Split(string(text), "\n")[e.Line-1]
	}
	return e
}

func isLocal(version string) bool {
	return strings.HasPrefix(version, "file:") || strings.HasPrefix(version, ".") || strings.HasPrefix(version, "/") ||
		strings.HasPrefix(version, "link:") || strings.HasSuffix(version, ".tgz") && !strings.Contains(version, "://")
}

// replaces tells whether npm makes node_modules. Modules that the sources bring
// stay if nothing declares what should be there, or if the build is offline.
func (p plan) replaces(src build.Source) bool {
	if !p.declared && len(p.extra) == 0 {
		return false
	}
	fi, err := os.Stat(filepath.Join(src.Dir, modules))
	return err != nil || !fi.IsDir() || !src.Config.Spec.Build.Offline
}

// Takes implements [build.Commander]: npm installs are for the function, whatever it
// stands on.
func (*Builder) Takes(commands []string) bool {
	return !slices.ContainsFunc(commands, func(c string) bool {
		_, err := npmArguments(c)
		return err != nil
	})
}

// plainOptions are those of npm install that change nothing here.
var plainOptions = []string{"-g", "--global", "-S", "--save", "-P", "--save-prod", "--no-save", "--production", "--omit=dev", "-q", "--quiet", "--silent", "-s", "--no-audit", "--no-fund"}

// npmArguments takes the packages out of an "npm install"; no shell does. One
// without packages is what the build does anyhow.
func npmArguments(command string) (packages []string, err error) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return nil, nil
	}
	refuse := func(why string) ([]string, error) {
		return nil, &build.Error{Msg: fmt.Sprintf("spec.build.commands: %q %s", command, why)}
	}
	if strings.ContainsAny(command, "$`;|&<>()'\"\\\n") {
		return refuse("needs a shell; give one npm install a line")
	}
	if len(words) < 2 || words[0] != "npm" || !slices.Contains([]string{"install", "i", "add", "ci"}, words[1]) {
		return refuse("is not an npm install: other commands need the build of a container image, " + build.HowImage)
	}
	for _, w := range words[2:] {
		switch {
		case slices.Contains(plainOptions, w):
		case strings.HasPrefix(w, "-"):
			return refuse(fmt.Sprintf("has the option %s of npm, which cannot be used here", w))
		default:
			packages = append(packages, w)
		}
	}
	return packages, nil
}
