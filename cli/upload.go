package cli

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/function"
)

// upload reads the sources here, so that mistakes in their configuration are
// found before anything is sent, and has the control plane build them.
func (a *app) upload(r pipeline.Request, p *terminal.Progress) (build.Source, build.Artefact, error) {
	pl, err := a.pipeline(nil, false)
	if err != nil {
		return build.Source{}, build.Artefact{}, err
	}
	work, err := os.MkdirTemp("", "myelin-run-")
	if err != nil {
		return build.Source{}, build.Artefact{}, err
	}
	defer os.RemoveAll(work)
	src, err := pl.Source(a.ctx, r, work)
	if err != nil {
		return src, build.Artefact{}, place(err, r.Path)
	}
	log, done := a.buildLog(p)
	defer done()
	archive, send := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		_ = send.CloseWithError(pack(send, src.Dir)) // the reader gets the error
	}()
	art, err := a.clientFor(src.Config.Metadata.Namespace).Build(a.ctx, staged(src.Config), archive, log)
	_ = archive.Close()
	<-packed
	if wrong := buildMistake(err, r.Path); wrong != nil {
		return src, build.Artefact{}, a.asked(wrong)
	}
	return src, art, nil
}

// staged is a configuration whose code is on its way already.
func staged(cfg function.Config) function.Config {
	b := &cfg.Spec.Build
	b.Path, b.FunctionSourceCode, b.CodeEntryType, b.CodeEntryAttributes, b.FunctionConfigPath = "", "", "", nil, ""
	return cfg
}

// pack writes dir as a tar.gz.
func pack(w io.Writer, dir string) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return packOne(t, dir, path, d)
	})
	return errors.Join(err, t.Close(), z.Close())
}

func packOne(t *tar.Writer, dir, path string, d fs.DirEntry) error {
	fi, err := d.Info()
	if err != nil {
		return err
	}
	target := ""
	if fi.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(fi, target)
	if err != nil {
		return err
	}
	if h.Name, err = filepath.Rel(dir, path); err != nil {
		return err
	}
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	if err := t.WriteHeader(h); err != nil || !fi.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t, f)
	return err
}
