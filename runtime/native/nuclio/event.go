package nuclio

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/sdk/nuclio"
)

// lent shows an event through Nuclio's interface. It is used again for the
// worker's next event, as the event itself is.
type lent struct {
	ev   *event.Event
	id   nuclio.ID
	info nuclio.TriggerInfoProvider
}

var _ nuclio.Event = (*lent)(nil)

func (l *lent) set(ev *event.Event) { *l = lent{ev: ev} }

func (l *lent) GetID() nuclio.ID {
	if l.id == "" {
		l.id = nuclio.ID(l.ev.ID)
	}
	return l.id
}

func (l *lent) GetTriggerInfo() nuclio.TriggerInfoProvider {
	if l.info == nil {
		l.info = source{l.ev.Source}
	}
	return l.info
}

// GetBodyObject returns the body parsed, if its content type says JSON and it
// is; else the bytes.
func (l *lent) GetBodyObject() interface{} {
	if string(l.ev.ContentType) == "application/json" {
		var v interface{}
		if json.Unmarshal(l.ev.Body, &v) == nil {
			return v
		}
	}
	return l.ev.Body
}

func (l *lent) GetShardID() int {
	if l.ev.Shards == 0 {
		return -1
	}
	return int(l.ev.Token.Shard)
}

func (l *lent) GetHeader(key string) interface{} { return anything(l.ev.Header(key)) }
func (l *lent) GetField(key string) interface{}  { return anything(l.ev.Field(key)) }

func (l *lent) SetID(id nuclio.ID)                                  { l.id = id }
func (l *lent) SetTriggerInfoProvider(p nuclio.TriggerInfoProvider) { l.info = p }
func (l *lent) GetContentType() string                              { return string(l.ev.ContentType) }
func (l *lent) GetBody() []byte                                     { return l.ev.Body }
func (l *lent) GetHeaderByteSlice(key string) []byte                { return l.ev.Header(key) }
func (l *lent) GetHeaderString(key string) string                   { return string(l.ev.Header(key)) }
func (l *lent) GetHeaderInt(key string) (int, error)                { return number(l.ev.Header(key)) }
func (l *lent) GetHeaders() map[string]interface{}                  { return gather(l.ev.Headers) }
func (l *lent) GetFieldByteSlice(key string) []byte                 { return l.ev.Field(key) }
func (l *lent) GetFieldString(key string) string                    { return string(l.ev.Field(key)) }
func (l *lent) GetFieldInt(key string) (int, error)                 { return number(l.ev.Field(key)) }
func (l *lent) GetFields() map[string]interface{}                   { return gather(l.ev.Fields) }
func (l *lent) GetTimestamp() time.Time                             { return l.ev.Time }
func (l *lent) GetPath() string                                     { return string(l.ev.Path) }
func (l *lent) GetURL() string                                      { return string(l.ev.URL) }
func (l *lent) GetMethod() string                                   { return string(l.ev.Method) }
func (l *lent) GetTotalNumShards() int                              { return int(l.ev.Shards) }
func (l *lent) GetType() string                                     { return l.either("ce-type", "ce-eventtype") }
func (l *lent) GetTypeVersion() string                              { return string(l.ev.Header("ce-eventtypeversion")) }
func (l *lent) GetVersion() string                                  { return l.either("ce-specversion", "ce-cloudeventsversion") }
func (l *lent) GetLastInBatch() bool                                { return false }
func (l *lent) GetOffset() int                                      { return int(l.ev.Token.Offset) }
func (l *lent) GetTopic() string                                    { return l.ev.Topic }

// either is the header of CloudEvents 1.0, or that of 0.1.
func (l *lent) either(now, old string) string {
	if v := l.ev.Header(now); v != nil {
		return string(v)
	}
	return string(l.ev.Header(old))
}

// anything keeps nil apart from an empty value.
func anything(b []byte) interface{} {
	if b == nil {
		return nil
	}
	return b
}

func number(b []byte) (int, error) {
	if b == nil {
		return 0, nuclio.ErrUnsupported
	}
	return strconv.Atoi(string(b))
}

func gather(vs event.Values) map[string]interface{} {
	m := map[string]interface{}{}
	if vs != nil {
		for k, v := range vs.All() {
			m[string(k)] = v
		}
	}
	return m
}

type source struct{ *event.Source }

func (s source) GetClass() string { return s.Class }
func (s source) GetKind() string  { return s.Kind }
func (s source) GetName() string  { return s.Name }
