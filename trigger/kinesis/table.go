package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/stream"
)

// A checkpoint is an item of a table of DynamoDB: the greatest epoch under which the
// shard was claimed, where to read on, and the number of the record that comes next
// there, counted from where the shard was first read. All writes are on the
// condition that no greater epoch is there.

var database = amazon.Service{Name: "dynamodb", Target: "DynamoDB_20120810", JSON: "1.0"}

// table is that of checkpoints.
type table struct {
	*amazon.Client
	name   string
	prefix string // of the keys of one trigger and stream
}

// checkpoint is what is kept of a shard.
type checkpoint struct {
	epoch uint32
	place place
	next  int64
}

// value is one of DynamoDB's: a text or a number.
type value struct {
	S *string `json:",omitempty"`
	N *string `json:",omitempty"`
}

func text(s string) value  { return value{S: &s} }
func number(n int64) value { return value{N: new(strconv.FormatInt(n, 10))} }

// The names of what an item has.
const (
	keyName   = "shard"
	epochName = "epoch"
	placeName = "place"
	nextName  = "next"
)

func (t *table) key(n int32) map[string]value {
	return map[string]value{keyName: text(t.prefix + idOf(n))}
}

const absent = "ResourceNotFoundException"

// make sees to it that the table is there.
func (t *table) make(ctx context.Context) error {
	for tries := 1; ; tries++ {
		var out struct{ Table struct{ TableStatus string } }
		err := t.Call(ctx, "DescribeTable", 0, map[string]any{"TableName": t.name}, &out)
		switch {
		case err == nil && (out.Table.TableStatus == "ACTIVE" || out.Table.TableStatus == "UPDATING"):
			return nil
		case amazon.Is(err, absent):
			err = t.Call(ctx, "CreateTable", 0, map[string]any{
				"TableName": t.name, "BillingMode": "PAY_PER_REQUEST",
				"AttributeDefinitions": []map[string]string{{"AttributeName": keyName, "AttributeType": "S"}},
				"KeySchema":            []map[string]string{{"AttributeName": keyName, "KeyType": "HASH"}},
			}, nil)
			if amazon.Is(err, "ResourceInUseException") {
				err = nil
			}
		}
		if err != nil {
			return err
		}
		if !delivery.Sleep(ctx, min(delivery.Reconnect(tries), 2*time.Second)) {
			return fmt.Errorf("the table is not ready yet: %w", ctx.Err())
		}
	}
}

// get reads a checkpoint; false if there is none.
func (t *table) get(ctx context.Context, n int32) (c checkpoint, ok bool, err error) {
	var out struct{ Item map[string]value }
	in := map[string]any{"TableName": t.name, "Key": t.key(n), "ConsistentRead": true}
	if err := t.Call(ctx, "GetItem", 0, in, &out); err != nil {
		return c, false, err
	}
	if len(out.Item) == 0 {
		return c, false, nil
	}
	c, err = read(out.Item)
	return c, err == nil, err
}

func read(item map[string]value) (c checkpoint, err error) {
	e, err := count(item, epochName)
	if err != nil {
		return c, err
	}
	if c.next, err = count(item, nextName); err != nil {
		return c, err
	}
	if e > 1<<32-1 {
		return c, fmt.Errorf("a checkpoint has the epoch %d", e)
	}
	c.epoch = uint32(e)
	if s := item[placeName].S; s != nil {
		c.place, err = parsePlace(*s)
	}
	return c, err
}

// count is a number of an item; 0 if it has none.
func count(item map[string]value, name string) (int64, error) {
	v, ok := item[name]
	if !ok {
		return 0, nil
	}
	if v.N == nil {
		return 0, fmt.Errorf("a checkpoint has a %s that is no number", name)
	}
	n, err := strconv.ParseInt(*v.N, 10, 64)
	if err != nil || n < 0 || n > 1<<62 {
		return 0, fmt.Errorf("a checkpoint has the %s %.40q", name, *v.N)
	}
	return n, nil
}

const changed = "ConditionalCheckFailedException"

// claim notes an epoch, unless a greater one is there, and returns the checkpoint.
func (t *table) claim(ctx context.Context, n int32, epoch uint32) (c checkpoint, err error) {
	var out struct{ Attributes map[string]value }
	err = t.Call(ctx, "UpdateItem", 0, map[string]any{
		"TableName": t.name, "Key": t.key(n), "ReturnValues": "ALL_NEW",
		"UpdateExpression":          "SET #e = :e",
		"ConditionExpression":       "attribute_not_exists(#e) OR #e <= :e",
		"ExpressionAttributeNames":  map[string]string{"#e": epochName},
		"ExpressionAttributeValues": map[string]value{":e": number(int64(epoch))},
	}, &out)
	if amazon.Is(err, changed) {
		return c, t.fenced(ctx, n, epoch, err)
	}
	if err != nil {
		return c, err
	}
	return read(out.Attributes)
}

// save keeps where a shard is read on, if it was claimed under the epoch last. A
// [*stream.Fenced] says that it was not.
func (t *table) save(ctx context.Context, n int32, c checkpoint) error {
	err := t.Call(ctx, "UpdateItem", 0, map[string]any{
		"TableName": t.name, "Key": t.key(n),
		"UpdateExpression":         "SET #p = :p, #n = :n",
		"ConditionExpression":      "#e = :e",
		"ExpressionAttributeNames": map[string]string{"#e": epochName, "#p": placeName, "#n": nextName},
		"ExpressionAttributeValues": map[string]value{
			":e": number(int64(c.epoch)), ":p": text(c.place.String()), ":n": number(c.next),
		},
	}, nil)
	if amazon.Is(err, changed) {
		return t.fenced(ctx, n, c.epoch, err)
	}
	return err
}

// fenced says why a condition was not met.
func (t *table) fenced(ctx context.Context, n int32, epoch uint32, refused error) error {
	c, ok, err := t.get(ctx, n)
	switch {
	case err != nil:
		return err
	case ok && c.epoch > epoch:
		return &stream.Fenced{Seen: c.epoch}
	case !ok:
		return errors.New("the checkpoint was deleted")
	}
	return refused
}
