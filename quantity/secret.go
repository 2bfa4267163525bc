package quantity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that is never shown: it prints, logs and marshals as "***",
// or as nothing if it is empty, or as a reference ("$secret:NAME") if it is one. Whoever needs the text calls Reveal;
// document.MarshalRevealed writes a configuration with its secrets in clear.
// fmt cannot ask unexported fields how they print, nor encoding/json the keys of
// maps: keep Secrets out of both.
type Secret string

const hidden = "***"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Hidden tells whether the text is "***" itself, as of a configuration that
// was shown and comes back.
func (s Secret) Hidden() bool { return s == hidden }

// String returns "***", or "" if there is no secret, or the reference if it is
// one: that is no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	if _, ok := ReferredSecret(string(s)); ok {
		return string(s)
	}
	return hidden
}

// Format writes "***" whatever the verb.
func (s Secret) Format(f fmt.State, verb rune) {
	out := s.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		out = `"` + out + `"`
	}
	_, _ = io.WriteString(f, out) // the printer collects it in memory
}

// LogValue keeps the text out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText writes "***".
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON writes "***".
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalYAML writes "***".
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// UnmarshalJSON reads text. Its error does not show what was given.
func (s *Secret) UnmarshalJSON(b []byte) error {
	text, isText := unquote(b)
	if !isText {
		return errors.New(`expected a secret as text in quotes, such as "s3cr3t"`)
	}
	*s = Secret(text)
	return nil
}
