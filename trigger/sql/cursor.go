package sql

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A cursor is the watermark, and the key if there is one, of the last row that
// was read: a list of texts, each with the letter of its type before it.

// encode writes a value of a driver so that decode returns the same.
func encode(v any) (string, error) {
	switch v := v.(type) {
	case int64:
		return "i" + strconv.FormatInt(v, 10), nil
	case uint64:
		return "u" + strconv.FormatUint(v, 10), nil
	case string:
		return "s" + v, nil
	case []byte:
		return "b" + base64.StdEncoding.EncodeToString(v), nil
	case time.Time:
		return "t" + v.UTC().Format(time.RFC3339Nano), nil
	case bool:
		return "", fmt.Errorf("is a truth value, which has no order to speak of")
	case float64, float32:
		return "", fmt.Errorf("is a number in floating point, which is not exact: use one that is an integer, a decimal of PostgreSQL, a time or a text")
	}
	return "", fmt.Errorf("is of a type that cannot be a watermark: %T", v)
}

func decode(s string) (any, error) {
	if s == "" {
		return nil, fmt.Errorf("a value of the place is empty")
	}
	switch kind, text := s[0], s[1:]; kind {
	case 'i':
		return strconv.ParseInt(text, 10, 64)
	case 'u':
		return strconv.ParseUint(text, 10, 64)
	case 's':
		return text, nil
	case 'b':
		return base64.StdEncoding.DecodeString(text)
	case 't':
		return time.Parse(time.RFC3339Nano, text)
	}
	return nil, fmt.Errorf("a value of the place is %.40q", s)
}

// cursorOf writes the cursor behind a row.
func cursorOf(values ...any) (string, error) {
	texts := make([]string, len(values))
	for i, v := range values {
		var err error
		if texts[i], err = encode(v); err != nil {
			return "", fmt.Errorf("%s %w", []string{"the watermark", "the key"}[min(i, 1)], err)
		}
	}
	b, err := json.Marshal(texts)
	return string(b), err
}

// valuesOf reads a cursor, which has n values, or one if it is of a time at which
// to begin; none if it is the beginning.
func valuesOf(cursor string, n int) ([]any, error) {
	if cursor == "" {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal([]byte(cursor), &texts); err != nil || len(texts) == 0 || len(texts) > n {
		return nil, fmt.Errorf("the place %.200q is not one of this watermark and key: seek another, or name another table for places", cursor)
	}
	out := make([]any, len(texts))
	for i, s := range texts {
		var err error
		if out[i], err = decode(s); err != nil {
			return nil, fmt.Errorf("read place: %w", err)
		}
	}
	return out, nil
}
