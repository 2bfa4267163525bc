package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/poll"
)

// source opens sessions at one bucket.
type source struct {
	cfg      Config
	at       address
	settings trigger.Settings
}

var _ poll.Source = (*source)(nil)

// Check implements [poll.Source].
func (s *source) Check(at trigger.Start) error { return poll.NoOffset(at) }

// Connect implements [poll.Source].
func (s *source) Connect(ctx context.Context) (poll.Session, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second}
	if s.cfg.TLS != nil {
		var err error
		if transport.TLSClientConfig, err = s.cfg.TLS.Config(); err != nil {
			return nil, err
		}
	}
	lookup := minio.BucketLookupPath
	if s.cfg.Addressing == "host" {
		lookup = minio.BucketLookupDNS
	}
	client, err := minio.New(s.at.host, &minio.Options{Creds: s.at.credentials, Secure: !s.at.plain, Transport: transport, Region: s.cfg.Region, BucketLookup: lookup, MaxRetries: 1})
	if err != nil {
		return nil, fmt.Errorf("reach service: %w", err)
	}
	n := &session{src: s, client: client, transport: transport}
	if _, _, err := n.list(ctx, ""); err != nil {
		return nil, errors.Join(err, n.Close(ctx))
	}
	return n, nil
}

// session lists a bucket.
type session struct {
	src       *source
	client    *minio.Client
	transport *http.Transport

	// Of the goroutine that polls:
	at   string             // the cursor that was returned last
	pos  position           // how far was listed since
	rest []minio.ObjectInfo // listed, and not looked at
	more bool               // there are others behind rest

	mu      sync.Mutex
	seen    seen      // as it is kept
	pending []fetched // what was returned and is not
}

// fetched is an object that was returned as an item.
type fetched struct {
	cursor  string
	print   print
	written int64
}

var (
	_ poll.Session    = (*session)(nil)
	_ poll.Complainer = (*session)(nil)
)

// Begin implements [poll.Session]. What is read from there comes again, though it
// is remembered.
func (n *session) Begin(_ context.Context, at trigger.Start) (string, error) {
	n.mu.Lock()
	n.seen, n.pending = seen{}, nil
	n.mu.Unlock()
	switch at.Where {
	case trigger.Latest:
		return position{Since: time.Now().UnixMilli()}.cursor(), nil
	case trigger.AtTime:
		return position{Since: at.Time.UnixMilli()}.cursor(), nil
	}
	return "", nil
}

const (
	pageSize = 1000 // the most that the protocol lists at once
	stint    = time.Second
)

// list lists a page of keys behind one.
func (n *session) list(ctx context.Context, after string) (page []minio.ObjectInfo, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.src.cfg.Timeout.Std())
	defer cancel()
	o := minio.ListObjectsOptions{Prefix: n.src.cfg.Prefix, Recursive: true, MaxKeys: pageSize, StartAfter: after}
	for i := range n.client.ListObjectsIter(ctx, n.src.cfg.Bucket, o) {
		if i.Err != nil {
			return nil, false, fmt.Errorf("list bucket %s: %w", n.src.cfg.Bucket, i.Err)
		}
		if i.Key <= after { // of a service that does not know where to begin
			continue
		}
		if page = append(page, i); len(page) == pageSize {
			return page, true, nil
		}
	}
	return page, false, nil
}

// Poll implements [poll.Session]. Pages without anything new are gone through for
// a moment before it returns.
func (n *session) Poll(ctx context.Context, after string, limit int) (page poll.Page, err error) {
	if err := n.rewind(after); err != nil {
		return page, err
	}
	for begun := time.Now(); time.Since(begun) < stint; {
		if len(n.rest) == 0 {
			if n.rest, n.more, err = n.list(ctx, n.pos.After); err != nil {
				return page, err
			}
		}
		for len(n.rest) > 0 && len(page.Items) < limit {
			if err := n.look(ctx, n.rest[0], &page); err != nil {
				return page, err
			}
			n.rest = n.rest[1:]
		}
		if len(n.rest) == 0 && !n.more { // the end of a pass
			n.mu.Lock()
			n.pos = n.pos.next(n.src.cfg.Overlap.Std().Milliseconds(), n.seen.floor)
			n.mu.Unlock()
			return page, nil
		}
		if len(page.Items) > 0 {
			break
		}
	}
	page.More = true
	return page, nil
}

// rewind goes on where the last page ended, or begins anew at a cursor: what was
// returned behind it was not taken.
func (n *session) rewind(after string) (err error) {
	if after == n.at && n.pos != (position{}) {
		return nil
	}
	if n.pos, err = parsePosition(after); err != nil {
		return err
	}
	n.at, n.rest = after, nil
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending = n.pending[:n.reached(after)]
	return nil
}

// reached is how many of pending are up to a cursor.
func (n *session) reached(cursor string) int {
	for i, f := range n.pending {
		if f.cursor == cursor {
			return i + 1
		}
	}
	return 0
}

// look makes an item of an object if it is new.
func (n *session) look(ctx context.Context, o minio.ObjectInfo, page *poll.Page) error {
	at := o.LastModified.UnixMilli()
	pos := n.pos
	pos.After, pos.Max = o.Key, max(pos.Max, at)
	if at >= pos.Since && n.wanted(o.Key) && !n.known(printOf(o)) {
		ev, err := n.event(ctx, o)
		if err != nil {
			return err
		}
		if ev != nil {
			it := poll.Item{Cursor: pos.cursor(), Event: *ev}
			page.Items = append(page.Items, it)
			n.mu.Lock()
			n.pending = append(n.pending, fetched{it.Cursor, printOf(o), at})
			n.mu.Unlock()
			n.at = it.Cursor
		}
	}
	n.pos = pos
	return nil
}

func (n *session) wanted(key string) bool {
	c := &n.src.cfg
	return strings.HasSuffix(key, c.Suffix) && !strings.HasSuffix(key, "/") && !strings.HasPrefix(key, c.Places)
}

func (n *session) known(p print) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen.has(p) {
		return true
	}
	for _, f := range n.pending {
		if f.print == p {
			return true
		}
	}
	return false
}

// said is the body of an event without its object.
type said struct {
	Bucket   string    `json:"bucket"`
	Key      string    `json:"key"`
	Size     int64     `json:"size"`
	ETag     string    `json:"etag"`
	Modified time.Time `json:"modified"`
}

// event makes an event of an object; nil if the object is gone.
func (n *session) event(ctx context.Context, o minio.ObjectInfo) (ev *event.Event, err error) {
	c := &n.src.cfg
	ev = &event.Event{ID: []byte(o.Key + "@" + o.ETag), Key: []byte(o.Key), Time: o.LastModified, Headers: event.Pairs{
		{Key: "object-bucket", Value: []byte(c.Bucket)}, {Key: "object-key", Value: []byte(o.Key)}, {Key: "object-etag", Value: []byte(o.ETag)},
		{Key: "object-size", Value: strconv.AppendInt(nil, o.Size, 10)},
	}}
	if c.Fetch && o.Size <= c.MaxSize.Bytes() {
		there, read, err := n.fetch(ctx, o, ev)
		if err != nil || !there {
			return nil, err
		}
		if read {
			return ev, nil
		}
	}
	ev.ContentType = []byte("application/json")
	ev.Body, err = json.Marshal(said{c.Bucket, o.Key, o.Size, o.ETag, o.LastModified.UTC()})
	return ev, err
}

// fetch reads an object, if it is there, and has not become too large since it was
// listed. One that was written anew is read as it is now; the next pass lists it
// again.
func (n *session) fetch(ctx context.Context, o minio.ObjectInfo, ev *event.Event) (there, read bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.src.cfg.Timeout.Std())
	defer cancel()
	body, info, _, err := minio.Core{Client: n.client}.GetObject(ctx, n.src.cfg.Bucket, o.Key, minio.GetObjectOptions{})
	if err != nil && minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
		n.src.settings.Log.Warn("object vanished before it was read", "key", o.Key)
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("read object %q: %w", o.Key, err)
	}
	defer body.Close()
	if info.Size > n.src.cfg.MaxSize.Bytes() {
		return true, false, nil
	}
	ev.Body = make([]byte, info.Size)
	if _, err := io.ReadFull(body, ev.Body); err != nil {
		return false, false, fmt.Errorf("read object %q: %w", o.Key, err)
	}
	ev.ContentType = []byte(info.ContentType)
	return true, true, nil
}

// Complaint implements [poll.Complainer].
func (n *session) Complaint() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen.floor == 0 {
		return ""
	}
	return fmt.Sprintf("more than %d objects were written within the overlap: one that is listed late and was written before %s is not found",
		n.src.cfg.Remember, time.UnixMilli(n.seen.floor).UTC().Format(time.RFC3339))
}

// Close implements [poll.Session].
func (n *session) Close(context.Context) error {
	n.transport.CloseIdleConnections()
	return nil
}
