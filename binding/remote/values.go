package remote

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// parameters reads the values of a statement: a JSON array, in which bytes are
// {"$bytes": "base64"} and times {"$time": "RFC 3339"}. Other objects, and
// arrays, are passed on as their JSON text.
func parameters(body []byte) ([]any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, data.Errorf(data.Misuse, "parameters are no JSON array: %w", err)
	}
	return valuesOf(raw)
}

// rowsOf reads rows: an array of arrays as of [parameters].
func rowsOf(body []byte) ([][]any, error) {
	var raw [][]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, data.Errorf(data.Misuse, "rows are no JSON array of arrays: %w", err)
	}
	rows := make([][]any, len(raw))
	for i, r := range raw {
		var err error
		if rows[i], err = valuesOf(r); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func valuesOf(raw []json.RawMessage) ([]any, error) {
	out := make([]any, len(raw))
	for i, r := range raw {
		var err error
		if out[i], err = valueOf(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func valueOf(raw json.RawMessage) (any, error) {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case 'n':
		return nil, nil
	case 't', 'f':
		return raw[0] == 't', nil
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case '{':
		return special(raw)
	case '[':
		return string(raw), nil
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, nil
	}
	if bytes.ContainsAny(raw, ".eE") {
		if f, err := strconv.ParseFloat(string(raw), 64); err == nil {
			return f, nil
		}
	}
	return string(raw), nil // a number that no number of ours holds
}

func special(raw json.RawMessage) (any, error) {
	var o struct {
		Bytes *string `json:"$bytes"`
		Time  *string `json:"$time"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return string(raw), nil
	}
	switch {
	case o.Bytes != nil:
		b, err := base64.StdEncoding.DecodeString(*o.Bytes)
		if err != nil {
			return nil, data.Errorf(data.Misuse, "$bytes of a parameter: %w", err)
		}
		return b, nil
	case o.Time != nil:
		t, err := time.Parse(time.RFC3339Nano, *o.Time)
		if err != nil {
			return nil, data.Errorf(data.Misuse, "$time of a parameter: %w", err)
		}
		return t, nil
	}
	return string(raw), nil
}

// appendResult writes an answer as JSON.
func appendResult(b []byte, r *data.Result) []byte {
	b = append(b, `{"columns":[`...)
	for i, c := range r.Columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, c)
	}
	b = append(b, `],"rows":[`...)
	for i, row := range r.Rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for j, v := range row {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, v)
		}
		b = append(b, ']')
	}
	b = append(b, ']')
	if r.More {
		b = append(b, `,"more":true`...)
	}
	return append(b, '}')
}

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return appendString(b, strconv.FormatFloat(v, 'g', -1, 64))
		}
		from := len(b)
		if b = strconv.AppendFloat(b, v, 'g', -1, 64); !bytes.ContainsAny(b[from:], ".e") {
			b = append(b, ".0"...) // it stays what it is in languages that tell the two apart
		}
		return b
	case string:
		return appendString(b, v)
	case []byte:
		b = append(b, `{"$bytes":"`...)
		b = base64.StdEncoding.AppendEncode(b, v)
		return append(b, `"}`...)
	case time.Time:
		return appendString(b, v.Format(time.RFC3339Nano))
	}
	return append(b, "null"...)
}

func appendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // of a string there is none
		return append(b, `""`...)
	}
	return append(b, text...)
}
