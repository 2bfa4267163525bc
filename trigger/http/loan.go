package http

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
)

// borrowFrom is the length of a body from which on it is read from the socket
// straight into the memory of a worker.
const borrowFrom = 32 << 10

// loans are the requests whose bodies are in, or on their way into, the memory
// of a worker. fasthttp reads a body of known length into the request's own
// buffer if it is large enough, so that buffer is exchanged for the lent memory
// before the body is read, and put back before anybody else can get it: when
// the request is served, or when it is found broken. All limits and timeouts
// are thus those of any request.
type loans struct {
	count atomic.Int64
	mu    sync.Mutex
	byReq map[*fasthttp.Request]*taken
	free  []*taken
}

// taken is a loan, and the buffer that the request had before.
type taken struct {
	event.Loan
	old []byte
}

// requestOf returns the request whose header h is. What fasthttp hands to
// HeaderReceived is a field of the request; TestBorrowedBody fails if it is not.
func requestOf(h *fasthttp.RequestHeader) *fasthttp.Request {
	return (*fasthttp.Request)(unsafe.Add(unsafe.Pointer(h), -int(unsafe.Offsetof(fasthttp.Request{}.Header))))
}

// headerReceived is called before the body of a request is read. A request
// that asks whether it may continue is left alone: it can end without a word
// between here and there.
func (s *server) headerReceived(h *fasthttp.RequestHeader) (none fasthttp.RequestConfig) {
	n := h.ContentLength()
	if n < borrowFrom || n > int(s.cfg.MaxRequestBodySize) || len(h.Peek(fasthttp.HeaderExpect)) > 0 {
		return none
	}
	l := s.lender.Lend(n)
	if l == nil {
		return none
	}
	req := requestOf(h)
	b := &s.loans
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &taken{}
	if k := len(b.free); k > 0 {
		t, b.free = b.free[k-1], b.free[:k-1]
	}
	t.Loan, t.old = l, req.SwapBody(l.Bytes()[:0])
	if b.byReq == nil {
		b.byReq = map[*fasthttp.Request]*taken{}
	}
	b.byReq[req] = t
	b.count.Add(1)
	return none
}

// loanOf returns what was borrowed for req, nil if nothing was.
func (s *server) loanOf(req *fasthttp.Request) *taken {
	b := &s.loans
	if b.count.Load() == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byReq[req]
}

// giveBack gives req its own buffer again, and the memory to its owner.
func (s *server) giveBack(t *taken, req *fasthttp.Request) {
	req.SwapBody(t.old)
	t.Release()
	b := &s.loans
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byReq, req)
	b.count.Add(-1)
	t.Loan, t.old = nil, nil
	b.free = append(b.free, t)
}

// lostBody is what refuses a request that could not be read.
func (s *server) lostBody(ctx *fasthttp.RequestCtx, err error) {
	if l := s.loanOf(&ctx.Request); l != nil {
		s.giveBack(l, &ctx.Request)
	}
	refuseBroken(ctx, err)
}
