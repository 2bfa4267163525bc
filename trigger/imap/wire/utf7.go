package wire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

var own = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// Quote writes the name of a mailbox as the protocol has it: what is not ASCII is
// UTF-16 in a base64 of its own.
func Quote(mailbox string) string {
	var b strings.Builder
	var far []uint16
	flush := func() {
		if len(far) == 0 {
			return
		}
		raw := make([]byte, 0, 2*len(far))
		for _, u := range far {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteString("&" + own.EncodeToString(raw) + "-")
		far = nil
	}
	for _, r := range mailbox {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= ' ' && r <= '~':
			flush()
			b.WriteRune(r)
		default:
			far = utf16.AppendRune(far, r)
		}
	}
	flush()
	return quote(b.String())
}
