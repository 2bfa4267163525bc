package replication

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// place is how far a slot was read.
type place struct {
	next  int64 // number of the next change
	lsn   lsn   // all transactions that end before it are done
	final lsn   // where the commit of the next one is, of which a part is done; 0: none is
	part  int64 // how many of its changes are done
}

// String writes all but the number, as it is kept.
func (p place) String() string {
	if p.final == 0 {
		return p.lsn.String()
	}
	return fmt.Sprintf("%v %v %d", p.lsn, p.final, p.part)
}

// parsePlace reads what String wrote.
func parsePlace(next int64, text string) (p place, err error) {
	fields := strings.Fields(text)
	if len(fields) != 1 && len(fields) != 3 || next < 0 {
		return p, fmt.Errorf("%.60q is no place in a log", text)
	}
	p.next = next
	if p.lsn, err = parseLSN(fields[0]); err != nil || len(fields) == 1 {
		return p, err
	}
	if p.final, err = parseLSN(fields[1]); err != nil {
		return p, err
	}
	p.part, err = strconv.ParseInt(fields[2], 10, 64)
	if err != nil || p.part < 0 || p.part > next || p.final == 0 {
		return p, fmt.Errorf("%.60q is no place in a log", text)
	}
	return p, nil
}

// progress numbers changes, and says which place in the log a number stands for.
// One goroutine reads transactions, another keeps places.
type progress struct {
	mu    sync.Mutex
	from  place // where reading began
	next  int64 // number of the next change
	first int64 // number of the first change of this transaction
	final lsn   // of this transaction
	in    bool  // within a transaction
	txs   []tx  // that have changes and are not done and kept
	kept  lsn   // all before it is done and kept
	seen  lsn   // up to which there was nothing more; what the server may be told if txs is empty
}

// tx is a transaction.
type tx struct {
	first int64
	final lsn
	end   lsn // 0 while it is still being read
}

func newProgress(from place) *progress {
	return &progress{from: from, next: from.next, kept: from.lsn}
}

// begin begins a transaction.
func (p *progress) begin(final lsn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in, p.final, p.first = true, final, p.next
	if p.from.final != 0 && p.from.final == final { // a part of it is done
		p.first = p.from.next - p.from.part
		p.next = p.first
	}
}

// row numbers a change, and says whether it is still to be done.
func (p *progress) row() (offset int64, wanted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == p.first {
		p.txs = append(p.txs, tx{first: p.first, final: p.final})
	}
	offset = p.next
	p.next++
	return offset, offset >= p.from.next
}

// index is the number of a change within its transaction. It is for the goroutine
// that reads transactions.
func (p *progress) index(offset int64) int64 { return offset - p.first }

// end ends a transaction.
func (p *progress) end(at lsn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in = false
	p.reach(at)
	p.next = max(p.next, p.from.next)
}

// idle notes that the server has nothing more up to a place.
func (p *progress) idle(at lsn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.in {
		p.reach(at)
	}
}

func (p *progress) reach(at lsn) {
	p.seen = max(p.seen, at)
	if n := len(p.txs); n > 0 {
		p.txs[n-1].end = max(p.txs[n-1].end, at)
	}
}

// through is the number behind all that was read.
func (p *progress) through() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.next, p.from.next)
}

// place is what a number stands for: all changes before it are done.
func (p *progress) place(next int64) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, _ := p.locate(next)
	return at
}

// locate also says how many of the transactions are before it.
func (p *progress) locate(next int64) (at place, done int) {
	at = place{next: next, lsn: p.kept}
	for i, t := range p.txs {
		behind := p.next
		if i+1 < len(p.txs) {
			behind = p.txs[i+1].first
		}
		if t.end == 0 || behind > next {
			if next > t.first {
				at.final, at.part = t.final, next-t.first
			}
			break
		}
		at.lsn, done = max(at.lsn, t.end), i+1
	}
	return at, done
}

// keep forgets the transactions before a number, whose place is kept.
func (p *progress) keep(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, done := p.locate(next)
	p.kept = at.lsn
	p.txs = append(p.txs[:0], p.txs[done:]...)
}

// confirmed is what the server may forget the log up to.
func (p *progress) confirmed() lsn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.txs) == 0 && !p.in {
		p.kept = max(p.kept, p.seen)
	}
	return p.kept
}
