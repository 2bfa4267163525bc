package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// A checkpoint is a hash: the greatest epoch under which the shard was claimed,
// and the id of the last entry before which all are done, itself included.

func (n *shardSession) checkpointOf(topic string, shard int32) string {
	return "myelin:checkpoint:" + n.src.cfg.Group + ":" + keyOf(topic, shard)
}

// claim takes a shard under an epoch and returns where to read on; a shard
// without a checkpoint, or one that shall be read from elsewhere, gets one.
var claim = redis.NewScript(`
local seen = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if tonumber(ARGV[1]) < seen then return {0, tostring(seen)} end
local last = redis.call('HGET', KEYS[1], 'last')
if not last or ARGV[3] == 'seek' then
  last = ARGV[2]
  if last == '$' then
    last = '0-0'
    local info = redis.pcall('XINFO', 'STREAM', KEYS[2])
    if not info.err then
      for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then last = info[i + 1] end
      end
    end
  end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'last', last)
return {1, last}`)

// keep stores checkpoints, each with its epoch, and returns the numbers of those
// that are refused.
var keep = redis.NewScript(`
local refused = {}
for i, key in ipairs(KEYS) do
  if tonumber(ARGV[2 * i - 1]) < tonumber(redis.call('HGET', key, 'epoch') or '0') then
    refused[#refused + 1] = i - 1
  else
    redis.call('HSET', key, 'epoch', ARGV[2 * i - 1], 'last', ARGV[2 * i])
  end
end
return refused`)

// Claim implements [stream.Keeper].
func (n *shardSession) Claim(ctx context.Context, l stream.Lease, seek bool) error {
	ctx, cancel := context.WithTimeout(ctx, n.src.cfg.Timeout.Std())
	defer cancel()
	how := ""
	if seek {
		how = "seek"
	}
	key := keyOf(l.Topic, l.Shard)
	answer, err := claim.Run(ctx, n.client, []string{n.checkpointOf(l.Topic, l.Shard), key}, l.Epoch, n.begin, how).Slice()
	if err != nil {
		return n.src.to.Explain(err)
	}
	if len(answer) != 2 {
		return errShape
	}
	text, _ := answer[1].(string)
	if answer[0] == int64(0) {
		seen, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("%w: epoch %q", errShape, text)
		}
		return &stream.Fenced{Seen: uint32(seen)}
	}
	n.host.Assigned(l)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.has[key] = &reading{lease: l, last: text}
	n.wake()
	return nil
}

// Commit implements [stream.Session].
func (n *shardSession) Commit(ctx context.Context, ps []trigger.Position) error {
	ctx, cancel := context.WithTimeout(ctx, n.src.cfg.Timeout.Std())
	defer cancel()
	keys, args := make([]string, len(ps)), make([]any, 0, 2*len(ps))
	for i, p := range ps {
		keys[i] = n.checkpointOf(p.Topic, p.Shard)
		args = append(args, p.Epoch, idOf(p.Next-1))
	}
	refused, err := keep.Run(ctx, n.client, keys, args...).Int64Slice()
	if err != nil {
		return n.src.to.Explain(err)
	}
	for _, i := range refused {
		if i < 0 || i >= int64(len(ps)) {
			return errShape
		}
		p := ps[i]
		n.src.log.Info("shard is another's; its checkpoint is left alone", "stream", p.Topic, "shard", p.Shard, "epoch", p.Epoch)
		n.host.Lost(stream.Lease{Topic: p.Topic, Shard: p.Shard, Epoch: p.Epoch, Shards: int32(n.src.cfg.Shards)}) //nolint:gosec // Validate bounds it
	}
	return nil
}

// An offset is an entry's id in one number: milliseconds since 1970 above, the
// number within them below.
const (
	idBits   = 20
	mostID   = 1<<idBits - 1
	mostTime = 1<<(63-idBits) - 1
)

// offsetOf reads an id; false if it has no number of its own.
func offsetOf(id string) (int64, bool) {
	ms, seq, ok := strings.Cut(id, "-")
	t, err := strconv.ParseInt(ms, 10, 64)
	if !ok || err != nil || t < 0 || t > mostTime {
		return 0, false
	}
	k, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || k < 0 || k > mostID {
		return 0, false
	}
	return t<<idBits | k, true
}

func idOf(offset int64) string {
	return strconv.FormatInt(offset>>idBits, 10) + "-" + strconv.FormatInt(offset&mostID, 10)
}
