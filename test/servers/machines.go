package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// OtherMachine is an architecture that this machine is not, and that it can run
// programs of one by one.
func OtherMachine() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

// Emulator is a static program that runs one for [OtherMachine].
func Emulator() (string, error) {
	return find("qemu-user-static", "/usr/bin/qemu-"+map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[OtherMachine()]+"-static")
}

// OtherPackages copies the Debian packages for [OtherMachine] that scripts/servers.sh
// fetched to where a data directory has them.
func OtherPackages(data string) error {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return fmt.Errorf("find packages for %s: %w", OtherMachine(), err)
	}
	version := ""
	for line := range strings.Lines(string(release)) {
		if value, ok := strings.CutPrefix(line, "VERSION_ID="); ok {
			version = strings.Trim(value, "\"\n")
		}
	}
	from, err := fetched("debian-" + version + "-" + OtherMachine())
	if err != nil {
		return err
	}
	// What is copied is new, and nobody asks whether there is newer.
	if err := os.CopyFS(filepath.Join(data, "cache", "debian", OtherMachine()), os.DirFS(from)); err != nil {
		return fmt.Errorf("copy packages for %s: %w", OtherMachine(), err)
	}
	return nil
}
