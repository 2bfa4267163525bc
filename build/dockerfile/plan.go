// Package dockerfile runs the steps that a function's image needs: commands,
// directives, or a Dockerfile of the author's own. A Docker engine runs them, and
// what they made is taken back as an image, on which others lay what is the
// function's. It knows no language, and not how images of functions are made.
package dockerfile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
)

// Plan is what a function asks of the build of its image.
type Plan struct {
	Before   []Instruction // on what the function stands on, before it is there
	After    []Instruction // when the function is there, and so whenever it has changed
	File     string        // the author's own Dockerfile, instead of Before: a path in the sources
	Commands bool          // spec.build.commands are among the steps
	Notes    []string      // what of the configuration has no effect, and why
	Stage    string        // the image that instructions may copy from as "processor"
	Args     []string      // names of the arguments
}

// Needs tells whether an engine has to run something.
func (p Plan) Needs() bool { return len(p.Before)+len(p.After) > 0 || p.File != "" }

// Files tells whether steps take files from the sources.
func (p Plan) Files() bool {
	takes := func(i Instruction) bool { return i.Kind == "COPY" || i.Kind == "ADD" }
	return p.File != "" || slices.ContainsFunc(p.Before, takes) || slices.ContainsFunc(p.After, takes)
}

// argument is what the name of a build's argument is made of.
var argument = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Read says what b asks for. Commands that takes agrees to are no steps: the
// builder of the language carries them out.
func Read(b function.Build, takes func(commands []string) bool) (p Plan, err error) {
	for _, name := range slices.Sorted(maps.Keys(b.Args)) {
		if !argument.MatchString(name) {
			return p, mistake("spec.build.args: %q is not the name of an argument", name)
		}
		p.Args = append(p.Args, name)
	}
	switch {
	case len(b.Commands) > 0:
		p.Commands = !takes(b.Commands)
		if len(b.Directives["preCopy"])+len(b.Directives["postCopy"]) > 0 {
			p.note("spec.build.directives are left out because spec.build.commands are there, as Nuclio does it")
		}
	default:
		if err := p.directives(b.Directives); err != nil {
			return p, err
		}
	}
	if p.Commands {
		if err := p.commands(b.Commands); err != nil {
			return p, err
		}
	}
	if err := p.stage(b.OnbuildImage); err != nil {
		return p, err
	}
	return p, p.own(b)
}

func mistake(format string, args ...any) error {
	return &build.Error{Msg: fmt.Sprintf(format, args...)}
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// marks among the commands say where the next ones belong.
var marks = map[string]bool{"@nuclio.preCopy": false, "@nuclio.postCopy": true, "@myelin.preCopy": false, "@myelin.postCopy": true}

func (p *Plan) commands(commands []string) error {
	at := &p.Before
	for _, c := range joined(commands) {
		if after, mark := marks[c]; mark {
			if at = &p.Before; after {
				at = &p.After
			}
			continue
		}
		i, err := run(shell, c)
		if err != nil {
			return mistake("spec.build.commands: %q: %v", c, err)
		}
		*at = append(*at, i)
	}
	return nil
}

// joined puts commands together that a \ at the end of a line continues.
func joined(commands []string) (out []string) {
	pending := ""
	for _, c := range commands {
		c = strings.TrimSpace(c)
		if head, more := strings.CutSuffix(c, `\`); more {
			pending += strings.TrimSpace(head) + " "
			continue
		}
		if c = strings.TrimSpace(pending + c); c != "" {
			out = append(out, c)
		}
		pending = ""
	}
	if pending = strings.TrimSpace(pending); pending != "" {
		out = append(out, pending)
	}
	return out
}

func (p *Plan) directives(all map[string][]function.Directive) error {
	for _, part := range []struct {
		name string
		to   *[]Instruction
	}{{"preCopy", &p.Before}, {"postCopy", &p.After}} {
		shell := shell
		for n, d := range all[part.name] {
			kind := strings.ToUpper(strings.TrimSpace(d.Kind))
			if slices.Contains(idle, kind) {
				p.note("spec.build.directives.%s[%d]: %s has no effect: the image runs the processor", part.name, n, kind)
				continue
			}
			i, err := directive(shell, kind, d.Value)
			if err != nil {
				return mistake("spec.build.directives.%s[%d], %s: %v", part.name, n, d.Kind, err)
			}
			if kind == "SHELL" {
				words, ok := words(strings.TrimSpace(d.Value))
				if !ok {
					return mistake(`spec.build.directives.%s[%d], SHELL: want a list of words, such as ["/bin/bash", "-c"]`, part.name, n)
				}
				shell = words
			}
			*part.to = append(*part.to, i)
		}
	}
	return nil
}

// fromProcessor is how an instruction copies out of Nuclio's first stage.
var fromProcessor = regexp.MustCompile(`(?i)^(COPY|ADD)\s.*--from=processor(\s|$)`)

// stage keeps onbuildImage if something is copied from it: the processor is
// Myelin's own.
func (p *Plan) stage(image string) error {
	copies := func(i Instruction) bool { return fromProcessor.MatchString(i.Line) }
	switch {
	case image == "":
		return nil
	case !slices.ContainsFunc(p.Before, copies) && !slices.ContainsFunc(p.After, copies):
		p.note("spec.build.onbuildImage is left out: the processor is Myelin's own, and no directive copies from it")
		return nil
	}
	p.Stage = image
	return named("spec.build.onbuildImage", image)
}

// own is the author's own Dockerfile.
func (p *Plan) own(b function.Build) error {
	switch {
	case b.Dockerfile == "":
		return nil
	case len(p.Before) > 0 || b.BaseImage != "":
		return mistake("spec.build.dockerfile says all that the function stands on: leave out baseImage, commands and directives, but for those of postCopy")
	}
	p.File = b.Dockerfile
	return nil
}

// Base is the image that a function names for what it stands on, "" for none.
func Base(b function.Build) (string, error) {
	if b.BaseImage == "" || b.BaseImage == "scratch" {
		return b.BaseImage, nil
	}
	image := b.BaseImage
	if registry := strings.TrimSuffix(b.BaseImageRegistry, "/"); registry != "" {
		image = registry + "/" + image[strings.LastIndex(image, "/")+1:]
	}
	return image, named("spec.build.baseImage", image)
}

// named refuses what is no name of an image.
func named(field, image string) error {
	if _, err := name.ParseReference(image); err != nil || strings.ContainsFunc(image, unicode.IsSpace) {
		return mistake("%s: %q is not the name of an image in a registry, such as debian:12", field, image)
	}
	return nil
}

// text is a Dockerfile of instructions on from, with what they are called by the
// number that an engine counts them by.
func (p Plan) text(from string, own []Instruction, asRoot bool) (text string, shown map[int]string) {
	var lines []string
	if p.Stage != "" {
		lines = append(lines, "FROM "+p.Stage+" AS processor")
	}
	lines = append(lines, "FROM "+from, label)
	for _, name := range p.Args {
		lines = append(lines, "ARG "+name)
	}
	if asRoot {
		lines = append(lines, "USER 0")
	}
	shown = map[int]string{}
	for _, i := range own {
		lines = append(lines, i.Line)
		shown[len(lines)] = i.Shown
	}
	return strings.Join(lines, "\n") + "\n", shown
}
