package http

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/http/live"
)

// The headers of a response by which a function says who shall hear it.
const (
	liveSubscribe   = "X-Myelin-Subscribe"   // the client to these channels
	liveUnsubscribe = "X-Myelin-Unsubscribe" // and no more to these
	livePublish     = "X-Myelin-Publish"     // the body to these channels
	liveSend        = "X-Myelin-Send"        // the body to these connections
	liveClose       = "X-Myelin-Close"       // the client's connection
	liveName        = "X-Myelin-Event"       // the name of the event that is sent
	liveID          = "X-Myelin-Event-Id"    // and its id
	liveTold        = "X-Myelin-Delivered"   // to the caller: how many clients that was
)

// wishes are those headers of a response.
type wishes struct {
	subscribe, unsubscribe, publish, send []string
	close                                 bool
	name, id                              string
}

// wishesOf takes them out of a response.
func wishesOf(resp *event.Response) (w wishes) {
	kept := resp.Header[:0]
	for _, f := range resp.Header {
		switch {
		case len(f.Key) < len(liveSend) || !strings.EqualFold(f.Key[:len("X-Myelin-")], "X-Myelin-"):
			kept = append(kept, f)
		case strings.EqualFold(f.Key, liveSubscribe):
			w.subscribe = list(w.subscribe, f.Value)
		case strings.EqualFold(f.Key, liveUnsubscribe):
			w.unsubscribe = list(w.unsubscribe, f.Value)
		case strings.EqualFold(f.Key, livePublish):
			w.publish = list(w.publish, f.Value)
		case strings.EqualFold(f.Key, liveSend):
			w.send = list(w.send, f.Value)
		case strings.EqualFold(f.Key, liveClose):
			w.close = true
		case strings.EqualFold(f.Key, liveName):
			w.name = f.Value
		case strings.EqualFold(f.Key, liveID):
			w.id = f.Value
		default:
			kept = append(kept, f)
		}
	}
	resp.Header = kept
	return w
}

func list(to []string, value string) []string {
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			to = append(to, name)
		}
	}
	return to
}

// told says that the body is for others.
func (w *wishes) told() bool { return len(w.publish) > 0 || len(w.send) > 0 }

// tell has others hear the body, and says how many.
func (s *server) tell(w *wishes, resp *event.Response) (n int) {
	if !w.told() {
		return 0
	}
	m := messageOf(w, resp, isBinary(resp))
	for _, id := range w.send {
		n += s.hub.Send(id, m)
	}
	for _, channel := range w.publish {
		n += s.hub.Publish(channel, m)
	}
	return n
}

// messageOf copies the body: it is sent when its response is long gone.
func messageOf(w *wishes, resp *event.Response, binary bool) *live.Message {
	body := resp.Body
	if resp.Owner != nil {
		body = resp.View
	}
	return &live.Message{Body: bytes.Clone(body), Binary: binary, Name: w.name, ID: w.id}
}

// isBinary says that a function's body is no text.
func isBinary(resp *event.Response) bool {
	kind, _, _ := strings.Cut(resp.ContentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind != "" && !strings.HasPrefix(kind, "text/") && !strings.HasSuffix(kind, "json") && !strings.HasSuffix(kind, "xml")
}

// steer does what the response to a request asks for beyond answering it, and
// makes a stream of events of it if the client subscribes.
func (s *server) steer(ctx *fasthttp.RequestCtx, resp *event.Response) {
	w := wishesOf(resp)
	if w.told() {
		if resp.Stream != nil {
			s.log.Warn("a streamed body was not published: only whole ones are")
		} else {
			resp.SetHeader(liveTold, strconv.Itoa(s.tell(&w, resp)))
		}
	}
	if s.cfg.Events && len(w.subscribe) > 0 && (resp.Status == 0 || resp.Status == fasthttp.StatusOK) && resp.Stream == nil {
		s.subscribe(ctx, resp, &w)
	}
}
