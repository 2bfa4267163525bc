package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type topicID = [16]byte

// find asks for the topics that the spec names: absent ones are an error.
// Patterns may fit none yet; reaching a broker is enough then.
func (s *Source) find(ctx context.Context, cl *kgo.Client) (map[string]topicID, error) {
	var names, absent []string
	for _, t := range s.cfg.Topics {
		if !strings.HasPrefix(t, "^") {
			names = append(names, t)
		}
	}
	got, err := describe(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	ids := map[string]topicID{}
	for i := range got.Topics {
		t := &got.Topics[i]
		name := *t.Topic
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			absent = append(absent, name)
		case err != nil && !kerr.IsRetriable(err):
			return nil, fmt.Errorf("topic %s: %w", name, err)
		default:
			ids[name] = t.TopicID
		}
	}
	if len(absent) > 0 {
		slices.Sort(absent)
		return nil, fmt.Errorf("no topic %s there: waiting until it is made", strings.Join(absent, ", "))
	}
	return ids, nil
}

// describe asks for the metadata of topics, and of no topic if there are none.
func describe(ctx context.Context, cl *kgo.Client, names []string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	got, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	got.Topics = slices.DeleteFunc(got.Topics, func(t kmsg.MetadataResponseTopic) bool { return t.Topic == nil })
	return got, nil
}

// explain words an error for somebody who has the spec before them.
func (s *Source) explain(err error) error { return s.cluster().Explain(err) }
