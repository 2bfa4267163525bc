package imap

import (
	"context"
	"time"

	"github.com/myelin-run/myelin/trigger/queue"
)

// pageSize is how many messages are asked for at once before they are fetched.
const pageSize = 100

// look gets the next message ready, if there is one.
func (p *pump) look(ctx context.Context) error {
	for p.ready == nil {
		if len(p.todo) == 0 {
			if found, err := p.find(ctx); err != nil || !found {
				return err
			}
		}
		uid := p.todo[0]
		p.todo = p.todo[1:]
		p.note(len(p.todo))
		if err := p.fetch(ctx, uid); err != nil {
			return err
		}
	}
	return nil
}

// find searches the mailbox, if it is time to.
func (p *pump) find(ctx context.Context) (bool, error) {
	p.news = p.conn.News() || p.news
	if time.Until(p.due()) > 0 {
		return false, nil
	}
	p.looked, p.news = time.Now(), false
	uids, err := p.conn.Search(ctx, p.src.criteria())
	if err != nil {
		return false, err
	}
	for n, until := range p.known {
		if !until.IsZero() && time.Now().After(until) {
			delete(p.known, n)
		}
	}
	for _, n := range uids {
		if _, known := p.known[n]; !known {
			p.todo = append(p.todo, n)
		}
	}
	clear(p.about)
	p.note(len(p.todo))
	return len(p.todo) > 0, nil
}

// leastPause is between two looks, however much news there is.
const leastPause = 50 * time.Millisecond

// due is when the mailbox is looked at next.
func (p *pump) due() time.Time {
	if p.news {
		return p.looked.Add(leastPause)
	}
	return p.looked.Add(p.src.cfg.Interval.Std())
}

// note keeps how many messages wait.
func (p *pump) note(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = n
}

// fetch gets one message ready, unless it is not there any more, is done with by
// somebody else, or is too large.
func (p *pump) fetch(ctx context.Context, uid uint32) error {
	about, asked := p.about[uid]
	if !asked {
		page := append([]uint32{uid}, p.todo[:min(len(p.todo), pageSize-1)]...)
		known, err := p.conn.About(ctx, page)
		if err != nil {
			return err
		}
		clear(p.about)
		for _, n := range page {
			p.about[n] = known[n]
		}
		about = p.about[uid]
	}
	delete(p.about, uid)
	if about.UID == 0 || about.Has(`\Deleted`) || p.src.cfg.After == Seen && about.Has(`\Seen`) {
		return nil
	}
	most := p.src.cfg.MaxMessageSize.Bytes()
	if about.Size > most {
		p.tooBig(uid)
		return nil
	}
	text, err := p.conn.Text(ctx, uid, most+1)
	switch {
	case err != nil:
		return err
	case int64(len(text)) > most: // what the server said of its size was not so
		p.tooBig(uid)
	case text != nil:
		p.known[uid] = time.Time{}
		p.ready = &letter{uid: uid, text: text, About: about}
	}
	return nil
}

// tooBig puts a message aside that is not to be fetched.
func (p *pump) tooBig(uid uint32) {
	p.known[uid] = time.Time{}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.src.cfg.FailedTo != "" {
		p.verdicts = append(p.verdicts, verdict{uid, queue.Reject})
		p.src.log.Warn("message is larger than maxMessageSize: it is moved", "uid", uid, "to", p.src.cfg.FailedTo)
		return
	}
	p.tooLarge++
	p.src.log.Warn("message is larger than maxMessageSize: it is left in the mailbox", "uid", uid)
}
