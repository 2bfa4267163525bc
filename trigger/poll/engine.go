package poll

import (
	"context"
	"fmt"
	"io"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Options are what an engine has to know of a kind of source.
type Options struct {
	Config
	Kind  string // of the trigger: "sql"
	Topic string // what is read, as events and reports name it
	// Bytes bounds what is held of it; 0: as a stream does.
	Bytes int
}

// Engine is a trigger made of a Source. It is a [stream.Engine] but for where
// reading can begin.
type Engine struct {
	*stream.Engine
	src Source
}

// New makes the engine of one trigger. It opens nothing. An error is about the
// fields of the spec that all kinds share.
func New(s trigger.Settings, o Options, src Source) (*Engine, error) {
	at, err := trigger.ParseStart(s.Spec.StartAt)
	if err == nil {
		err = src.Check(at)
	}
	if err != nil {
		return nil, &trigger.SpecError{Err: document.Under("startAt", err)}
	}
	by := o.Assignment
	if by == "" && s.Shards == nil {
		by = stream.ToOne
	}
	e, err := stream.New(s, stream.Options{
		Kind: o.Kind, Class: trigger.Poll, Assignment: stream.Assigned(s, by, 1, o.Topic), Records: 4 * o.PageSize, Bytes: o.Bytes,
	}, &source{o: o, src: src})
	if err != nil {
		return nil, err
	}
	return &Engine{Engine: e, src: src}, nil
}

// Seek implements [trigger.Seeker].
func (e *Engine) Seek(ctx context.Context, to string) error {
	at, err := trigger.ParseStart(to)
	if err == nil {
		err = e.src.Check(at)
	}
	if err != nil {
		return err
	}
	return e.Engine.Seek(ctx, to)
}

// source is a Source as the stream engine sees it.
type source struct {
	o   Options
	src Source
}

var (
	_ stream.Source = (*source)(nil)
	_ io.Closer     = (*source)(nil)
)

// Connect implements [stream.Source].
func (s *source) Connect(ctx context.Context, w stream.Want, host stream.Shards) (stream.Session, error) {
	in, err := s.src.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newSession(s.o, in, w, host), nil
}

// Close implements [io.Closer].
func (s *source) Close() error {
	if c, ok := s.src.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// NoOffset is what Check says of an offset, for sources that have none.
func NoOffset(at trigger.Start) error {
	if at.Where == trigger.AtOffset {
		return fmt.Errorf("%d: this source has no offsets: it can be read from earliest, latest or a time", at.Offset)
	}
	return nil
}
