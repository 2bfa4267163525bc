package shell

import (
	"errors"
	"fmt"
	"strings"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime"
)

// Config is the runtimeAttributes of a shell function.
type Config struct {
	// Arguments are those of the command, split at blanks; quotes keep blanks.
	// The event's X-Nuclio-Arguments header replaces them.
	Arguments string `json:"arguments,omitempty"`
	// ResponseHeaders are added to every response.
	ResponseHeaders map[string]string `json:"responseHeaders,omitempty"`
	// Batch has the command run once for a list of events, and says how they are
	// written: "lines" or "nul", bodies with a line break or a zero byte after
	// each, or "json", an object in a line. "" runs it once for each event.
	Batch string `json:"batch,omitempty"`
	// MaxOutput bounds the standard output of one run. Default 64Mi.
	MaxOutput quantity.Size `json:"maxOutput"`
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	if c.MaxOutput <= 0 {
		return errors.New("maxOutput: must be above 0")
	}
	if c.Batch != "" && forms[c.Batch] == nil {
		return fmt.Errorf("batch: is %q, expected lines, nul or json", c.Batch)
	}
	if _, err := split(c.Arguments); err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	return nil
}

// Factory makes the runtime of kind "shell".
func Factory() runtime.Factory {
	return component.Define("shell", "Runs a script or a program for each event.",
		func() Config { return Config{MaxOutput: 64 << 20} }, New)
}

var errQuote = errors.New("a quote is not closed")

// split cuts s at blanks. Single quotes keep everything between them, double
// quotes everything but \" and \\, and a backslash elsewhere keeps the next
// character. Nothing is ever expanded.
func split(s string) (args []string, err error) {
	var b strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(s) && (quote == 0 || s[i+1] == '"' || s[i+1] == '\\'):
			i++
			inWord = true
			b.WriteByte(s[i])
		case quote != 0:
			b.WriteByte(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if inWord {
				args = append(args, b.String())
			}
			inWord = false
			b.Reset()
		default:
			inWord = true
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, errQuote
	}
	if inWord {
		args = append(args, b.String())
	}
	return args, nil
}
