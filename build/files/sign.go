package files

import "unicode"

// hides tells of signs that are not seen, or that make others be seen elsewhere:
// control signs, those that turn the direction of text, those without a width,
// spaces that are none and letters that look empty.
func hides(c rune) bool {
	switch c {
	case '\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\ufffd': // Hangul fillers, an empty pattern, and what stands for no sign
		return true
	case ' ':
		return false
	}
	return !unicode.IsPrint(c) || unicode.IsSpace(c) || unicode.Is(unicode.Variation_Selector, c)
}
