package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/queue"
)

// defaultPending is the server's own limit of messages that are not acked.
const defaultPending = 1000

// consumer finds the stream and the consumer, or makes them, as the topology
// says, and when the stream was made.
func (s *source) consumer(ctx context.Context, js jetstream.JetStream, w queue.Want) (*jetstream.ConsumerInfo, time.Time, error) {
	stream, err := s.stream(ctx, js)
	if err != nil {
		return nil, time.Time{}, err
	}
	c, err := s.consumerOf(ctx, stream, w)
	return c, stream.CachedInfo().Created, err
}

func (s *source) consumerOf(ctx context.Context, stream jetstream.Stream, w queue.Want) (*jetstream.ConsumerInfo, error) {
	name := stream.CachedInfo().Config.Name
	wanted := s.wanted(w)
	c, err := stream.Consumer(ctx, s.cfg.Consumer)
	switch {
	case err == nil:
		return s.found(ctx, stream, c.CachedInfo(), wanted, w)
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return nil, fmt.Errorf("consumer %q of stream %q is a push consumer; a pull consumer is needed", s.cfg.Consumer, name)
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, fmt.Errorf("consumer %q of stream %q: %w", s.cfg.Consumer, name, err)
	case s.cfg.Topology == None:
		return nil, fmt.Errorf("consumer %q of stream %q is not there: %w", s.cfg.Consumer, name, err)
	}
	return s.create(ctx, stream, wanted)
}

func (s *source) create(ctx context.Context, stream jetstream.Stream, wanted jetstream.ConsumerConfig) (*jetstream.ConsumerInfo, error) {
	c, err := stream.CreateConsumer(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("make consumer %q of stream %q: %w", wanted.Durable, stream.CachedInfo().Config.Name, err)
	}
	return c.CachedInfo(), nil
}

// wanted is the consumer as the configuration has it.
func (s *source) wanted(w queue.Want) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable: s.cfg.Consumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.cfg.AckWait.Std(), MaxDeliver: -1,
		MaxAckPending: s.cfg.MaxAckPending, FilterSubjects: s.cfg.Topics,
	}
	if c.MaxAckPending == 0 {
		c.MaxAckPending = max(defaultPending, w.Prefetch)
	}
	if s.cfg.Ordered {
		c.MaxAckPending = 1
	}
	begin(&c, w.Start)
	return c
}

// begin says where a consumer starts.
func begin(c *jetstream.ConsumerConfig, at trigger.Start) {
	c.DeliverPolicy, c.OptStartSeq, c.OptStartTime = jetstream.DeliverAllPolicy, 0, nil
	switch at.Where {
	case trigger.Latest:
		c.DeliverPolicy = jetstream.DeliverNewPolicy
	case trigger.AtOffset:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, uint64(max(at.Offset, 1))
	case trigger.AtTime:
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &at.Time
	}
}

// found sees whether a consumer that is there will do, and moves it if that is
// wanted.
func (s *source) found(ctx context.Context, stream jetstream.Stream, info *jetstream.ConsumerInfo, wanted jetstream.ConsumerConfig, w queue.Want) (*jetstream.ConsumerInfo, error) {
	if w.Seek {
		return s.move(ctx, stream, info.Config, w.Start)
	}
	if err := s.usable(info.Config); err != nil {
		return nil, fmt.Errorf("consumer %q of stream %q: %w", info.Name, info.Stream, err)
	}
	if s.cfg.Topology == None {
		return info, nil
	}
	differs := s.difference(info.Config, wanted)
	if differs == nil {
		return info, nil
	}
	if s.cfg.Topology == Check {
		return nil, fmt.Errorf("consumer %q of stream %q is there, but not as configured: %w; change either, or set topology to declare, which changes the consumer, or to none, which takes it as it is", info.Name, info.Stream, differs)
	}
	changed := info.Config
	changed.AckWait, changed.MaxDeliver, changed.MaxAckPending = wanted.AckWait, wanted.MaxDeliver, wanted.MaxAckPending
	changed.FilterSubject, changed.FilterSubjects = "", wanted.FilterSubjects
	c, err := stream.UpdateConsumer(ctx, changed)
	if err != nil {
		return nil, fmt.Errorf("change consumer %q of stream %q: %w", info.Name, info.Stream, err)
	}
	return c.CachedInfo(), nil
}

// usable says what no topology can do with.
func (s *source) usable(c jetstream.ConsumerConfig) error {
	attempts := s.attempts
	if attempts == 0 {
		attempts = delivery.DefaultAttempts
	}
	switch {
	case c.AckPolicy != jetstream.AckExplicitPolicy:
		return errors.New("its ack policy is not explicit, and each message is acked by itself")
	case c.HeadersOnly:
		return errors.New("it delivers headers only")
	case s.cfg.Topology != Declare && c.MaxDeliver > 0 && (attempts < 0 || c.MaxDeliver <= attempts):
		return fmt.Errorf("it delivers a message %d times at most, and then forgets it: more than the trigger's retry.attempts (%d) are needed", c.MaxDeliver, attempts)
	case s.cfg.Topology == None && c.AckWait < s.cfg.AckWait.Std():
		return fmt.Errorf("its ack wait is %v: set ackWait, now %v, to no more than that", c.AckWait, s.cfg.AckWait)
	case s.cfg.Topology == None && s.cfg.Ordered && c.MaxAckPending != 1:
		return fmt.Errorf("its max ack pending is %d, and order needs 1", c.MaxAckPending)
	}
	return nil
}

// difference says in what a consumer is not as wanted.
func (s *source) difference(is, wanted jetstream.ConsumerConfig) error {
	var errs []error
	add := func(what string, is, wanted any) {
		errs = append(errs, fmt.Errorf("%s is %v, wanted is %v", what, is, wanted))
	}
	if have := filters(is); !slices.Equal(have, filters(wanted)) {
		add("its filter", describe(have), describe(filters(wanted)))
	}
	if is.AckWait != wanted.AckWait && len(is.BackOff) == 0 {
		add("its ack wait", is.AckWait, wanted.AckWait)
	}
	if s.cfg.MaxAckPending != 0 || s.cfg.Ordered {
		if is.MaxAckPending != wanted.MaxAckPending {
			add("its max ack pending", is.MaxAckPending, wanted.MaxAckPending)
		}
	}
	return errors.Join(errs...)
}

func filters(c jetstream.ConsumerConfig) []string {
	f := slices.Clone(c.FilterSubjects)
	if c.FilterSubject != "" {
		f = append(f, c.FilterSubject)
	}
	slices.Sort(f)
	return f
}

// move lets a consumer begin elsewhere: it is made anew. Other replicas lose
// theirs, and might make it first with their own beginning.
func (s *source) move(ctx context.Context, stream jetstream.Stream, c jetstream.ConsumerConfig, to trigger.Start) (*jetstream.ConsumerInfo, error) {
	begin(&c, to)
	for tries := 1; ; tries++ {
		err := stream.DeleteConsumer(ctx, s.cfg.Consumer)
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, fmt.Errorf("seek: delete consumer %q: %w", s.cfg.Consumer, err)
		}
		info, err := s.create(ctx, stream, c)
		if err == nil {
			return info, nil
		}
		if !errors.Is(err, jetstream.ErrConsumerExists) || tries == 5 {
			return nil, fmt.Errorf("seek: %w", err)
		}
	}
}

// stream finds the stream, or makes it.
func (s *source) stream(ctx context.Context, js jetstream.JetStream) (jetstream.Stream, error) {
	name := s.cfg.Stream
	if name == "" {
		found, err := js.StreamNameBySubject(ctx, s.cfg.Topics[0])
		if err != nil {
			return nil, fmt.Errorf("no stream has the topic %q: %w", s.cfg.Topics[0], err)
		}
		name = found
	}
	stream, err := js.Stream(ctx, name)
	switch {
	case err == nil && s.cfg.Topology == Declare:
		return stream, s.cfg.differs(stream.CachedInfo().Config)
	case err == nil:
		return stream, nil
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("stream %q: %w", name, err)
	case s.cfg.Topology != Declare:
		return nil, fmt.Errorf("stream %q is not there: %w", name, err)
	}
	stream, err = js.CreateStream(ctx, s.cfg.declared())
	if err != nil {
		return nil, fmt.Errorf("make stream %q: %w", name, err)
	}
	return stream, nil
}

func (c *Config) declared() jetstream.StreamConfig {
	d := c.Declared
	s := jetstream.StreamConfig{Name: c.Stream, Subjects: d.Subjects, Replicas: d.Replicas, MaxAge: d.MaxAge.Std(), MaxBytes: -1, MaxMsgs: -1,
		Duplicates: d.DuplicateWindow.Std()}
	if len(s.Subjects) == 0 {
		s.Subjects = c.Topics
	}
	if d.MaxBytes > 0 {
		s.MaxBytes = int64(d.MaxBytes)
	}
	if d.MaxMessages > 0 {
		s.MaxMsgs = d.MaxMessages
	}
	if s.Duplicates == 0 && s.MaxAge > 0 && s.MaxAge < 2*time.Minute { // the server wants the window within the age
		s.Duplicates = s.MaxAge
	}
	s.Storage = map[string]jetstream.StorageType{"file": jetstream.FileStorage, "memory": jetstream.MemoryStorage}[d.Storage]
	s.Retention = map[string]jetstream.RetentionPolicy{"limits": jetstream.LimitsPolicy, "interest": jetstream.InterestPolicy, "workqueue": jetstream.WorkQueuePolicy}[d.Retention]
	return s
}

// differs says in what a stream is not as declared; limits may be anyone's.
func (c *Config) differs(is jetstream.StreamConfig) error {
	wanted := c.declared()
	var errs []error
	for _, subject := range wanted.Subjects {
		if !slices.Contains(is.Subjects, subject) {
			errs = append(errs, fmt.Errorf("it has no subject %q", subject))
		}
	}
	if is.Storage != wanted.Storage {
		errs = append(errs, fmt.Errorf("its storage is %v", is.Storage))
	}
	if is.Retention != wanted.Retention {
		errs = append(errs, fmt.Errorf("its retention is %v", is.Retention))
	}
	if len(errs) > 0 {
		return fmt.Errorf("stream %q is there, but not as declared: %w", is.Name, errors.Join(errs...))
	}
	return nil
}
