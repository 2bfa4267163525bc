package grpc

import (
	"errors"
	"net/url"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/myelin-run/myelin/event"
)

var errMessage = errors.New("message is no myelin.v1.Request")

// read makes the event of a myelin.v1.Request, whose fields it aliases.
func (c *call) read(b []byte) error {
	ev := &c.ev
	ev.URL = ev.URL[:0]
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errMessage
		}
		if b = b[size:]; n > requestBody || n < 1 {
			if size = protowire.ConsumeFieldValue(n, kind, b); size < 0 {
				return errMessage
			}
			b = b[size:]
			continue
		}
		v, size := protowire.ConsumeBytes(b)
		if kind != protowire.BytesType || size < 0 {
			return errMessage
		}
		b = b[size:]
		switch n {
		case requestPath:
			ev.URL = v
		case requestType:
			ev.ContentType = v
		case requestBody:
			ev.Body = v
		case requestHeaders:
			if err := c.headers.entry(v); err != nil {
				return err
			}
		}
	}
	c.locate()
	return nil
}

// entry reads one entry of the map of headers.
func (h *headers) entry(b []byte) error {
	var e header
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errMessage
		}
		b = b[size:]
		v, size := protowire.ConsumeBytes(b)
		if kind != protowire.BytesType || size < 0 {
			return errMessage
		}
		b = b[size:]
		switch n {
		case entryKey:
			e.key = v
		case entryValue:
			e.value = v
		}
	}
	if len(e.key) > 0 {
		h.own = append(h.own, e)
	}
	return nil
}

// locate makes the path, and the fields if there is a query. The path has memory
// of its own: a handler may write on one of them without changing the other.
func (c *call) locate() {
	ev := &c.ev
	c.path = c.path[:0]
	if len(ev.URL) == 0 || ev.URL[0] != '/' {
		c.path = append(c.path, '/')
	}
	for i, b := range ev.URL {
		if b == '?' {
			ev.Fields = fields(string(ev.URL[i+1:]))
			break
		}
		c.path = append(c.path, b)
	}
	if ev.Path = c.path; len(ev.URL) == 0 {
		c.url = append(c.url[:0], '/')
		ev.URL = c.url
	}
}

// fields reads a query. What is malformed in it is left out.
func fields(query string) event.Values {
	var out event.Pairs
	values, _ := url.ParseQuery(query)
	for k, vs := range values {
		for _, v := range vs {
			out = append(out, event.Pair{Key: k, Value: []byte(v)})
		}
	}
	return out
}

// appendHead appends a myelin.v1.Response up to the body, of n bytes, which is to
// follow.
func appendHead(b []byte, status int, resp *event.Response, n int) []byte {
	b = protowire.AppendVarint(protowire.AppendTag(b, responseStatus, protowire.VarintType), uint64(status)) //nolint:gosec // 200 to 599
	if resp.ContentType != "" {
		b = protowire.AppendString(protowire.AppendTag(b, responseType, protowire.BytesType), resp.ContentType)
	}
	for i := range resp.Header {
		f := &resp.Header[i]
		size := protowire.SizeTag(entryKey) + protowire.SizeBytes(len(f.Key)) + protowire.SizeTag(entryValue) + protowire.SizeBytes(len(f.Value))
		b = protowire.AppendVarint(protowire.AppendTag(b, responseHeaders, protowire.BytesType), uint64(size)) //nolint:gosec // a length
		b = protowire.AppendString(protowire.AppendTag(b, entryKey, protowire.BytesType), f.Key)
		b = protowire.AppendString(protowire.AppendTag(b, entryValue, protowire.BytesType), f.Value)
	}
	if n > 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, responseBody, protowire.BytesType), uint64(n)) //nolint:gosec // a length
	}
	return b
}
