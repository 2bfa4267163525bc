package letter

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bytes is written as text if it is text, else as {"base64": "..."}; nil and
// empty differ.
type Bytes []byte

// IsZero reports whether there are none at all: a nil key is no key.
func (b Bytes) IsZero() bool { return b == nil }

type encoded struct {
	Base64 *string `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.Valid(b) {
		return json.Marshal(string(b))
	}
	s := base64.StdEncoding.EncodeToString(b)
	return json.Marshal(encoded{&s})
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*b = nil
		return nil
	}
	var s string
	if json.Unmarshal(text, &s) == nil {
		*b = append(Bytes{}, s...)
		return nil
	}
	var e encoded
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	if e.Base64 == nil {
		return errors.New("neither text nor base64")
	}
	raw, err := base64.StdEncoding.DecodeString(*e.Base64)
	*b = append(Bytes{}, raw...)
	return err
}

// Encode writes l as JSON.
func Encode(l *Letter) ([]byte, error) {
	c := *l
	c.Version = Version
	b, err := json.Marshal(&c)
	if err != nil {
		return nil, fmt.Errorf("encode letter: %w", err)
	}
	return b, nil
}

// Decode reads what Encode wrote. Fields that it does not know are left out; a
// later version than this program's is refused.
func Decode(b []byte) (*Letter, error) {
	var l Letter
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("decode letter: %w", err)
	}
	if l.Version < 1 || l.Version > Version {
		return nil, fmt.Errorf("decode letter: version %d is not one of 1 to %d", l.Version, Version)
	}
	return &l, nil
}
