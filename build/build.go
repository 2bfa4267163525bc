// Package build defines how a function's source becomes an artefact. It holds
// the contract only: where sources come from, how each language is built and
// where artefacts are kept are in the folders below.
package build

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/myelin-run/myelin/function"
)

// Source is a function as its author left it.
type Source struct {
	Config function.Config // complete: function.yaml, inline block, command line merged; runtime known
	Dir    string          // staged copy of the sources; the builder may write to it
	// Architecture is what it shall run on, "amd64" or "arm64"; "" for this machine's.
	// Another than this machine's is given to a [Crosser] only.
	Architecture string
	// Image says that it will be in an image, and not run from where it is built.
	Image bool
}

// Foreign is the architecture that src is built for if that is not this machine's,
// else "".
func (src Source) Foreign() string {
	if src.Architecture == runtime.GOARCH {
		return ""
	}
	return src.Architecture
}

// Artefact is a built function in the local store: a directory that a platform
// can run and that never changes.
type Artefact struct {
	Digest string          `json:"digest"` // sha256 over source, configuration, toolchain and dependencies
	Dir    string          `json:"-"`      // absolute path
	Config function.Config `json:"config"` // what it was built with; the platform writes processor.yaml from it
	// Command starts the processor; relative paths are relative to Dir. Empty:
	// the platform's generic processor runs it.
	Command []string `json:"command,omitempty"`
	Runtime string   `json:"runtime"`
	// Steps tells that spec.build.commands are steps of its image; else its builder
	// carried them out.
	Steps bool `json:"steps,omitempty"`
	// Content names all that is in Dir, for who signs it: "sha256:..."; "" for one
	// that was built before there were signatures.
	Content string `json:"content,omitempty"`
}

// Builder turns a source into files of an artefact, for one runtime.
type Builder interface {
	// Build writes the artefact's files into out, an empty directory, and
	// says how to start it. It reports progress to log, a line at a time.
	// A mistake of the user's is an [*Error].
	Build(ctx context.Context, src Source, out string, log io.Writer) (Result, error)
	// Inputs names everything beside source and configuration that decides
	// the outcome (toolchain version, flags), for the digest. It is cheap.
	Inputs(ctx context.Context, src Source) ([]string, error)
}

// Crosser is implemented by builders that build for machines of another
// architecture than this one's.
type Crosser interface {
	Crosses(architecture string) bool
}

// Commander is implemented by builders that carry out commands of spec.build.commands
// themselves. Takes tells whether they can all of these; if not, they are steps of an
// image, and the builder is given none.
type Commander interface {
	Takes(commands []string) bool
}

// Collector is implemented by builders that keep things between builds.
// Collect removes what was not used for long. It may be called while builds run.
type Collector interface{ Collect() error }

// Result is what a Builder made.
type Result struct {
	Command []string // see Artefact.Command
	Steps   bool     // see Artefact.Steps; the pipeline says it
}

// HowImage ends the error of a function that needs an image where none is made.
const HowImage = "which a Docker engine does: myelin build -o oci:DIR makes one, and myelin up --platform docker runs functions as such"

// Error is a mistake in what the user gave, with the place if there is one.
type Error struct {
	File   string // relative to the source directory
	Line   int
	Column int
	Text   string // the source line, "" if unknown
	Msg    string
	Output string // what the tool printed
}

func (e *Error) Error() string {
	switch {
	case e.File != "" && e.Line > 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	case e.File != "":
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return e.Msg
}
