package nuclio

import (
	"io"
	"sync"
)

// ProcessingResult is what a function may return besides plain values:
// a [Response] or a [ResponseStream].
type ProcessingResult interface {
	GetBody() interface{}
	GetContentType() string
	GetHeaders() map[string]interface{}
	GetStatusCode() int
	SetStatusCode(int)
	IsStream() bool
}

var (
	_ ProcessingResult = (*Response)(nil)
	_ ProcessingResult = (*ResponseStream)(nil)
)

func (r *Response) GetBody() interface{}               { return r.Body }
func (r *Response) GetContentType() string             { return r.ContentType }
func (r *Response) GetHeaders() map[string]interface{} { return r.Headers }
func (r *Response) GetStatusCode() int                 { return r.StatusCode }
func (r *Response) SetStatusCode(code int)             { r.StatusCode = code }
func (r *Response) IsStream() bool                     { return false }

// ResponseStream is an answer that is written while it is sent.
type ResponseStream struct {
	contentType string
	headers     map[string]interface{}
	status      int
	reader      *io.PipeReader
	writer      *io.PipeWriter
	once        sync.Once
}

// NewResponseStream makes a stream. Write to it from a goroutine of the
// function's own and end it with StopStreaming.
func NewResponseStream(contentType string, headers map[string]interface{}, statusCode int) *ResponseStream {
	r, w := io.Pipe()
	return &ResponseStream{contentType: contentType, headers: headers, status: statusCode, reader: r, writer: w}
}

// SendChunk sends bytes; it waits until the client takes them.
func (s *ResponseStream) SendChunk(chunk []byte) (int, error) { return s.writer.Write(chunk) }

// StreamFrom sends all that reader gives.
func (s *ResponseStream) StreamFrom(reader io.Reader) (int64, error) {
	return io.Copy(s.writer, reader)
}

// StopStreaming ends the answer.
func (s *ResponseStream) StopStreaming() { s.once.Do(func() { _ = s.writer.Close() }) }

func (s *ResponseStream) GetBody() interface{}               { return s.reader }
func (s *ResponseStream) GetContentType() string             { return s.contentType }
func (s *ResponseStream) GetHeaders() map[string]interface{} { return s.headers }
func (s *ResponseStream) GetStatusCode() int                 { return s.status }
func (s *ResponseStream) SetStatusCode(code int)             { s.status = code }
func (s *ResponseStream) IsStream() bool                     { return true }
