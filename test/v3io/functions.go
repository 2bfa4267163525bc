package v3io

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// mostBytes bounds requests, and the records of an answer.
const mostBytes = 10 << 20

// refusal is an answer that says why there is none.
type refusal struct {
	status int
	code   int
	says   string
}

func invalid(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, -1, "InvalidArgumentException: " + fmt.Sprintf(format, args...)}
}

var (
	absent  = &refusal{http.StatusNotFound, -2, "ResourceNotFoundException"}
	outside = &refusal{http.StatusBadRequest, -3, "ShardIDRangeException"}
	illegal = &refusal{http.StatusBadRequest, -4, "IllegalLocationException"}
	denied  = &refusal{http.StatusForbidden, -5, "Permission denied"}
	tooMany = &refusal{http.StatusServiceUnavailable, -6, "ProvisionedThroughputExceededException"}
	tooMuch = &refusal{http.StatusRequestEntityTooLarge, -7, "InvalidArgumentException: the body has more than 10 MB"}
)

// handle answers a request.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	function := r.Header.Get("X-v3io-function")
	answer, no := s.answer(r, function)
	w.Header().Set("Content-Type", "application/json")
	if no != nil {
		w.WriteHeader(no.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"ErrorCode": no.code, "ErrorMessage": no.says})
		return
	}
	b, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	spoil := s.spoil
	s.mu.Unlock()
	if spoil != nil {
		b = spoil(function, b)
	}
	_, _ = w.Write(b) // who asked may be gone
}

func (s *Server) answer(r *http.Request, function string) (any, *refusal) {
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBytes+1))
	if err != nil {
		return nil, invalid("%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[function]++
	switch {
	case !s.keys[r.Header.Get("X-v3io-session-key")]:
		return nil, denied
	case s.throttle > 0:
		s.throttle--
		return nil, tooMany
	case len(body) > mostBytes:
		return nil, tooMuch
	case r.Method != http.MethodPut && r.Method != http.MethodPost:
		return nil, invalid("method %s", r.Method)
	}
	do, ok := map[string]func(string, []byte) (any, *refusal){
		"CreateStream": s.create, "UpdateStream": s.update, "DescribeStream": s.describe, "PutRecords": s.put,
		"Seek": s.seek, "SeekShard": s.seek, "GetRecords": s.get, "GetItem": s.item, "PutItem": s.change,
	}[function]
	if !ok {
		return nil, invalid("function %q", function)
	}
	return do(strings.Trim(r.URL.Path, "/"), body)
}

// input reads the body of a request.
func input(body []byte, into any) *refusal {
	if len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return invalid("%v", err)
	}
	return nil
}

// at finds the shard that a path names.
func (s *Server) at(path string) (*shard, int, *refusal) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return nil, 0, invalid("path %q", path)
	}
	st := s.streams[path[:i]]
	if st == nil {
		return nil, 0, absent
	}
	n, err := strconv.Atoi(path[i+1:])
	if err != nil || n < 0 || n >= len(st.shards) {
		return nil, 0, outside
	}
	return st.shards[n], n, nil
}

func (s *Server) create(path string, body []byte) (any, *refusal) {
	in := struct{ ShardCount, RetentionPeriodHours int }{1, 24}
	if no := input(body, &in); no != nil {
		return nil, no
	}
	switch {
	case in.ShardCount < 1 || in.RetentionPeriodHours < 1 || !strings.Contains(path, "/"):
		return nil, invalid("%d shards for %d hours at %q", in.ShardCount, in.RetentionPeriodHours, path)
	case s.streams[path] != nil:
		return nil, &refusal{http.StatusConflict, -8, "ResourceInUseException"}
	}
	s.streams[path] = newStream(in.ShardCount, in.RetentionPeriodHours)
	return struct{}{}, nil
}

func (s *Server) update(path string, body []byte) (any, *refusal) {
	var in struct{ ShardCount int }
	if no := input(body, &in); no != nil {
		return nil, no
	}
	st := s.streams[path]
	switch {
	case st == nil:
		return nil, absent
	case in.ShardCount < len(st.shards):
		return nil, invalid("%d shards, where there are %d", in.ShardCount, len(st.shards))
	}
	st.grow(in.ShardCount)
	return struct{}{}, nil
}

func (s *Server) describe(path string, _ []byte) (any, *refusal) {
	st := s.streams[path]
	if st == nil {
		return nil, absent
	}
	return map[string]int{"ShardCount": len(st.shards), "RetentionPeriodHours": st.hours}, nil
}

// putting is a record as PutRecords takes it, and put what became of it.
type putting struct {
	Record
	ShardID *int `json:"ShardId"`
}

type put struct {
	SequenceNumber int64  `json:",omitempty"`
	ShardID        int    `json:"ShardId"`
	ErrorCode      int    `json:",omitempty"`
	ErrorMessage   string `json:",omitempty"`
}

// The most of a request to put records, and of a record.
const (
	mostRecords = 1000
	mostData    = 1 << 20
	mostInfo    = 16
)

func (s *Server) put(path string, body []byte) (any, *refusal) {
	var in struct{ Records []putting }
	if no := input(body, &in); no != nil {
		return nil, no
	}
	st := s.streams[path]
	switch {
	case st == nil:
		return nil, absent
	case len(in.Records) == 0 || len(in.Records) > mostRecords:
		return nil, invalid("%d records", len(in.Records))
	}
	var out struct {
		FailedRecordCount int
		Records           []put
	}
	for _, r := range in.Records {
		p := st.put(r)
		if p.ErrorCode != 0 {
			out.FailedRecordCount++
		}
		out.Records = append(out.Records, p)
	}
	return out, nil
}

func (st *stream) put(r putting) (p put) {
	switch {
	case len(r.Data) > mostData || len(r.ClientInfo) > mostInfo:
		return put{ErrorCode: -1, ErrorMessage: "InvalidArgumentException"}
	case r.ShardID == nil:
		p.ShardID = st.of(r.PartitionKey)
	case *r.ShardID < 0 || *r.ShardID >= len(st.shards):
		return put{ErrorCode: outside.code, ErrorMessage: outside.says}
	default:
		p.ShardID = *r.ShardID
	}
	p.SequenceNumber = st.shards[p.ShardID].add(r.Record)
	return p
}

// location is a place, as clients carry it about.
func (s *Server) location(n int, sequence int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%d/%d/%d", s.edition, n, sequence))
}

func (s *Server) seek(path string, body []byte) (any, *refusal) {
	h, n, no := s.at(path)
	if no != nil {
		return nil, no
	}
	var in struct {
		Type                                                string
		StartingSequenceNumber, TimestampSec, TimestampNSec *int64
	}
	if no := input(body, &in); no != nil {
		return nil, no
	}
	if !h.is {
		return nil, absent
	}
	sequence := h.first
	switch {
	case in.Type == "EARLIEST":
	case in.Type == "LATEST":
		sequence = h.next()
	case in.Type == "SEQUENCE" && in.StartingSequenceNumber != nil:
		if sequence = *in.StartingSequenceNumber; sequence < h.first || sequence > h.next() {
			return nil, invalid("sequence %d", sequence)
		}
	case in.Type == "TIME" && in.TimestampSec != nil:
		var ns int64
		if in.TimestampNSec != nil {
			ns = *in.TimestampNSec
		}
		sequence = h.since(*in.TimestampSec, ns)
	default:
		return nil, invalid("type %q", in.Type)
	}
	return map[string]string{"Location": s.location(n, sequence)}, nil
}

// since is the sequence of the first record that is not older.
func (h *shard) since(sec, ns int64) int64 {
	for _, r := range h.records {
		if r.ArrivalTimeSec > sec || r.ArrivalTimeSec == sec && r.ArrivalTimeNSec >= ns {
			return r.SequenceNumber
		}
	}
	return h.next()
}

func (s *Server) get(path string, body []byte) (any, *refusal) {
	h, n, no := s.at(path)
	if no != nil {
		return nil, no
	}
	in := struct {
		Location []byte
		Limit    int
	}{Limit: mostRecords}
	if no := input(body, &in); no != nil {
		return nil, no
	}
	var edition, shard int
	var sequence int64
	_, err := fmt.Sscanf(string(in.Location), "%d/%d/%d", &edition, &shard, &sequence)
	switch {
	case in.Limit < 1:
		return nil, invalid("limit %d", in.Limit)
	case err != nil || edition != s.edition || shard != n || sequence < h.first || sequence > h.next():
		return nil, illegal
	}
	some := h.records[sequence-h.first:]
	some = some[:min(len(some), in.Limit)]
	size := 0
	for i, r := range some {
		if size += len(r.Data); size > mostBytes && i > 0 {
			some = some[:i]
			break
		}
	}
	end := sequence + int64(len(some))
	if some == nil {
		some = []Record{}
	}
	return map[string]any{"NextLocation": s.location(n, end), "MSecBehindLatest": 0, "RecordsBehindLatest": h.next() - end, "Records": some}, nil
}
