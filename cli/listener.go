package cli

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// ownedBy tells whether what listens at an address of this machine, every
// process of it, belongs to the owner of a file: a token of theirs is sent to
// nobody else who has taken the port.
func ownedBy(address, path string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	var port int
	if _, err := fmt.Sscan(u.Port(), &port); err != nil || !ok {
		return false
	}
	found := false
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table) // without IPv6 there is no second one
		for line := range strings.Lines(string(text)) {
			// Fields: slot, local address, remote address, state (0A listens), queues, timer, retransmits, user.
			f := strings.Fields(line)
			if len(f) < 8 || f[3] != "0A" || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			if f[7] != fmt.Sprint(owner.Uid) {
				return false
			}
			found = true
		}
	}
	return found
}
