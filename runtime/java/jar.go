package java

import (
	"archive/zip"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/myelin-run/myelin/runtime/workercache"
)

// made is the time of all jars: the class archive is bound to it.
var made = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// compileJar compiles the sources below from, in dir, to the jar dir/name,
// unless it is there. classPath is the jars that they use.
func (m machine) compileJar(ctx context.Context, dir, name, from, classPath string) (done bool, err error) {
	to := filepath.Join(dir, name)
	if _, err := os.Stat(to); err == nil {
		return false, nil
	}
	if err := m.compiles(); err != nil {
		return false, err
	}
	var sources []string
	err = filepath.WalkDir(filepath.Join(dir, from), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".java") {
			sources = append(sources, path)
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("list worker: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return false, fmt.Errorf("build worker: the cache cannot be written (set MYELIN_CACHE to a directory that can): %w", err)
	}
	defer os.RemoveAll(tmp)
	args := []string{"-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1", "--release", "17", "-encoding", "UTF-8", "-g", "-proc:none", "-d", filepath.Join(tmp, "classes")}
	if classPath != "" {
		args = append(args, "-cp", classPath)
	}
	if err := workercache.Run(ctx, tmp, filepath.Join(m.home, "bin", "javac"), append(args, sources...)...); err != nil {
		return false, fmt.Errorf("build worker: %w", err)
	}
	if err := writeJar(filepath.Join(tmp, "jar"), filepath.Join(tmp, "classes")); err != nil {
		return false, fmt.Errorf("build worker: %w", err)
	}
	return true, os.Rename(filepath.Join(tmp, "jar"), to)
}

// writeJar puts all files of dir in a jar, as they are: reading costs least so.
func writeJar(path, dir string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z := zip.NewWriter(f)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: filepath.ToSlash(rel), Method: zip.Store, Modified: made})
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return os.Chtimes(path, made, made)
}
