package link

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// LongestTopic is the most bytes of a topic.
const LongestTopic = 65535

// CheckName finds what neither a topic nor a filter may be.
func CheckName(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > LongestTopic:
		return fmt.Errorf("has %d bytes, expected at most %d", len(s), LongestTopic)
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return errors.New("is no text without zero bytes")
	}
	return nil
}

// Text is s as brokers take it: UTF-8, not too long, and without the control
// characters and the characters that are none, for which some hang up.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case r&0xfffe == 0xfffe, r >= 0xfdd0 && r <= 0xfdef:
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), LongestText)], "\ufffd"))
}

// LongestText is what is kept of a text; what replaces bad bytes is longer.
const LongestText = 20000
