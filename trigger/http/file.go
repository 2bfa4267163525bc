package http

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/valyala/fasthttp"
)

// sendFile answers with the file that the function named in the header
// X-nuclio-filestream-path, and reports whether it named one. Only regular
// files below FileStreamRoot are sent, wherever symbolic links lead.
func (s *server) sendFile(out *fasthttp.Response) bool {
	path := string(out.Header.Peek(headerFile))
	remove := strings.EqualFold(string(out.Header.Peek(headerFileDelete)), "true")
	out.Header.Del(headerFile)
	out.Header.Del(headerFileDelete)
	if path == "" {
		return false
	}
	f, size, err := openFile(s.cfg.FileStreamRoot, path, remove)
	if err != nil {
		s.log.Warn("file of a response was not sent", "path", path, "error", err)
		fail(out, fasthttp.StatusNotFound, "file not found")
		return true
	}
	out.SetBodyStream(f, size)
	return true
}

// sentFile removes its file once it has been sent, or could not be.
type sentFile struct {
	*os.File
	root *os.Root
	name string // to remove; "" to keep
}

// Close closes the file and, if asked, removes it.
func (f *sentFile) Close() error {
	err := f.File.Close()
	if f.name != "" {
		if rerr := f.root.Remove(f.name); err == nil {
			err = rerr
		}
	}
	if rerr := f.root.Close(); err == nil {
		err = rerr
	}
	return err
}

func openFile(dir, path string, remove bool) (*sentFile, int, error) {
	name := path
	if filepath.IsAbs(path) {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, 0, err
		}
		name = rel
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, 0, err
	}
	// Without O_NONBLOCK, opening a named pipe would wait for its writer.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		_ = root.Close() // the error that counts is the first
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrInvalid}
	}
	sent := &sentFile{File: f, root: root}
	if err != nil {
		_ = sent.Close() // the error that counts is the first
		return nil, 0, err
	}
	if remove {
		sent.name = name
	}
	return sent, int(info.Size()), nil
}
