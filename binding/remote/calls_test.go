package remote_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/host"
	"github.com/myelin-run/myelin/binding/kv/embedded"
	"github.com/myelin-run/myelin/binding/object/directory"
	"github.com/myelin-run/myelin/binding/remote"
	"github.com/myelin-run/myelin/binding/table/sqlite"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
)

func opened(t *testing.T) *remote.Server {
	t.Helper()
	set := binding.NewSet(embedded.Factory(), directory.Factory(), sqlite.Factory())
	h, err := host.New(set, map[string]function.DataBinding{"kv": {Kind: "embedded"}, "files": {Kind: "directory"}, "db": {Kind: "sqlite"}},
		binding.Settings{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := remote.New(h.Handles())
	t.Cleanup(func() {
		s.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask does one call, whose headers are given as "Key: value".
func ask(t *testing.T, s *remote.Server, owner any, name, method, path, body string, headers ...string) (status int, answer, version string) {
	t.Helper()
	c := &runtime.Call{Kind: runtime.CallBinding, Name: name, Method: method, Path: path, Body: []byte(body)}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		c.Headers = append(c.Headers, event.Field{Key: k, Value: v})
	}
	var r event.Response
	if err := s.Serve(context.Background(), owner, c, &r); err != nil {
		t.Fatal(err)
	}
	for _, h := range r.Header {
		if h.Key == "Version" {
			version = h.Value
		}
	}
	return r.Status, string(r.Body), version
}

func TestCalls(t *testing.T) {
	s := opened(t)
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		answer                   string
	}{
		{"kv", "kv.put", "k", "value", []string{"Ttl: 3600", "If-Version: "}, 204, ""},
		{"kv", "kv.get", "k", "", nil, 200, "value"},
		{"kv", "kv.put", "k", "again", []string{"If-Version: "}, 409, "there already"},
		{"kv", "kv.get", "none", "", nil, 404, "not found"},
		{"kv", "kv.add", "n", "-7", nil, 200, "-7"},
		{"kv", "kv.add", "n", "seven", nil, 400, "no whole number"},
		{"kv", "kv.scan", "", "", []string{"Limit: 1", "After: k"}, 200, `["n"]`},
		{"kv", "kv.scan", "zzz", "", nil, 200, `[]`},
		{"kv", "kv.scan", "", "", []string{"Limit: many"}, 400, "no number"},
		{"kv", "kv.put", "k", "", []string{"Ttl: soon"}, 400, "no number of seconds"},
		{"kv", "kv.put", "k", "", []string{"Ttl: -1"}, 400, "no number of seconds"},
		{"kv", "kv.put", "k", "", []string{"Ttl: NaN"}, 400, "no number of seconds"},
		{"kv", "kv.delete", "k", "", nil, 204, ""},
		{"kv", "table.query", "SELECT 1", "", nil, 501, "has no"},
		{"kv", "", "", "", nil, 501, "has no"},
		{"none", "kv.get", "k", "", nil, 404, `no binding "none"`},
		{"files", "object.put", "a/b.txt", "0123456789", nil, 204, ""},
		{"files", "object.get", "a/b.txt", "", []string{"Range: 2-4"}, 200, "234"},
		{"files", "object.get", "a/b.txt", "", []string{"Range: 8-"}, 200, "89"},
		{"files", "object.get", "a/b.txt", "", []string{"Range: -5"}, 400, "not of the form"},
		{"files", "object.get", "../b.txt", "", nil, 400, "neither . nor .."},
		{"files", "object.list", "a/", "", nil, 200, `"name":"a/b.txt","size":10`},
		{"files", "object.stat", "a/c", "", nil, 404, ""},
		{"db", "table.exec", "CREATE TABLE t (i INTEGER PRIMARY KEY, f REAL, s TEXT, b BLOB)", "", nil, 200, `{"affected":0}`},
		{"db", "table.insert", "t", `[[1,2.0,"x",{"$bytes":"AP8="}],[2,null,"\"y\"",null]]`, []string{"Columns: i,f,s,b"}, 200, `{"affected":2}`},
		{"db", "table.query", "SELECT * FROM t ORDER BY i", "", nil, 200, `{"columns":["i","f","s","b"],"rows":[[1,2.0,"x",{"$bytes":"AP8="}],[2,null,"\"y\"",null]]}`},
		{"db", "table.query", "SELECT i FROM t ORDER BY i", "", []string{"Limit: 1"}, 200, `{"columns":["i"],"rows":[[1]],"more":true}`},
		{"db", "table.query", "SELECT i FROM t WHERE s = ?", `["'; DROP TABLE t; --"]`, nil, 200, `"rows":[]`},
		{"db", "table.query", "SELECT ?", `{"not":"an array"}`, nil, 400, "no JSON array"},
		{"db", "table.query", "SELECT ?", `[{"$bytes":"%"}]`, nil, 400, "$bytes"},
		{"db", "table.query", "SELECT ?", `[1,`, nil, 400, "no JSON array"},
		{"db", "table.insert", "t", `[1]`, []string{"Columns: i"}, 400, "array of arrays"},
		{"db", "table.insert", "t", `[[1]]`, nil, 400, "no name"},
		{"db", "table.exec", "INSERT INTO t (i) VALUES (?)", `[1]`, nil, 409, ""},
		{"db", "table.commit", "no-such-id", "", nil, 400, "no open transaction"},
		{"db", "table.exec", "SELECT 1", "", []string{"Transaction: no-such-id"}, 400, "no open transaction"},
	} {
		status, answer, _ := ask(t, s, nil, c.name, c.method, c.path, c.body, c.headers...)
		if status != c.status || !strings.Contains(answer, c.answer) {
			t.Errorf("%s %s %q %v: %d %s, want %d %s", c.method, c.path, c.body, c.headers, status, answer, c.status, c.answer)
		}
	}
	if _, _, v := ask(t, s, nil, "kv", "kv.put", "k", "1"); v == "" {
		t.Error("a write tells no version")
	}
}

// A transaction belongs to whom began it, and ends with its owner.
func TestOwners(t *testing.T) {
	s := opened(t)
	one, two := new(int), new(int)
	exec := func(sql string, headers ...string) int {
		status, answer, _ := ask(t, s, nil, "db", "table.exec", sql, "", headers...)
		if status >= 500 {
			t.Errorf("%s: %d %s", sql, status, answer)
		}
		return status
	}
	exec("CREATE TABLE t (i INTEGER)")
	_, id, _ := ask(t, s, one, "db", "table.begin", "", "")
	exec("INSERT INTO t VALUES (1)", "Transaction: "+id)
	if left := s.Done(two); left != 0 {
		t.Errorf("another owner has %d", left)
	}
	if left := s.Done(one); left != 1 {
		t.Errorf("the owner has left %d", left)
	}
	if status := exec("INSERT INTO t VALUES (2)", "Transaction: "+id); status != 400 {
		t.Errorf("after its end: %d", status)
	}
	_, id, _ = ask(t, s, two, "db", "table.begin", "", "")
	exec("INSERT INTO t VALUES (3)", "Transaction: "+id)
	if status, answer, _ := ask(t, s, two, "kv", "table.commit", id, ""); status != 501 {
		t.Errorf("by another binding: %d %s", status, answer)
	}
	if status, answer, _ := ask(t, s, two, "db", "table.commit", id, ""); status != 204 {
		t.Errorf("commit: %d %s", status, answer)
	}
	if left := s.Done(two); left != 0 {
		t.Errorf("%d are left of one that was committed", left)
	}
	if _, rows, _ := ask(t, s, nil, "db", "table.query", "SELECT i FROM t", ""); !strings.Contains(rows, "[[3]]") {
		t.Errorf("%s", rows)
	}
}
