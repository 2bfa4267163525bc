package port

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// claim says, to whoever may listen on the same port, whose it is, and fails if
// it is another function's. A port that processes share would otherwise be
// shared by functions that were given the same one by mistake, and each would
// get some of what is the other's. The claim is the name of a socket on which
// nothing is sent: the system drops it when its process ends, whatever ends it.
func claim(port int, namespace, function string) (net.PacketConn, error) {
	owner := fmt.Sprintf("%x", sha256.Sum256([]byte(namespace+"/"+function)))[:16]
	prefix := fmt.Sprintf("@myelin-port:%d:", port)
	name := fmt.Sprintf("%s%s:%.24s:%s", prefix, owner, function, rand.Text()[:8])
	c, err := net.ListenPacket("unixgram", name)
	if err != nil {
		return nil, fmt.Errorf("claim port: %w", Cause(err))
	}
	if err := rival(prefix, owner); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// rival looks for a claim of somebody else.
func rival(prefix, owner string) error {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return fmt.Errorf("look for claims of the port: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		_, claim, found := strings.Cut(lines.Text(), " "+prefix)
		whose, rest, _ := strings.Cut(claim, ":")
		if !found || whose == owner {
			continue
		}
		function, _, _ := strings.Cut(rest, ":")
		return fmt.Errorf("the port is that of the function %q", function)
	}
	return lines.Err()
}
