package v3io

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
)

// api is the functions of the web API that are used, of one stream.
type api struct {
	*web
	client *http.Client
	stream string // container/path
}

// mostShards bounds what a stream may say to have.
const mostShards = 100_000

func (a *api) shard(n int32) string { return path.Join(a.stream, strconv.Itoa(int(n))) }

// describe says how many shards the stream has.
func (a *api) describe(ctx context.Context) (int32, error) {
	var out struct{ ShardCount int64 }
	if err := a.call(ctx, a.client, "DescribeStream", a.stream+"/", struct{}{}, &out); err != nil {
		return 0, err
	}
	if out.ShardCount < 1 || out.ShardCount > mostShards {
		return 0, fmt.Errorf("DescribeStream: the stream says that it has %d shards", out.ShardCount)
	}
	return int32(out.ShardCount), nil //nolint:gosec // it is bounded
}

// seeking is a place in a shard, as SeekShard is told it.
type seeking struct {
	Type     string
	Sequence int64 `json:"StartingSequenceNumber,omitempty"`
	Sec      int64 `json:"TimestampSec,omitempty"`
	NSec     int64 `json:"TimestampNSec,omitempty"`
}

// Types of places.
const (
	atEarliest = "EARLIEST"
	atSequence = "SEQUENCE"
	atTime     = "TIME"
)

// mostLocation bounds a location, which is sent back as it came.
const mostLocation = 8 << 10

func checkLocation(s string) error {
	if s == "" || len(s) > mostLocation {
		return fmt.Errorf("the location has %d bytes", len(s))
	}
	if _, err := base64.StdEncoding.DecodeString(s); err != nil {
		return fmt.Errorf("the location is no base64: %w", err)
	}
	return nil
}

// seek returns the location of a place.
func (a *api) seek(ctx context.Context, n int32, at seeking) (string, error) {
	var out struct{ Location string }
	if err := a.call(ctx, a.client, "SeekShard", a.shard(n), at, &out); err != nil {
		return "", err
	}
	if err := checkLocation(out.Location); err != nil {
		return "", fmt.Errorf("SeekShard: %w", err)
	}
	return out.Location, nil
}

// records returns those at a location.
func (a *api) records(ctx context.Context, n int32, location string, limit int) (*answer, error) {
	in := struct {
		Location string
		Limit    int
	}{location, limit}
	out := &answer{}
	if err := a.call(ctx, a.client, "GetRecords", a.shard(n), in, out); err != nil {
		return nil, err
	}
	if err := out.check(); err != nil {
		return nil, fmt.Errorf("GetRecords: %w", err)
	}
	return out, nil
}

// number is the value of an attribute: {"N": "7"}.
type number struct{ N *string }

// attributes reads numbers of a shard; those that it does not have are left out.
// An error that is errAbsent says that the shard has no object yet.
func (a *api) attributes(ctx context.Context, n int32, names string) (map[string]int64, error) {
	var out struct{ Item map[string]number }
	in := struct{ AttributesToGet string }{names}
	if err := a.call(ctx, a.client, "GetItem", a.shard(n), in, &out); err != nil {
		return nil, err
	}
	got := map[string]int64{}
	for name, v := range out.Item {
		if v.N == nil {
			return nil, fmt.Errorf("GetItem: the attribute %q is no number", name)
		}
		k, err := strconv.ParseInt(*v.N, 10, 64)
		if err != nil || k < 0 {
			return nil, fmt.Errorf("GetItem: the attribute %q is %.40q, which is no count", name, *v.N)
		}
		got[name] = k
	}
	return got, nil
}

// errChanged says that a condition was not met.
var errChanged = errors.New("the shard's attributes are not as expected")

// set changes attributes of a shard if the condition is met.
func (a *api) set(ctx context.Context, n int32, values map[string]int64, condition string) error {
	item := map[string]number{}
	for name, v := range values {
		item[name] = number{N: new(strconv.FormatInt(v, 10))}
	}
	in := struct {
		Item                            map[string]number
		UpdateMode, ConditionExpression string
	}{item, "CreateOrReplaceAttributes", condition}
	err := a.call(ctx, a.client, "PutItem", a.shard(n), in, nil)
	r, ok := errors.AsType[*refusal](err)
	if ok && !r.Is(errDenied) && !r.Is(errThrottled) && !r.Is(errAbsent) && r.status >= 400 && r.status < 500 {
		return fmt.Errorf("%w: %w", errChanged, err)
	}
	return err
}
