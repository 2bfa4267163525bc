package nuclio

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ErrUnsupported is returned by accessors that an event's source cannot serve.
var ErrUnsupported = errors.New("event does not support this accessor")

// AbstractEvent answers every accessor of an [Event] with the zero answer.
// Events of tests embed it.
type AbstractEvent struct {
	id   ID
	info TriggerInfoProvider
}

var _ Event = (*AbstractEvent)(nil)

func (ae *AbstractEvent) GetID() ID                                    { return ae.id }
func (ae *AbstractEvent) SetID(id ID)                                  { ae.id = id }
func (ae *AbstractEvent) SetTriggerInfoProvider(p TriggerInfoProvider) { ae.info = p }
func (ae *AbstractEvent) GetTriggerInfo() TriggerInfoProvider          { return ae.info }
func (ae *AbstractEvent) GetContentType() string                       { return "" }
func (ae *AbstractEvent) GetBody() []byte                              { return nil }
func (ae *AbstractEvent) GetBodyObject() interface{}                   { return nil }
func (ae *AbstractEvent) GetHeader(string) interface{}                 { return nil }
func (ae *AbstractEvent) GetHeaderByteSlice(string) []byte             { return nil }
func (ae *AbstractEvent) GetHeaderString(string) string                { return "" }
func (ae *AbstractEvent) GetHeaderInt(string) (int, error)             { return 0, ErrUnsupported }
func (ae *AbstractEvent) GetHeaders() map[string]interface{}           { return nil }
func (ae *AbstractEvent) GetField(string) interface{}                  { return nil }
func (ae *AbstractEvent) GetFieldByteSlice(string) []byte              { return nil }
func (ae *AbstractEvent) GetFieldString(string) string                 { return "" }
func (ae *AbstractEvent) GetFieldInt(string) (int, error)              { return 0, ErrUnsupported }
func (ae *AbstractEvent) GetFields() map[string]interface{}            { return nil }
func (ae *AbstractEvent) GetTimestamp() time.Time                      { return time.Now() }
func (ae *AbstractEvent) GetPath() string                              { return "" }
func (ae *AbstractEvent) GetURL() string                               { return "" }
func (ae *AbstractEvent) GetMethod() string                            { return "" }
func (ae *AbstractEvent) GetShardID() int                              { return -1 }
func (ae *AbstractEvent) GetTotalNumShards() int                       { return 0 }
func (ae *AbstractEvent) GetType() string                              { return "" }
func (ae *AbstractEvent) GetTypeVersion() string                       { return "" }
func (ae *AbstractEvent) GetVersion() string                           { return "" }
func (ae *AbstractEvent) GetLastInBatch() bool                         { return false }
func (ae *AbstractEvent) GetOffset() int                               { return 0 }
func (ae *AbstractEvent) GetTopic() string                             { return "" }

// MemoryEvent is an event made by hand, for tests of a function.
type MemoryEvent struct {
	AbstractEvent
	Method      string
	ContentType string
	Body        []byte
	Headers     map[string]interface{}
	Path        string
}

// GetMethod returns Method, or GET without and POST with a body.
func (me *MemoryEvent) GetMethod() string {
	switch {
	case me.Method != "":
		return me.Method
	case len(me.Body) == 0:
		return "GET"
	}
	return "POST"
}

func (me *MemoryEvent) GetContentType() string             { return me.ContentType }
func (me *MemoryEvent) GetBody() []byte                    { return me.Body }
func (me *MemoryEvent) GetPath() string                    { return me.Path }
func (me *MemoryEvent) GetHeaders() map[string]interface{} { return me.Headers }
func (me *MemoryEvent) GetHeader(key string) interface{}   { return me.Headers[key] }

// GetHeaderByteSlice returns a header as bytes, nil if there is none.
func (me *MemoryEvent) GetHeaderByteSlice(key string) []byte {
	switch v := me.Headers[key].(type) {
	case nil:
		return nil
	case []byte:
		return v
	case string:
		return []byte(v)
	default:
		return fmt.Append(nil, v)
	}
}

func (me *MemoryEvent) GetHeaderString(key string) string { return string(me.GetHeaderByteSlice(key)) }

// GetHeaderInt returns a header as a number.
func (me *MemoryEvent) GetHeaderInt(key string) (int, error) {
	return strconv.Atoi(me.GetHeaderString(key))
}
