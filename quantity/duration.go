package quantity

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time span, written "1h30m", "250ms". A bare 0 is accepted.
type Duration time.Duration

// ParseDuration reads a time span as [time.ParseDuration] does.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as \"30s\"", shorten(s))
	}
	return Duration(d), nil
}

// Std returns d as a [time.Duration].
func (d Duration) Std() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes the span as text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads text such as "1h30m", or 0. Empty text, which Nuclio
// writes for a time span not set, leaves d as it is.
func (d *Duration) UnmarshalJSON(b []byte) error {
	s, isText := unquote(b)
	if isText && s == "" {
		return nil
	}
	if !isText && s != "0" {
		return fmt.Errorf("%s is not a duration such as \"30s\"", shorten(s))
	}
	v, err := ParseDuration(s)
	if err == nil {
		*d = v
	}
	return err
}

// unquote returns the text that b, JSON, holds; of another value, its JSON.
func unquote(b []byte) (s string, isText bool) {
	if err := json.Unmarshal(b, &s); err != nil || len(b) == 0 || b[0] != '"' {
		return string(b), false
	}
	return s, true
}

func shorten(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%.*s...", most, s) // counts runes, and so cuts none
}
