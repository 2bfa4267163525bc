package calls

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// next is the traceparent (W3C Trace Context) of a call whose caller's is
// parent: the same trace, another span. Without one, a trace begins: the same
// one for all calls that name the same event.
func (c *Client) next(parent, event string) string {
	trace, flags := "", "01"
	if f := strings.Split(parent, "-"); valid(f) {
		trace, flags = f[1], f[3]
	}
	switch {
	case trace != "":
	case event != "":
		sum := sha256.Sum256(append(c.seed[:len(c.seed):len(c.seed)], event...))
		trace = hex.EncodeToString(sum[:16])
	default:
		trace = random(16)
	}
	return "00-" + trace + "-" + random(8) + "-" + flags
}

// valid reports whether f are the parts of a traceparent. A later version may have
// more parts, which are not passed on.
func valid(f []string) bool {
	return len(f) >= 4 && isHex(f[0], 2) && f[0] != "ff" && (len(f) == 4 || f[0] != "00") &&
		isHex(f[1], 32) && strings.Trim(f[1], "0") != "" && isHex(f[2], 16) && strings.Trim(f[2], "0") != "" && isHex(f[3], 2)
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	b[0] |= 1           // never all zero
	return hex.EncodeToString(b)
}
