package files

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
)

// Pack writes a list that [Check] finds nothing wrong with as a tar.gz. An archive that holds one directory and nothing
// else stands for that directory: one more keeps the names as they are.
func Pack(w io.Writer, list []File) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range list {
		h := tar.Header{Typeflag: tar.TypeReg, Name: "sources/" + f.Path, Mode: 0o644, Size: int64(len(f.Content()))}
		if f.Executable {
			h.Mode = 0o755
		}
		if err := t.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := t.Write(f.Content()); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}
