package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/trigger/nats/link"
)

// Publish implements [data.Publisher]. Without JetStream, NATS has a message
// when its server has read it: what nobody listens to is gone.
func (p *publisher) Publish(ctx context.Context, ms []data.Message) []error {
	out := make([]*nats.Msg, len(ms))
	for i := range ms {
		var err error
		if out[i], err = p.message(&ms[i]); err != nil {
			return data.Failed(ms, err)
		}
	}
	send := p.confirmedBy
	if !p.confirmed {
		send = p.plain
	}
	errs := make([]error, 0, len(out))
	for len(out) > 0 {
		n := min(together, len(out))
		errs = append(errs, send(ctx, out[:n])...)
		out = out[n:]
	}
	return errs
}

// tries is how often messages are sent that another one took down with it.
const tries = 3

// plain sends messages and waits until the server has read them. It ends the
// connection of who may not publish to a subject, with all that is on it: what was
// not to that subject is sent again.
func (p *publisher) plain(ctx context.Context, out []*nats.Msg) []error {
	errs := make([]error, len(out))
	var end error
	for range tries {
		c, err := p.conn(ctx)
		if err != nil {
			end = err
			break
		}
		for i, m := range out {
			if !errors.Is(errs[i], data.Denied) {
				errs[i] = reason(c.PublishMsg(m))
			}
		}
		if end = c.Sync(ctx); end == nil {
			return errs
		}
		if !errors.Is(end, nats.ErrPermissionViolation) {
			break
		}
		c.Close() // it ends by itself, and is not to be taken for a sound one until then
		for i, m := range out {
			if forbids(end, m.Subject) {
				errs[i] = reason(end)
			}
		}
		if !slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, data.Denied) }) {
			return errs
		}
	}
	for i := range errs {
		if !errors.Is(errs[i], data.Denied) {
			errs[i] = reason(end)
		}
	}
	return errs
}

// forbids reports whether err, of the whole connection, is about that subject.
func forbids(err error, subject string) bool {
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(`"`+subject+`"`))
}

// confirmedBy sends messages to JetStream and waits for what it says of each.
func (p *publisher) confirmedBy(ctx context.Context, out []*nats.Msg) []error {
	errs := make([]error, len(out))
	c, err := p.conn(ctx)
	var js jetstream.JetStream
	if err == nil {
		js, err = p.jetStream(c)
	}
	if err != nil {
		for i := range errs {
			errs[i] = reason(err)
		}
		return errs
	}
	acks := make([]jetstream.PubAckFuture, len(out))
	for i, m := range out {
		acks[i], errs[i] = js.PublishMsgAsync(m)
	}
	for i, ack := range acks {
		if errs[i] == nil {
			errs[i] = answer(ctx, c, ack)
		}
		errs[i] = reason(errs[i])
	}
	return errs
}

func answer(ctx context.Context, c *link.Conn, ack jetstream.PubAckFuture) error {
	select {
	case <-ack.Ok():
		return nil
	case err := <-ack.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.Lost():
	}
	why := c.Why()
	if m := ack.Msg(); m != nil && forbids(why, m.Subject) {
		return why
	}
	return data.As(data.Away, why)
}

// message is what NATS gets of m. Headers that are orders to the server are
// not passed on, but for the one that lets a stream leave out what it has.
func (p *publisher) message(m *data.Message) (*nats.Msg, error) {
	subject := p.prefix + m.Topic
	if err := link.CheckSubject(subject, false); err != nil || subject[0] == '$' {
		return nil, errors.Join(data.Errorf(data.Misuse, "topic %q is no subject to publish to", m.Topic), err)
	}
	out := &nats.Msg{Subject: subject, Data: m.Value}
	if len(m.Headers) > 0 || m.Key != nil {
		out.Header = nats.Header{}
	}
	for _, h := range m.Headers {
		switch {
		case strings.EqualFold(h.Key, link.ContentType):
			out.Header.Set(link.ContentType, h.Value)
		case strings.EqualFold(h.Key, link.ID):
			out.Header.Set(link.ID, h.Value)
		case len(h.Key) >= 5 && strings.EqualFold(h.Key[:5], "Nats-"):
			return nil, data.Errorf(data.Misuse, "header %s is the server's", h.Key)
		default:
			out.Header.Add(h.Key, h.Value)
		}
	}
	if m.Key != nil {
		if strings.ContainsAny(string(m.Key), "\r\n\x00") {
			return nil, data.Errorf(data.Misuse, "the key is not of one line, and NATS has keys in a header only")
		}
		out.Header.Set(data.KeyHeader, string(m.Key))
	}
	return out, nil
}

// reason says what an error means.
func reason(err error) error {
	if err == nil || data.ReasonOf(err) != 0 {
		return err
	}
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrPermissionViolation):
		return data.As(data.Denied, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return data.As(data.TooLarge, err)
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrInvalidMsg):
		return data.As(data.Misuse, err)
	case errors.Is(err, nats.ErrHeadersNotSupported):
		return data.As(data.Unsupported, err)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return data.Errorf(data.NotFound, "no stream takes the subject: %w", err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return data.As(data.Unsupported, err)
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrAsyncPublishTimeout), errors.Is(err, jetstream.ErrTooManyStalledMsgs):
		return data.As(data.Timeout, err)
	case errors.As(err, &api):
		return data.As(ofAPI(api.Code), err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return data.As(data.Timeout, err)
	}
	return data.As(data.Away, fmt.Errorf("publish: %w", err))
}

// ofAPI is what a status of JetStream means.
func ofAPI(code int) data.Reason {
	switch {
	case code == 404:
		return data.NotFound
	case code == 403:
		return data.Denied
	case code == 429:
		return data.Busy
	case code >= 500:
		return data.Away
	}
	return data.Misuse
}
