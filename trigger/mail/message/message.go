// Package message makes events of mail messages (RFC 5322 with MIME): text,
// attachments and headers, decoded, as one JSON object. It knows no protocol that
// brings them.
package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // of parts, other than UTF-8
	"github.com/emersion/go-message/mail"

	"github.com/myelin-run/myelin/event"
)

// Mail is a message as functions get it.
type Mail struct {
	MessageID   string       `json:"messageId,omitempty"` // without its angle brackets
	Date        time.Time    `json:"date,omitzero"`
	From        []Address    `json:"from,omitempty"`
	To          []Address    `json:"to,omitempty"`
	CC          []Address    `json:"cc,omitempty"`
	ReplyTo     []Address    `json:"replyTo,omitempty"`
	Subject     string       `json:"subject,omitempty"`
	Text        string       `json:"text,omitempty"` // parts of text/plain, joined
	HTML        string       `json:"html,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
	// Envelope is what the protocol said besides the message, if it says it.
	Envelope *Envelope `json:"envelope,omitempty"`
}

// Address is of somebody; one that is malformed has all that was written as its name.
type Address struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
}

// Envelope is from whom and to whom the message was sent, whatever its headers say.
type Envelope struct {
	From string   `json:"from"`
	To   []string `json:"to"`
}

// Attachment is a part that is not the text of the message.
type Attachment struct {
	Name        string `json:"name,omitempty"` // without a path
	ContentType string `json:"contentType"`
	ContentID   string `json:"contentId,omitempty"`
	Data        []byte `json:"data"` // base64 in JSON
}

// What a message that is meant to be read keeps to: its parts, those in parts
// included, and how deep they are in each other.
const (
	maxParts = 1000
	maxDepth = 50
)

// ErrParts says that a message has more parts than any that is meant to be read.
var ErrParts = errors.New("the message has more than 1000 parts, or more than 50 in each other")

// Parse reads a message. Header and text in a charset or encoding that is not
// known are taken as they are; what is no message at all is an error.
func Parse(raw []byte) (*Mail, event.Pairs, error) {
	root, err := message.Read(bytes.NewReader(raw))
	if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return nil, nil, fmt.Errorf("read message: %w", err)
	}
	m, h, n := &Mail{}, &mail.Header{Header: root.Header}, 0
	m.head(h)
	err = root.Walk(func(path []int, part *message.Entity, _ error) error {
		if n++; n > maxParts || len(path) > maxDepth {
			return ErrParts
		}
		return m.take(part)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read part %d of message: %w", n, err)
	}
	return m, headers(h), nil
}

func (m *Mail) head(h *mail.Header) {
	m.MessageID, _ = h.MessageID() // those that are malformed are left out, and are among the headers
	m.Date, _ = h.Date()
	m.Subject, _ = h.Subject()
	m.From, m.To, m.CC, m.ReplyTo = list(h, "From"), list(h, "To"), list(h, "Cc"), list(h, "Reply-To")
}

func list(h *mail.Header, key string) (out []Address) {
	all, err := h.AddressList(key)
	if err != nil {
		if text := strings.TrimSpace(h.Get(key)); text != "" {
			return []Address{{Name: text}}
		}
		return nil
	}
	for _, a := range all {
		out = append(out, Address{a.Name, a.Address})
	}
	return out
}

// take adds a part; one that has parts is none itself.
func (m *Mail) take(p *message.Entity) error {
	kind, params, _ := p.Header.ContentType()
	if strings.HasPrefix(kind, "multipart/") {
		return nil
	}
	b, err := io.ReadAll(p.Body)
	if err != nil {
		return err
	}
	place, _, _ := p.Header.ContentDisposition()
	switch {
	case place == "attachment" || params["name"] != "":
	case kind == "text/html":
		m.HTML += string(b)
		return nil
	case kind == "text/plain":
		m.Text += string(b)
		return nil
	}
	name, _ := (&mail.AttachmentHeader{Header: p.Header}).Filename()
	m.attach(name, kind, p.Header.Get("Content-Id"), b)
	return nil
}

func (m *Mail) attach(name, kind, id string, b []byte) {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:] // who saves it means no path
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	m.Attachments = append(m.Attachments, Attachment{Name: name, ContentType: kind, ContentID: strings.Trim(id, "<> "), Data: b})
}

// headers are those of the message, decoded, in their order.
func headers(h *mail.Header) (out event.Pairs) {
	for f := h.Fields(); f.Next(); {
		v, err := f.Text()
		if err != nil {
			v = f.Value()
		}
		out = append(out, event.Pair{Key: f.Key(), Value: []byte(v)})
	}
	return out
}

// JSON is the body of an event.
func (m *Mail) JSON() ([]byte, error) { return json.Marshal(m) }
