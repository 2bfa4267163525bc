package kinesis

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the format's own check against accidents, no secret
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// Amazon's producer library, and those that do likewise, put several records in one:
// four bytes that nothing else begins with, a message of protobuf, and its digest.

var aggregated = []byte{0xf3, 0x89, 0x9a, 0xc2}

// user is a record as its producer made it.
type user struct {
	key  string
	data []byte
}

// mostParts bounds how many records are believed to be in one.
const mostParts = 1 << 20

// parts are the records that are in a record. What is no aggregate is one itself.
func (r *record) parts() []user {
	if us, ok := split(r.Data); ok {
		return us
	}
	return []user{{r.PartitionKey, r.Data}}
}

func split(data []byte) (us []user, ok bool) {
	body, is := bytes.CutPrefix(data, aggregated)
	if !is || len(body) < md5.Size {
		return nil, false
	}
	body, sum := body[:len(body)-md5.Size], body[len(body)-md5.Size:]
	if is := md5.Sum(body); !bytes.Equal(is[:], sum) { //nolint:gosec // see above
		return nil, false
	}
	us, err := aggregate(body)
	return us, err == nil && len(us) > 0
}

// The fields of the message, and of each record in it.
const (
	fieldKey    protowire.Number = 1
	fieldRecord protowire.Number = 3

	fieldKeyIndex protowire.Number = 1
	fieldData     protowire.Number = 3
)

var errAggregate = errors.New("no aggregate")

func aggregate(b []byte) (us []user, err error) {
	var keys []string
	var which []uint64
	err = fields(b, func(n protowire.Number, bytes []byte, _ uint64) error {
		switch n {
		case fieldKey:
			keys = append(keys, string(bytes))
		case fieldRecord:
			u, key, err := one(bytes)
			if err != nil {
				return err
			}
			us, which = append(us, u), append(which, key)
		}
		if len(us) > mostParts {
			return errAggregate
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, k := range which {
		if k >= uint64(len(keys)) {
			return nil, errAggregate
		}
		us[i].key = keys[k]
	}
	return us, nil
}

func one(b []byte) (u user, key uint64, err error) {
	err = fields(b, func(n protowire.Number, bytes []byte, number uint64) error {
		switch n {
		case fieldKeyIndex:
			key = number
		case fieldData:
			u.data = bytes
		}
		return nil
	})
	return u, key, err
}

// fields calls f with each field of a message: its bytes, or its number.
func fields(b []byte, f func(n protowire.Number, bytes []byte, number uint64) error) error {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errAggregate
		}
		b = b[size:]
		var text []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			text, size = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(b)
		default:
			size = protowire.ConsumeFieldValue(n, kind, b)
		}
		if size < 0 {
			return errAggregate
		}
		b = b[size:]
		if err := f(n, text, number); err != nil {
			return err
		}
	}
	return nil
}
