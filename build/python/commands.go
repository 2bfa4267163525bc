package python

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
)

// installs lists the arguments of each pip install that the function needs:
// for requirements.txt, for spec.build.dependencies, and for each of
// spec.build.commands.
func installs(src build.Source) (steps [][]string, err error) {
	b := src.Config.Spec.Build
	hashed, err := hasRequirements(src.Dir)
	if err != nil {
		return nil, err
	}
	switch hashed {
	case withHashes:
		steps = append(steps, []string{"--require-hashes", "-r", requirements})
	case withoutHashes:
		steps = append(steps, []string{"-r", requirements})
	}
	var args []string
	for _, d := range b.Dependencies {
		if d = strings.TrimSpace(d); d == "" || strings.HasPrefix(d, "-") {
			return nil, &build.Error{Msg: fmt.Sprintf("spec.build.dependencies: %q is not a requirement such as numpy==2.1", d)}
		}
		args = append(args, d)
	}
	if len(args) > 0 {
		steps = append(steps, args)
	}
	for _, c := range joined(b.Commands) {
		args, err := pipArguments(c)
		if err != nil {
			return nil, err
		}
		steps = append(steps, args)
	}
	return steps, nil
}

// Takes implements [build.Commander]: pip installs are for the function, whatever it
// stands on.
func (*Builder) Takes(commands []string) bool {
	return !slices.ContainsFunc(joined(commands), func(c string) bool {
		_, err := pipArguments(c)
		return err != nil
	})
}

const requirements = "requirements.txt"

const (
	noRequirements = iota
	withoutHashes
	withHashes
)

var blank = regexp.MustCompile(`(?m)^\s*(#.*)?$`)

func hasRequirements(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, requirements))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return noRequirements, nil
	case err != nil:
		return noRequirements, fmt.Errorf("read %s: %w", requirements, err)
	case strings.Contains(string(text), "--hash="):
		return withHashes, nil
	case strings.TrimSpace(blank.ReplaceAllString(string(text), "")) == "":
		return noRequirements, nil
	}
	return withoutHashes, nil
}

// joined puts commands together that a \ at the end of a line continues.
func joined(commands []string) (out []string) {
	pending := ""
	for _, c := range commands {
		c = strings.TrimSpace(c)
		if head, more := strings.CutSuffix(c, `\`); more {
			pending += head + " "
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

// options of pip install that a command may have: those that say what is
// installed and from where, not to where. The others take an argument.
var (
	plainOptions  = []string{"-U", "--upgrade", "--pre", "--no-deps", "--no-index", "--no-cache-dir", "--require-hashes", "-q", "--quiet", "--prefer-binary", "--no-build-isolation", "--no-input", "--disable-pip-version-check", "-v", "--verbose"}
	valuedOptions = []string{"-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "--trusted-host", "-f", "--find-links", "--only-binary", "--no-binary", "--timeout", "--retries"}
)

// pipArguments takes a "pip install" apart; no shell does.
func pipArguments(command string) ([]string, error) {
	words, err := split(command)
	if err != nil {
		return nil, &build.Error{Msg: fmt.Sprintf("spec.build.commands: %q: %v", command, err)}
	}
	var args []string
	switch {
	case len(words) > 2 && slices.Contains([]string{"pip", "pip3"}, filepath.Base(words[0])) && words[1] == "install":
		args = words[2:]
	case len(words) > 4 && strings.HasPrefix(filepath.Base(words[0]), "python") && slices.Equal(words[1:4], []string{"-m", "pip", "install"}):
		args = words[4:]
	default:
		return nil, &build.Error{Msg: fmt.Sprintf("spec.build.commands: %q is not a pip install: other commands need the build of a container image, "+build.HowImage, command)}
	}
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(args[i], "-") || slices.Contains(plainOptions, args[i]):
		case slices.Contains(valuedOptions, name) && joined:
		case slices.Contains(valuedOptions, name) && i+1 < len(args):
			i++
		default:
			return nil, &build.Error{Msg: fmt.Sprintf("spec.build.commands: %q: the option %s of pip install cannot be used here", command, args[i])}
		}
	}
	return args, nil
}

// split splits a command into words as a shell would, quotes and \ included.
// What only a shell can do is refused.
func split(command string) (words []string, err error) {
	var word strings.Builder
	begun, quote, escaped := false, rune(0), false
	for _, c := range command {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'' || quote == '"' && c != '$' && c != '`':
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case strings.ContainsRune("$`;|&<>()\n", c):
			return nil, fmt.Errorf("it needs a shell for %q; quote it, or give one command a line", c)
		case c == ' ' || c == '\t':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}
