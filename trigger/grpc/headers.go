package grpc

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"
)

// headers reads those of a request of myelin.v1.Function where they lie, and
// behind them the call's metadata.
type headers struct {
	own  []header
	ctx  context.Context           // the call's, which has its metadata: most handlers never look at it, and a copy of all costs
	each iter.Seq2[[]byte, []byte] // made once: a new closure would be an allocation
	room []byte                    // that metadata is lent in
	keys []string
}

type header struct{ key, value []byte }

// Get implements [event.Values].
func (h *headers) Get(key string) []byte {
	for i := range h.own {
		if len(h.own[i].key) == len(key) && bytes.EqualFold(h.own[i].key, []byte(key)) {
			return h.own[i].value
		}
	}
	if strings.EqualFold(key, "host") {
		key = ":authority"
	}
	if v := h.sent(key); len(v) > 0 {
		return []byte(v[0])
	}
	return nil
}

// sent are the values of a key of the metadata.
func (h *headers) sent(key string) []string {
	if h.ctx == nil {
		return nil
	}
	return metadata.ValueFromIncomingContext(h.ctx, key)
}

// All implements [event.Values].
func (h *headers) All() iter.Seq2[[]byte, []byte] { return h.each }

func (h *headers) yield(yield func(k, v []byte) bool) {
	for i := range h.own {
		if !yield(h.own[i].key, h.own[i].value) {
			return
		}
	}
	if h.ctx == nil {
		return
	}
	md, _ := metadata.FromIncomingContext(h.ctx)
	h.keys = h.keys[:0]
	for k := range md {
		h.keys = append(h.keys, k)
	}
	slices.Sort(h.keys)
	for _, k := range h.keys {
		vs := md[k]
		switch {
		case k == ":authority":
			k = "host"
		case k == "" || k[0] == ':' || k == "content-type" || strings.HasPrefix(k, "grpc-"):
			continue
		}
		for _, v := range vs {
			h.room = append(append(h.room[:0], k...), v...)
			if !yield(h.room[:len(k):len(k)], h.room[len(k):]) {
				return
			}
		}
	}
}

func (h *headers) clear() {
	clear(h.own)
	h.own, h.ctx = h.own[:0], nil
}

// reserved says that a name is the protocol's own, and no function's to set.
func reserved(key string) bool {
	if strings.HasPrefix(key, "grpc-") {
		return true
	}
	switch key {
	case "content-type", "content-length", "te", "trailer", "trailers", "transfer-encoding", "connection", "keep-alive", "upgrade", "host", "user-agent":
		return true
	}
	return false
}

// sendable returns a function's header as metadata has it. What no metadata can
// have is left out.
func sendable(key, value string) (string, string, bool) {
	key = strings.ToLower(key)
	for i := range len(key) {
		b := key[i]
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' && b != '_' && b != '.' {
			return "", "", false
		}
	}
	if key == "" || reserved(key) {
		return "", "", false
	}
	if strings.HasSuffix(key, "-bin") {
		return key, value, true
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return "", "", false
		}
	}
	return key, value, true
}
