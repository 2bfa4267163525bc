package v3io

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// TestBadAnswers: whatever GetRecords is answered with that it cannot mean is told,
// and nothing of it is run; when the platform is well again it goes on.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, says string }{
		"half":          {`{"NextLocation": "MA==", "Records": [{"SequenceNumber": 1, "Da`, "not what was expected"},
		"no JSON":       {`<html>`, "not what was expected"},
		"empty":         {``, "not what was expected"},
		"another shape": {`{"NextLocation": "MA==", "Records": {"a": 1}}`, "not what was expected"},
		"wrong base64":  {`{"NextLocation": "MA==", "Records": [{"SequenceNumber": 1, "Data": "%%%"}]}`, "not what was expected"},
		"no location":   {`{"Records": []}`, "the location has 0 bytes"},
		"bad location":  {`{"NextLocation": "%", "Records": []}`, "the location is no base64"},
		"long location": {`{"NextLocation": "` + strings.Repeat("AAAA", 4096) + `"}`, "the location has 16384 bytes"},
		"negative":      {`{"NextLocation": "MA==", "Records": [{"SequenceNumber": -1}]}`, "a record with the sequence -1"},
		"not rising":    {`{"NextLocation": "MA==", "Records": [{"SequenceNumber": 2}, {"SequenceNumber": 2}]}`, "a record with the sequence 2 is behind one with 2"},
		"too great":     {`{"NextLocation": "MA==", "Records": [{"SequenceNumber": 9223372036854775807}]}`, "a record with the sequence 9223372036854775807"},
		"behind":        {`{"NextLocation": "MA==", "RecordsBehindLatest": -7, "Records": []}`, "-7 records are said to be behind"},
		"time":          {`{"NextLocation": "MA==", "Records": [{"SequenceNumber": 1, "ArrivalTimeSec": -1}]}`, "says to be of -1 s"},
		"nanoseconds":   {`{"NextLocation": "MA==", "Records": [{"SequenceNumber": 1, "ArrivalTimeNSec": 1000000000}]}`, "and 1000000000 ns"},
		"a fraction":    {`{"NextLocation": "MA==", "Records": [{"SequenceNumber": 1.5}]}`, "not what was expected"},
		"too large":     {`{"NextLocation": "MA==", "Records": "` + strings.Repeat("a", mostBytes) + `"}`, "the answer has more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t)
			b.put(1, "well")
			b.Spoil(func(function string, answer []byte) []byte {
				if function == "GetRecords" {
					return []byte(c.answer)
				}
				return answer
			})
			r := b.alone(t, nil, nil)
			r.until("the problem", func(x trigger.Report) bool { return strings.Contains(x.Problem, c.says) })
			b.Spoil(nil)
			if ev := r.next(); string(ev.Body) != "well" {
				t.Errorf("event %s", ev.Body)
			}
		})
	}
}

// TestBadOthers: so it is with what other functions answer.
func TestBadOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ function, answer, says string }{
		"no shards":     {"DescribeStream", `{"ShardCount": 0}`, "says that it has 0 shards"},
		"many shards":   {"DescribeStream", `{"ShardCount": 100000000}`, "says that it has 100000000 shards"},
		"minus shards":  {"DescribeStream", `{"ShardCount": -3}`, "says that it has -3 shards"},
		"text":          {"DescribeStream", `"many"`, "not what was expected"},
		"no location":   {"SeekShard", `{}`, "the location has 0 bytes"},
		"bad location":  {"SeekShard", `{"Location": "?"}`, "the location is no base64"},
		"no number":     {"GetItem", `{"Item": {"__g_committed_sequence_number": {"S": "7"}}}`, "is no number"},
		"minus number":  {"GetItem", `{"Item": {"__g_committed_sequence_number": {"N": "-7"}}}`, "which is no count"},
		"no such thing": {"GetItem", `{"Item": [1]}`, "not what was expected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t)
			b.put(1, "well")
			b.Spoil(func(function string, answer []byte) []byte {
				if function == c.function {
					return []byte(c.answer)
				}
				return answer
			})
			r := b.alone(t, nil, nil)
			r.until("the problem", func(x trigger.Report) bool { return strings.Contains(x.Problem, c.says) })
			b.Spoil(nil)
			if ev := r.next(); string(ev.Body) != "well" {
				t.Errorf("event %s", ev.Body)
			}
		})
	}
}

// TestRefusals: a refusal is told in the platform's words, on one line and not
// endless, and is of its kind whatever the status.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		body, says string
		is         error
	}{
		"denied":    {403, `{"ErrorCode": -5, "ErrorMessage": "Permission denied"}`, "answers 403: Permission denied (code -5)", errDenied},
		"who":       {401, ``, "answers 401 Unauthorized", errDenied},
		"absent":    {404, `{"ErrorMessage": "ResourceNotFoundException"}`, "ResourceNotFoundException", errAbsent},
		"shard":     {400, `{"ErrorMessage": "ShardIDRangeException"}`, "ShardIDRangeException", errAbsent},
		"location":  {400, `{"ErrorMessage": "IllegalLocationException"}`, "IllegalLocationException", errLocation},
		"throttled": {400, `{"ErrorMessage": "ProvisionedThroughputExceededException"}`, "Provisioned", errThrottled},
		"busy":      {429, `busy`, "answers 429 Too Many Requests", errThrottled},
		"odd code":  {400, `{"ErrorCode": "x", "ErrorMessage": 7}`, "answers 400 Bad Request", nil},
		"lines":     {500, `{"ErrorMessage": "a\nb\u0000c"}`, "answers 500: a b c", nil},
		"endless":   {500, `{"ErrorMessage": "` + strings.Repeat("é", 5000) + `"}`, "é...", nil},
		"elsewhere": {302, ``, "answers 302 Found", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer s.Close()
			cfg := defaults()
			must(t, json.Unmarshal([]byte(`{`+whole+`}`), &cfg))
			st := settings(t)
			st.Spec.URL, st.Spec.Password = s.URL, key
			src, err := newSource(st, cfg)
			must(t, err)
			_, err = src.Connect(t.Context(), stream.Want{}, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 1000 {
				t.Errorf("error %v", err)
			}
			got := refused(&http.Response{StatusCode: c.status}, []byte(c.body))
			for _, kind := range []error{errDenied, errAbsent, errThrottled, errLocation} {
				if is := errors.Is(got, kind); is != (c.is != nil && errors.Is(c.is, kind)) {
					t.Errorf("is it %q: %v", kind, is)
				}
			}
		})
	}
}

// FuzzAnswer: whatever an answer is, it is refused, or its records can be run.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"NextLocation": "MA==", "RecordsBehindLatest": 1, "Records": [{"SequenceNumber": 1, "Data": "AA==", "PartitionKey": "k", "ClientInfo": "AQ=="}]}`), int64(1))
	f.Add([]byte(`{"NextLocation": "MA==", "Records": [{"SequenceNumber": 5}, {"SequenceNumber": 4611686018427387904, "ArrivalTimeSec": 253402300799}]}`), int64(6))
	f.Add([]byte(`{"Records": null}`), int64(0))
	f.Fuzz(func(t *testing.T, text []byte, next int64) {
		var a answer
		if json.Unmarshal(text, &a) != nil || a.check() != nil {
			return
		}
		b := a.batch(stream.Lease{}, next)
		before := int64(-1)
		for i := range b.Records.Len() {
			offset, k := b.Records.At(i)
			if offset <= before || offset < next || offset+1 < 0 || k != nil && len(k) == 0 {
				t.Errorf("offset %d behind %d, from %d, key %q", offset, before, next, k)
			}
			before = offset
			var ev event.Event
			b.Records.Read(i, &ev)
			if _, err := ev.Time.MarshalJSON(); err != nil {
				t.Error(err)
			}
		}
		if b.Records.Len() > 0 && b.End <= before {
			t.Errorf("the end is %d, behind %d", b.End, before)
		}
		b.Records.Release()
	})
}
