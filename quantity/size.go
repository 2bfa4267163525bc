package quantity

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// Size is a number of bytes, written "64Ki", "1.5Gi" (powers of 1024), "10MB",
// "10M" (powers of 1000) or as a plain number. It is never negative.
type Size int64

var sizeForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(|[kKMGTPE]|Ki|Mi|Gi|Ti|Pi|Ei)(B?)$`)

// ParseSize reads a size. It must come to a whole number of bytes.
func ParseSize(s string) (Size, error) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil || len(s) > maxAmount {
		return 0, fmt.Errorf("%q is not a size such as \"64Ki\" or \"10MB\"", shorten(s))
	}
	unit := m[2]
	if unit == "K" {
		unit = "k"
	}
	r, _ := new(big.Rat).SetString(m[1])
	r.Mul(r, units[unit])
	if !r.IsInt() {
		return 0, fmt.Errorf("%q is not a whole number of bytes", s)
	}
	if !r.Num().IsInt64() {
		return 0, fmt.Errorf("%q is too large, at most \"8Ei\" less one byte", s)
	}
	return Size(r.Num().Int64()), nil
}

// Bytes returns the number of bytes.
func (s Size) Bytes() int64 { return int64(s) }

// String returns the shortest text that means exactly s.
func (s Size) String() string {
	best := strconv.FormatInt(int64(s), 10)
	if s < 0 {
		return best
	}
	for _, unit := range []string{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "T", "P", "E"} {
		r := new(big.Rat).SetInt64(int64(s))
		r.Quo(r, units[unit])
		digits, exact := r.FloatPrec()
		suffix := unit
		if !strings.HasSuffix(unit, "i") {
			suffix = strings.ToUpper(unit) + "B"
		}
		if text := r.FloatString(digits) + suffix; exact && len(text) < len(best) {
			best = text
		}
	}
	return best
}

// MarshalJSON writes the shortest text that means exactly s.
func (s Size) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads text such as "64Ki", or a number of bytes.
func (s *Size) UnmarshalJSON(b []byte) error {
	text, isText := unquote(b)
	if !isText && !isNumber(text) {
		return fmt.Errorf("%s is not a size such as \"64Ki\" or \"10MB\"", shorten(text))
	}
	v, err := ParseSize(text)
	if err == nil {
		*s = v
	}
	return err
}

func isNumber(raw string) bool {
	return raw != "" && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}
