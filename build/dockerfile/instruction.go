package dockerfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Instruction is one of a Dockerfile, whole and on one line, whatever it was made of.
type Instruction struct {
	Kind  string // RUN, COPY ...
	Line  string // as it stands in the Dockerfile
	Shown string // as people read it
}

// shell is what runs a command that is no list of words.
var shell = []string{"/bin/sh", "-c"}

// run has a shell run a command. The command is one argument of it, and so no
// character in it means anything to who reads the Dockerfile.
func run(shell []string, command string) (Instruction, error) {
	if err := clean(command); err != nil {
		return Instruction{}, err
	}
	return Instruction{"RUN", "RUN " + list(append(slices.Clone(shell), command)), "RUN " + command}, nil
}

// list writes words as Dockerfiles have them: JSON, in which there are neither line
// breaks nor "<<".
func list(words []string) string {
	text, _ := json.Marshal(words) // strings are always written
	return string(text)
}

// clean refuses what no text of a Dockerfile can have.
func clean(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("it is empty")
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return errors.New("it is not text")
	}
	return nil
}

// Kinds of instructions that directives may be, and those that have no effect
// because images of functions run the processor.
var (
	kinds = []string{"ADD", "ARG", "COPY", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
	idle  = []string{"CMD", "ENTRYPOINT"}
)

// continued is the end of a line that goes on in the next one.
var continued = regexp.MustCompile(`\\[ \t]*\r?\n`)

// heredoc is the beginning of a document within a Dockerfile, which would swallow lines.
var heredoc = regexp.MustCompile(`<<-?\s*["']?\w`)

// directive is an instruction of the user's words. They are refused if they are
// more, or less, than one instruction.
func directive(shell []string, kind, value string) (Instruction, error) {
	value = strings.TrimSpace(continued.ReplaceAllString(value, " "))
	if err := clean(value); err != nil {
		return Instruction{}, err
	}
	switch {
	case !slices.Contains(kinds, kind):
		return Instruction{}, fmt.Errorf("there is no such instruction here (known: %s)", strings.Join(kinds, ", "))
	case kind == "RUN":
		return runDirective(shell, value)
	case strings.ContainsAny(value, "\r\n"):
		return Instruction{}, errors.New("it has a line break: a directive is one instruction")
	case strings.HasSuffix(value, `\`):
		return Instruction{}, errors.New(`it ends with \, which would take the next instruction with it`)
	case (kind == "COPY" || kind == "ADD") && heredoc.MatchString(value):
		return Instruction{}, errors.New("documents within it (<<) are not supported: put the file beside the code")
	}
	return Instruction{kind, kind + " " + value, kind + " " + value}, nil
}

func runDirective(shell []string, value string) (Instruction, error) {
	if strings.HasPrefix(value, "--") {
		return Instruction{}, errors.New("options of RUN are BuildKit's, and are not supported")
	}
	if words, ok := words(value); ok {
		return Instruction{"RUN", "RUN " + list(words), "RUN " + value}, nil
	}
	return run(shell, value)
}

// words reads a list of words in JSON.
func words(value string) (words []string, ok bool) {
	return words, strings.HasPrefix(value, "[") && json.Unmarshal([]byte(value), &words) == nil && len(words) > 0
}
