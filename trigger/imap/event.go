package imap

import (
	"fmt"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/mail/message"
	"github.com/myelin-run/myelin/trigger/queue"
)

// malformedHeader says why a message comes as it is, whatever the format.
const malformedHeader = "mail-malformed"

// fill makes an event of a message. One that cannot be taken apart is for the
// function to judge.
func (s *source) fill(m *queue.Message, l *letter) {
	ev := &m.Event
	m.Tag, ev.Time, ev.Topic = uint64(l.uid), l.Date, s.cfg.Mailbox
	ev.ID = fmt.Appendf(nil, "%s;UIDVALIDITY=%d;UID=%d", s.cfg.Mailbox, s.valid(), l.uid)
	ev.Body, ev.ContentType = l.text, []byte("message/rfc822")
	mail, headers, err := message.Parse(l.text)
	if err == nil && s.cfg.Format == JSON {
		var body []byte
		if body, err = mail.JSON(); err == nil {
			ev.Body, ev.ContentType = body, []byte("application/json")
		}
	}
	if err == nil && s.cfg.Format == Text {
		ev.Body, ev.ContentType = []byte(mail.Text), []byte("text/plain; charset=utf-8")
	}
	if err != nil {
		headers = append(headers, event.Pair{Key: malformedHeader, Value: []byte(err.Error())})
	}
	ev.Headers = headers
}
