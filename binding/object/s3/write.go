package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/myelin-run/myelin/binding/data"
)

// Put implements [data.ObjectStore].
func (s *store) Put(ctx context.Context, name string, content []byte, p data.PutObject) (string, error) {
	if err := s.opened(); err != nil {
		return "", err
	}
	o := minio.PutObjectOptions{ContentType: p.ContentType, DisableContentSha256: true}
	if p.If != nil {
		if err := s.condition(ctx, &o, *p.If); err != nil {
			return "", err
		}
	}
	var etag string
	var err error
	if int64(len(content)) > int64(s.config.PartSize) {
		etag, err = s.inParts(ctx, s.prefix+name, content, o)
	} else {
		etag, err = s.whole(ctx, s.prefix+name, content, o)
	}
	if p.If != nil && *p.If != "" && errors.Is(err, data.NotFound) {
		return "", data.Errorf(data.Conflict, "the object is not there")
	}
	return etag, err
}

func (s *store) whole(ctx context.Context, name string, content []byte, o minio.PutObjectOptions) (string, error) {
	info, err := s.client.PutObject(ctx, s.bucket, name, bytes.NewReader(content), int64(len(content)), "", digest(content), o)
	return info.ETag, reason(err)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// inParts writes a large object, which is there once all its parts are.
func (s *store) inParts(ctx context.Context, name string, content []byte, o minio.PutObjectOptions) (string, error) {
	upload, err := s.client.NewMultipartUpload(ctx, s.bucket, name, minio.PutObjectOptions{ContentType: o.ContentType})
	if err != nil {
		return "", reason(err)
	}
	etag, err := s.upload(ctx, name, upload, content, o)
	if err != nil {
		s.abort(ctx, name, upload)
	}
	return etag, reason(err)
}

func (s *store) upload(ctx context.Context, name, upload string, content []byte, o minio.PutObjectOptions) (string, error) {
	var parts []minio.CompletePart
	for size := int(s.config.PartSize); len(content) > 0; content = content[min(size, len(content)):] {
		part := content[:min(size, len(content))]
		p, err := s.client.PutObjectPart(ctx, s.bucket, name, upload, len(parts)+1, bytes.NewReader(part), int64(len(part)),
			minio.PutObjectPartOptions{Sha256Hex: digest(part), DisableContentSha256: true})
		if err != nil {
			return "", err
		}
		parts = append(parts, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag})
	}
	info, err := s.client.CompleteMultipartUpload(ctx, s.bucket, name, upload, parts, o)
	return info.ETag, err
}

const cleanTime = 5 * time.Second

// abort takes back parts that nobody will put together, also after the call's
// time is over.
func (s *store) abort(ctx context.Context, name, upload string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	_ = s.client.AbortMultipartUpload(ctx, s.bucket, name, upload)
}

// Delete implements [data.ObjectStore].
func (s *store) Delete(ctx context.Context, name string) error {
	if err := s.opened(); err != nil {
		return err
	}
	err := reason(s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{}))
	if errors.Is(err, data.NotFound) {
		return nil
	}
	return err
}

// condition adds the condition of a write, if the service keeps it.
func (s *store) condition(ctx context.Context, o *minio.PutObjectOptions, want string) error {
	header := "If-Match"
	if want == "" {
		header = "If-None-Match"
	} else if len(want) > 255 || strings.ContainsFunc(want, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '*' }) {
		return data.Errorf(data.Conflict, "the object is in another version")
	}
	kept, err := s.kept(ctx, header)
	switch {
	case err != nil:
		return err
	case !kept:
		return data.Errorf(data.Unsupported, "the service does not keep conditions of writes (%s)", header)
	case want == "":
		o.SetMatchETagExcept("*")
	default:
		o.SetMatchETag(want)
	}
	return nil
}

// kept finds out once whether the service keeps a condition: some write whatever
// it says, and a change of another would be lost. An object is made for that, and
// removed.
func (s *store) kept(ctx context.Context, header string) (bool, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return false, data.As(data.Timeout, ctx.Err())
	}
	defer func() { <-s.turn }()
	if kept, known := s.keeps[header]; known {
		return kept, nil
	}
	kept, err := s.try(ctx, header)
	if err != nil {
		return false, err
	}
	s.keeps[header] = kept
	return kept, nil
}

// try writes an object on a condition that does not hold.
func (s *store) try(ctx context.Context, header string) (bool, error) {
	name := s.prefix + "myelin-try-" + rand.Text()
	o := minio.PutObjectOptions{DisableContentSha256: true}
	if header == "If-Match" {
		o.SetMatchETag("00000000000000000000000000000000")
	} else {
		if _, err := s.whole(ctx, name, nil, o); err != nil {
			return false, err
		}
		o.SetMatchETagExcept("*")
	}
	_, err := s.whole(ctx, name, nil, o)
	if err == nil || header != "If-Match" {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
		defer cancel()
		_ = s.client.RemoveObject(cleaning, s.bucket, name, minio.RemoveObjectOptions{})
	}
	switch {
	case err == nil, errors.Is(err, data.Unsupported):
		return false, nil
	case errors.Is(err, data.Conflict), errors.Is(err, data.NotFound):
		return true, nil
	}
	return false, err
}
