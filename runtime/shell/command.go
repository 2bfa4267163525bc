package shell

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// command is what runs for each event, before the event's own arguments.
type command struct {
	path string
	args []string
}

// findCommand resolves a handler: "script.sh" or "script.sh:main" in the
// source directory, else the name of a program in PATH. A script that is
// executable and has a #! line runs by itself, another by sh.
func findCommand(handler, source string) (command, error) {
	name, _, _ := strings.Cut(handler, ":")
	if name == "" {
		return onlyFile(source)
	}
	if filepath.IsLocal(name) {
		path := filepath.Join(source, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() {
			return fileCommand(path)
		}
	}
	path, err := osexec.LookPath(name)
	if err != nil {
		return command{}, fmt.Errorf("find handler: no file %q with the function, and no such program in PATH", name)
	}
	if path, err = filepath.Abs(path); err != nil {
		return command{}, fmt.Errorf("find handler: %w", err)
	}
	return command{path: path}, nil
}

// onlyFile is the command of a function without a handler: its single script.
func onlyFile(source string) (command, error) {
	scripts, err := filepath.Glob(filepath.Join(source, "*.sh"))
	if err != nil {
		return command{}, fmt.Errorf("find handler: %w", err)
	}
	if len(scripts) != 1 {
		return command{}, fmt.Errorf("find handler: none is given, and there are %d files *.sh", len(scripts))
	}
	return fileCommand(scripts[0])
}

func fileCommand(path string) (command, error) {
	f, err := os.Open(path)
	if err != nil {
		return command{}, fmt.Errorf("open handler: %w", err)
	}
	defer f.Close()
	head := make([]byte, 4)
	n, _ := f.Read(head)
	head = head[:n]
	direct := bytes.HasPrefix(head, []byte("#!")) || bytes.HasPrefix(head, []byte("\x7fELF"))
	if direct && unix.Access(path, unix.X_OK) == nil {
		return command{path: path}, nil
	}
	if bytes.HasPrefix(head, []byte("\x7fELF")) {
		return command{}, errors.New("open handler: " + filepath.Base(path) + " is a program but not executable (chmod +x)")
	}
	sh, err := osexec.LookPath("sh")
	if err != nil {
		return command{}, fmt.Errorf("find sh: %w", err)
	}
	return command{path: sh, args: []string{path}}, nil
}
