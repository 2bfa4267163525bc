package nodejs

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/machine"
)

// names are what Node.js calls architectures.
var names = map[string]string{machine.AMD64: "x64", machine.ARM64: "arm64"}

// elsewhere has npm install for machines of another architecture: packages of which
// there is one for each are taken for it, and install scripts that ask are told.
func elsewhere(src build.Source) (flags, env []string) {
	name := names[src.Foreign()]
	if name == "" {
		return nil, nil
	}
	return []string{"--cpu=" + name, "--os=linux", "--libc=glibc"}, []string{"npm_config_arch=" + name, "npm_config_target_arch=" + name}
}

// fits refuses what was made for other machines. A package that brings libraries
// for several is fit for each of them.
func fits(dir, architecture string) error {
	unfit, err := machine.Unfit(dir, architecture, owner)
	if err != nil {
		return err
	}
	if len(unfit) > 0 {
		return &build.Error{Msg: fmt.Sprintf("the function has packages with programs or libraries that do not run on %[1]s: %[2]s: take a version that has them for it, or build on a machine of %[1]s", architecture, machine.List(unfit))}
	}
	return nil
}

// owner is the package that a file belongs to, or the function's own file.
func owner(rel string) string {
	rel = filepath.ToSlash(rel)
	at := strings.LastIndex("/"+rel, "/"+modules+"/")
	if at < 0 {
		return rel
	}
	parts := strings.SplitN(rel[at+len(modules)+1:], "/", 3)
	if strings.HasPrefix(parts[0], "@") && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}
