package destination

import (
	"strings"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// maxValue is the most bytes of a value that a letter's header has, so that a
// long error does not make a request that its receiver refuses.
const maxValue = 2 << 10

// headers are those of a letter's record as a request can have them: names that
// HTTP does not know are left out, and control characters become spaces.
func headers(r *letter.Record) (out []event.Field) {
	for _, h := range r.Headers {
		if !isToken(h.Key) || hop[strings.ToLower(h.Key)] {
			continue
		}
		v := string(h.Value)
		if strings.HasPrefix(h.Key, letter.Prefix) && len(v) > maxValue {
			v = strings.ToValidUTF8(v[:maxValue], "") + "..."
		}
		out = append(out, event.Field{Key: h.Key, Value: strings.Map(printable, v)})
	}
	return out
}

// hop are the headers that are the connection's business, or the sender's.
var hop = map[string]bool{"host": true, "connection": true, "content-length": true, "content-type": true, "transfer-encoding": true, "keep-alive": true,
	"upgrade": true, "te": true, "trailer": true, "expect": true, "proxy-connection": true, "proxy-authorization": true}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

func isToken(s string) bool {
	for i := range len(s) {
		if b := s[i]; b <= ' ' || b > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return s != ""
}

func contentType(r *letter.Record) string {
	if r.ContentType == "" && len(r.Body) > 0 {
		return "application/octet-stream"
	}
	return r.ContentType
}
