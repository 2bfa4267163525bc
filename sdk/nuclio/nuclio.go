// Package nuclio lets Go functions written for Nuclio's SDK compile and run
// unchanged: its types have the names, methods and meaning that such functions
// rely on. The build lays it under the import path of that SDK. Functions
// written anew use package myelin.
package nuclio

import (
	"time"

	"github.com/myelin-run/myelin/sdk/nuclio/logger"
)

// TriggerInfoProvider says which trigger an event came from.
type TriggerInfoProvider interface {
	GetClass() string
	GetKind() string
	GetName() string
}

// Event is what happened. It and the slices it returns are valid until the
// handler returns.
type Event interface {
	GetID() ID
	SetID(ID)
	SetTriggerInfoProvider(TriggerInfoProvider)
	GetTriggerInfo() TriggerInfoProvider
	GetContentType() string
	GetBody() []byte
	GetBodyObject() interface{}
	GetHeader(key string) interface{}
	GetHeaderByteSlice(key string) []byte
	GetHeaderString(key string) string
	GetHeaderInt(key string) (int, error)
	GetHeaders() map[string]interface{}
	GetField(key string) interface{}
	GetFieldByteSlice(key string) []byte
	GetFieldString(key string) string
	GetFieldInt(key string) (int, error)
	GetFields() map[string]interface{}
	GetTimestamp() time.Time
	GetPath() string
	GetURL() string
	GetMethod() string
	GetShardID() int // -1 if the source has no shards
	GetTotalNumShards() int
	GetType() string
	GetTypeVersion() string
	GetVersion() string
	GetLastInBatch() bool
	GetOffset() int
	GetTopic() string
}

// ID names an event.
type ID string

// DataBinding is a connection that the platform holds.
type DataBinding interface{}

// Context is one worker's.
type Context struct {
	Logger              logger.Logger
	DataBinding         map[string]DataBinding
	Platform            *Platform
	WorkerID            int
	UserData            interface{}
	FunctionName        string
	FunctionVersion     int
	TriggerKind         string
	TriggerName         string
	WorkerAllocatorName string
}

// Response is what a function may return. Header values are strings or ints.
type Response struct {
	StatusCode  int
	ContentType string
	Headers     map[string]interface{}
	Body        []byte
}
