package sbom

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Bounds of what is read: a text that is longer says nothing of a package.
const (
	maxText   = 1 << 20
	maxStatus = 32 << 20
	maxBinary = 256 << 20
)

// Scan finds the packages in files, which come as a tar. Who wrote them is not
// trusted: what cannot be read as a package is none.
func Scan(files io.Reader) ([]Package, error) {
	var s scanner
	for in := tar.NewReader(files); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("look for packages: %w", err)
		}
		if h.Typeflag != tar.TypeReg || h.Size > maxBinary {
			continue
		}
		if err := s.file(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), h, in); err != nil {
			return nil, fmt.Errorf("look for packages: %w", err)
		}
	}
	return s.packages(), nil
}

type scanner struct {
	found   []Package
	debian  []Package // without their distribution, which is known in the end
	release map[string]string
}

func (s *scanner) packages() []Package {
	distro := s.release["ID"]
	if distro == "" {
		distro = "debian"
	}
	for _, p := range s.debian {
		p.Group = distro
		if v := s.release["VERSION_ID"]; v != "" {
			p.Qualifiers += "&distro=" + escape(distro+"-"+v)
		}
		s.found = append(s.found, p)
	}
	return s.found
}

// file looks into one file.
func (s *scanner) file(name string, h *tar.Header, r io.Reader) error {
	base, dir := path.Base(name), path.Dir(name)
	switch {
	case name == "var/lib/dpkg/status" || dir == "var/lib/dpkg/status.d" && !strings.HasSuffix(base, ".md5sums"):
		return s.read(r, maxStatus, func(text []byte) { s.debian = append(s.debian, debianPackages(name, text)...) })
	case name == "etc/os-release" || name == "usr/lib/os-release":
		return s.read(r, maxText, func(text []byte) { s.release = assignments(text) })
	case base == "METADATA" && strings.HasSuffix(dir, ".dist-info") || base == "PKG-INFO" && strings.HasSuffix(dir, ".egg-info"):
		return s.read(r, maxText, func(text []byte) { s.add(pythonPackage(name, text)) })
	case base == "package.json" && inNodeModules(dir):
		return s.read(r, maxText, func(text []byte) { s.add(nodePackage(name, text)) })
	case strings.HasSuffix(base, ".jar"):
		return s.read(r, maxBinary, func(data []byte) { s.found = append(s.found, javaPackages(name, data)...) })
	case h.Mode&0o111 != 0:
		return s.program(name, r)
	}
	return nil
}

// read gives look what r has, unless that is too much.
func (s *scanner) read(r io.Reader, most int64, look func([]byte)) error {
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(text)) <= most {
		look(text)
	}
	return err
}

func (s *scanner) add(p Package, ok bool) {
	if ok {
		s.found = append(s.found, p)
	}
}

// program finds the modules of a program in Go.
func (s *scanner) program(name string, r io.Reader) error {
	var magic [4]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil || string(magic[:]) != "\x7fELF" {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil // of less than four bytes
		}
		return err
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	info, err := buildinfo.Read(bytes.NewReader(append(magic[:], rest...)))
	if err != nil {
		return nil //nolint:nilerr // it is not of Go
	}
	s.add(Package{Kind: "golang", Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), File: name}, true)
	if info.Main.Path != "" {
		s.add(Package{Kind: "golang", Name: info.Main.Path, Version: released(info.Main.Version), File: name}, true)
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" { // else a directory of the machine where it was built
			s.add(Package{Kind: "golang", Name: m.Path, Version: m.Version, File: name}, true)
		}
	}
	return nil
}

// released is a module's version, if it has one.
func released(version string) string {
	if version == "(devel)" {
		return ""
	}
	return version
}
