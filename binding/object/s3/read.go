package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"

	"github.com/myelin-run/myelin/binding/data"
)

// Get implements [data.ObjectStore]. What is above the limit is not read.
func (s *store) Get(ctx context.Context, name string, r data.Range, limit int64) ([]byte, data.Info, error) {
	if err := s.opened(); err != nil {
		return nil, data.Info{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // and with it the rest of an answer that is not read
	o := minio.GetObjectOptions{}
	if !r.All() {
		if err := ask(&o, r); err != nil {
			return nil, data.Info{}, data.As(data.Misuse, err)
		}
	}
	body, info, header, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, o)
	if outside(err) {
		return s.beyond(ctx, name, r, limit)
	}
	if err != nil {
		return nil, data.Info{}, reason(err)
	}
	defer body.Close()
	size, partial := total(header, info.Size)
	from, n, err := r.Cut(size, limit)
	if err != nil {
		return nil, data.Info{}, err
	}
	if !partial && from > 0 { // the service knows no ranges
		if _, err := io.CopyN(io.Discard, body, from); err != nil {
			return nil, data.Info{}, away(err)
		}
	}
	content := data.RoomFor(ctx, n)
	if _, err := io.ReadFull(body, content); err != nil {
		return nil, data.Info{}, away(err)
	}
	return content, s.info(name, info, size), nil
}

// away gives an answer that broke off its reason.
func away(err error) error {
	if err = data.Classify(err); data.ReasonOf(err) == 0 {
		return data.As(data.Away, err)
	}
	return err
}

// ask says in a request which part is wanted.
func ask(o *minio.GetObjectOptions, r data.Range) error {
	if r.To < 0 {
		return o.SetRange(r.From, 0)
	}
	return o.SetRange(r.From, r.To)
}

// total is the size of an object of which length bytes are answered, and whether
// these are a part.
func total(h http.Header, length int64) (size int64, partial bool) {
	_, text, ok := strings.Cut(h.Get("Content-Range"), "/")
	if n, err := strconv.ParseInt(text, 10, 64); ok && err == nil {
		return n, true
	}
	return length, false
}

// beyond answers for a range of which the object has nothing: that of an empty
// object is no mistake.
func (s *store) beyond(ctx context.Context, name string, r data.Range, limit int64) ([]byte, data.Info, error) {
	info, err := s.Stat(ctx, name)
	if err != nil {
		return nil, data.Info{}, err
	}
	if _, n, err := r.Cut(info.Size, limit); err != nil || n > 0 {
		return nil, data.Info{}, errors.Join(err, data.Errorf(data.Misuse, "range %d-%d is behind the end of the object", r.From, r.To))
	}
	return []byte{}, info, nil
}

func (s *store) info(name string, i minio.ObjectInfo, size int64) data.Info {
	return data.Info{Name: name, Size: size, Version: i.ETag, ContentType: i.ContentType, Modified: i.LastModified.UTC()}
}

// Stat implements [data.ObjectLister].
func (s *store) Stat(ctx context.Context, name string) (data.Info, error) {
	if err := s.opened(); err != nil {
		return data.Info{}, err
	}
	info, err := s.client.StatObject(ctx, s.bucket, s.prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return data.Info{}, reason(err)
	}
	return s.info(name, info, info.Size), nil
}

// pageSize is the most that the protocol lists at once.
const pageSize = 1000

// List implements [data.ObjectLister]. Names that no function can use, such as
// those that consoles give to directories, are left out.
func (s *store) List(ctx context.Context, prefix, after string, limit int) (found []data.Info, err error) {
	if err := s.opened(); err != nil {
		return nil, err
	}
	if !utf8.ValidString(prefix) || !utf8.ValidString(after) || len(s.prefix)+max(len(prefix), len(after)) > 1024 {
		return nil, data.Errorf(data.Misuse, "what names are to begin with is not text of up to %d bytes", data.MaxName)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true, MaxKeys: min(limit, pageSize)}
	if after != "" {
		o.StartAfter = s.prefix + after
	}
	for i := range s.client.ListObjectsIter(ctx, s.bucket, o) {
		if i.Err != nil {
			return nil, reason(i.Err)
		}
		name := strings.TrimPrefix(i.Key, s.prefix)
		if name <= after || data.CheckName(name) != nil {
			continue
		}
		if found = append(found, s.info(name, i, i.Size)); len(found) == limit {
			break
		}
	}
	return found, nil
}
