package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/stream"
)

// kept is the object that keeps how far was read. Its revision is its tag.
type kept struct {
	poll.Place
	Trigger string `json:"trigger"`
	Floor   int64  `json:"floor,omitempty"`
	Seen    []byte `json:"seen,omitempty"`
}

func (n *session) placeKey() string {
	sum := sha256.Sum256([]byte(stream.TableOf(n.src.settings)))
	return n.src.cfg.Places + hex.EncodeToString(sum[:20])
}

// mostKept bounds what is read.
const mostKept = 64 << 20

// Load implements [poll.Places].
func (n *session) Load(ctx context.Context) (at poll.Place, revision string, err error) {
	body, info, _, err := minio.Core{Client: n.client}.GetObject(ctx, n.src.cfg.Bucket, n.placeKey(), minio.GetObjectOptions{})
	if err != nil {
		if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
			return at, "", nil
		}
		return at, "", err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, mostKept))
	if err != nil {
		return at, "", err
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return at, "", fmt.Errorf("object %s is no place: %w", n.placeKey(), err)
	}
	s, err := readSeen(k.Seen, k.Floor)
	if err != nil {
		return at, "", fmt.Errorf("object %s is no place: %w", n.placeKey(), err)
	}
	n.mu.Lock()
	n.seen = s
	n.mu.Unlock()
	return k.Place, info.ETag, nil
}

// Save implements [poll.Places]. The condition is the service's to keep; for those
// that do not know it, it is looked at before, too.
func (n *session) Save(ctx context.Context, at poll.Place, revision string) (string, error) {
	pos, err := parsePosition(at.Cursor)
	if err != nil {
		return "", err
	}
	if err := n.unchanged(ctx, revision); err != nil {
		return "", err
	}
	n.mu.Lock()
	done := n.reached(at.Cursor)
	now := n.seen.with(n.pending[:done], max(pos.Since, pos.Max-n.src.cfg.Overlap.Std().Milliseconds()), n.src.cfg.Remember)
	n.mu.Unlock()
	text, err := json.Marshal(kept{Place: at, Trigger: stream.TableOf(n.src.settings), Floor: now.floor, Seen: now.bytes()})
	if err != nil {
		return "", err
	}
	o := minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true}
	if revision == "" {
		o.SetMatchETagExcept("*")
	} else {
		o.SetMatchETag(revision)
	}
	info, err := n.client.PutObject(ctx, n.src.cfg.Bucket, n.placeKey(), bytes.NewReader(text), int64(len(text)), o)
	if err != nil {
		if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
			return "", poll.ErrWritten
		}
		return "", err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = now
	n.pending = append(n.pending[:0], n.pending[n.reached(at.Cursor):]...)
	return info.ETag, nil
}

// unchanged sees whether the place has a revision.
func (n *session) unchanged(ctx context.Context, revision string) error {
	info, err := n.client.StatObject(ctx, n.src.cfg.Bucket, n.placeKey(), minio.StatObjectOptions{})
	if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchKey && minio.ToErrorResponse(err).StatusCode != http.StatusNotFound {
		return err
	}
	if err != nil {
		info.ETag = ""
	}
	if info.ETag != revision {
		return poll.ErrWritten
	}
	return nil
}
