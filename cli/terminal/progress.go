package terminal

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Progress shows the steps of something that takes a while. On a terminal the
// running step is one line that moves; elsewhere each step is a plain line when
// it is done. Its methods may be called from any goroutine; Close waits for
// what it started.
type Progress struct {
	t      *Terminal
	moving bool
	begun  time.Time

	mu    sync.Mutex
	text  string    // of the running step, "" if none
	since time.Time // when it began
	stop  chan struct{}
	done  chan struct{}
}

const frame = 100 * time.Millisecond

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// Progress starts to show progress on Err.
func (t *Terminal) Progress() *Progress {
	p := &Progress{t: t, moving: t.ErrTTY && !t.Plain, begun: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	if !p.moving {
		close(p.done)
		return p
	}
	go p.spin()
	return p
}

// Step names what is being done now. A step with the same text goes on.
func (p *Progress) Step(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text == p.text {
		return
	}
	p.text, p.since = text, time.Now()
}

// Done ends the running step and writes a line about it with its time.
func (p *Progress) Done(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := p.since
	if since.IsZero() {
		since = p.begun
	}
	p.clear()
	p.text, p.since = "", time.Now()
	fmt.Fprintf(p.t.Err, "%s %s\n", fmt.Sprintf(format, args...), p.t.OnErr(Dim, "("+elapsed(time.Since(since))+")"))
}

// Note writes a line without ending the running step.
func (p *Progress) Note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.t.Err, format+"\n", args...)
}

// Elapsed is the time since the progress began.
func (p *Progress) Elapsed() time.Duration { return time.Since(p.begun) }

// Close ends the running step without a line. It may be called again.
func (p *Progress) Close() {
	p.mu.Lock()
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.text = ""
	p.mu.Unlock()
	<-p.done
}

func (p *Progress) spin() {
	defer close(p.done)
	tick := time.NewTicker(frame)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-p.stop:
			p.mu.Lock()
			p.clear()
			p.mu.Unlock()
			return
		case <-tick.C:
			p.draw(spinner[i%len(spinner)])
		}
	}
}

func (p *Progress) draw(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text == "" {
		return
	}
	fmt.Fprintf(p.t.Err, "\r\x1b[K%s %s %s", p.t.OnErr(Blue, mark), p.t.fit(p.text), p.t.OnErr(Dim, elapsed(time.Since(p.since))))
}

// fit cuts text so that a moving line stays one line, with room for the time.
func (t *Terminal) fit(text string) string {
	const room = 12
	text, _, _ = strings.Cut(text, "\n")
	runes := []rune(text)
	if t.Width == nil || t.Width() <= room || len(runes) <= t.Width()-room {
		return text
	}
	return string(runes[:t.Width()-room-1]) + "…"
}

// clear removes the moving line.
func (p *Progress) clear() {
	if p.moving {
		fmt.Fprint(p.t.Err, "\r\x1b[K")
	}
}

// elapsed is a time as a person wants it: 0.31s, 12.4s, 2m05s.
func elapsed(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
