package runtimetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// Bind is the function of fixtures that use bindings. The body says what it
// does with which of [Bound], and what it answers, joined by "|":
//
//	names      their names, sorted
//	kv         puts "hello" under "k" for 60 seconds and answers the version; gets it; its entry's version;
//	           puts "other" if that is the version, and answers the new one; does so again and answers
//	           the status of the failure; gets "none" and answers "none"; adds 5, then 2 to "n"; scans "k"; deletes "k" and gets it
//	object     puts 100000 bytes "o" of type text/x as "a/b"; gets it and answers the length; gets bytes 1 to 3 likewise; its type, its size by
//	           stat, and the name of the first of "a/" by list; deletes it and gets it
//	table      queries "select ?, ?" with 7 and "x'y" and answers columns a and b of the first row; executes "update t"; inserts [1, "p"] and
//	           [2, "q"] into columns a and b of t; in a transaction executes "in it"
//	stream     publishes "m" to "t" with key "k" and header A of value 1, and answers "published"
//	get KEY    gets KEY of items and answers its length
//	large N    puts N bytes "c" under "large", and answers how many it gets if all are
//	many N     gets "echo:0" to "echo:N-1", all at once, and answers how many values are what follows the colon
//	timeout    gets "slow" for 50 ms at most
//	leave      begins a transaction and, if the runtime can, a get of "slow" without waiting; answers "left " and how many calls are on their way
//	unknown    looks for the binding "nowhere"
//
// What fails, it answers with "failed ", the status, a space and the message.
const Bind = "bind"

// Bound are the bindings of [Bind].
func Bound() []runtime.Binding {
	return []runtime.Binding{{Name: "items", Class: "kv"}, {Name: "objects", Class: "object"}, {Name: "db", Class: "table"}, {Name: "topics", Class: "stream"}}
}

// RunBindings checks the bindings of f's functions only; [Run] includes it.
func RunBindings(t *testing.T, f Fixture) {
	for name, run := range map[string]func(*testing.T, Fixture){"Bindings": bindings, "BindingsLarge": bindingsLarge, "BindingsLeft": bindingsLeft, "BindingsEnd": bindingsEnd} {
		t.Run(name, func(t *testing.T) { run(t, f) })
	}
}

// store is the processor's side of the bindings: maps, and a list of what was
// done with the rest.
type store struct {
	mu      sync.Mutex
	values  map[string][]byte
	version map[string]int
	done    []string
	open    map[*runtime.Scope]int // transactions
	slow    int                    // calls that wait
	ended   int                    // of them
}

func newStore() *store {
	return &store{values: map[string][]byte{}, version: map[string]int{}, open: map[*runtime.Scope]int{}}
}

// Done implements runtime.Ender.
func (s *store) Done(of *runtime.Scope) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.open[of] {
		s.done = append(s.done, "rolled back")
	}
	delete(s.open, of)
	return nil
}

// Do implements runtime.Caller.
func (s *store) Do(ctx context.Context, c *runtime.Call, answer *event.Response) error {
	if c.Kind != runtime.CallBinding || c.Scope == nil {
		return event.Errorf(http.StatusBadRequest, "call of kind %d, scope %v", c.Kind, c.Scope)
	}
	given := map[string]string{}
	for _, h := range c.Headers {
		given[h.Key] = h.Value
	}
	if c.Path == "slow" {
		return s.wait(ctx)
	}
	if status, err := strconv.Atoi(c.Path); err == nil {
		return event.Errorf(status, "it is %s", http.StatusText(status))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch class, verb, _ := strings.Cut(c.Method, "."); class {
	case "kv", "object":
		return s.value(c, class, verb, given, answer)
	case "table":
		return s.table(c, verb, given, answer)
	}
	s.done = append(s.done, fmt.Sprint(c.Method, " ", c.Name, " ", c.Path, " ", given, " ", string(c.Body)))
	answer.Status = http.StatusNoContent
	return nil
}

func (s *store) wait(ctx context.Context) error {
	s.mu.Lock()
	s.slow++
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.ended++
	s.mu.Unlock()
	return event.Errorf(http.StatusGatewayTimeout, "it was not done in time")
}

func (s *store) value(c *runtime.Call, class, verb string, given map[string]string, answer *event.Response) error {
	key := class + " " + c.Path
	v, there := s.values[key]
	version := strconv.Itoa(s.version[key])
	wanted, conditional := given["If-Version"]
	switch verb {
	case "get":
		if echo, ok := strings.CutPrefix(c.Path, "echo:"); ok {
			v, there = []byte(echo), true
		}
		if !there {
			return event.Errorf(http.StatusNotFound, "%s is not there", c.Path)
		}
		if from, to, ok := strings.Cut(given["Range"], "-"); ok {
			i, _ := strconv.Atoi(from)
			j, _ := strconv.Atoi(to)
			v = v[i : j+1]
		}
		answer.Body = append(answer.Body, v...)
		answer.ContentType = string(s.values["type "+c.Path])
	case "put":
		if conditional && (!there && wanted != "" || there && wanted != version) {
			return event.Errorf(http.StatusConflict, "%s has version %s", c.Path, version)
		}
		s.values[key], s.values["type "+c.Path] = slices.Clone(c.Body), []byte(given["Content-Type"])
		s.version[key]++
		version = strconv.Itoa(s.version[key])
		s.done = append(s.done, fmt.Sprint("put ", c.Path, " ", given["Ttl"]))
	case "add":
		was, _ := strconv.Atoi(string(v))
		n, err := strconv.Atoi(string(c.Body))
		if err != nil {
			return event.Errorf(http.StatusBadRequest, "%q is no number", c.Body)
		}
		s.values[key] = strconv.AppendInt(nil, int64(was+n), 10)
		answer.Body = append(answer.Body, s.values[key]...)
	case "delete":
		delete(s.values, key)
		answer.Status = http.StatusNoContent
	case "stat":
		answer.Body = fmt.Appendf(answer.Body, `{"name":%q,"size":%d}`, c.Path, len(v))
	default:
		return s.list(c, class, verb, answer)
	}
	answer.Header = append(answer.Header, event.Field{Key: "Version", Value: version})
	return nil
}

// list answers with the keys, or objects, that begin with a prefix.
func (s *store) list(c *runtime.Call, class, verb string, answer *event.Response) (err error) {
	found := []any{}
	for k := range s.values {
		if name, ok := strings.CutPrefix(k, class+" "); ok && strings.HasPrefix(name, c.Path) {
			if verb == "scan" {
				found = append(found, name)
			} else {
				found = append(found, map[string]any{"name": name})
			}
		}
	}
	answer.Body, err = json.Marshal(found)
	return err
}

func (s *store) table(c *runtime.Call, verb string, given map[string]string, answer *event.Response) error {
	tx := ""
	if t, ok := given["Transaction"]; ok {
		tx = " in " + t
	}
	s.done = append(s.done, strings.Join(strings.Fields(fmt.Sprint(verb, " ", c.Path, tx, " ", given["Columns"], " ", compact(c.Body))), " "))
	switch verb {
	case "query":
		answer.Body = fmt.Appendf(answer.Body, `{"columns":["a","b"],"rows":[%s]}`, c.Body)
	case "begin":
		s.open[c.Scope]++
		answer.Body = append(answer.Body, "tx1"...)
	case "commit", "rollback":
		if s.open[c.Scope] == 0 {
			return event.Errorf(http.StatusNotFound, "no such transaction")
		}
		s.open[c.Scope]--
		answer.Status = http.StatusNoContent
	default:
		answer.Body = fmt.Appendf(answer.Body, `{"affected":%d}`, max(1, strings.Count(string(c.Body), "["))) // of rows and their list
	}
	return nil
}

// compact leaves out the spaces of JSON, and empty lists.
func compact(b []byte) string {
	var to bytes.Buffer
	if json.Compact(&to, b) != nil || to.String() == "[]" {
		return ""
	}
	return to.String()
}

func (s *store) is(ok func(*store) bool) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return ok(s)
	}
}

// did returns what was done since the last time, and forgets it.
func (s *store) did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.done
	s.done = nil
	return done
}

func bindings(t *testing.T, f Fixture) {
	s := newStore()
	in := f.caller(t, Bind, s)
	for _, c := range []struct {
		body, want string
		did        []string
	}{
		{"names", "db,items,objects,topics", nil},
		{"kv", "1|hello|1|2|409|none|5|7|k|none", []string{"put k 60", "put k "}},
		{"object", "100000|3|text/x|100000|a/b|none", []string{"put a/b "}},
		{"table", "7|x'y|1|3|1", []string{`query select ?, ? [7,"x'y"]`, "exec update t", `insert t a,b [[1,"p"],[2,"q"]]`, "begin", "exec in it in tx1", "commit tx1"}},
		{"stream", "published", []string{"stream.publish topics t map[H-A:1 Key:k] m"}},
		{"get 429", "failed 429 it is Too Many Requests", nil},
		{"get 503", "failed 503 it is Service Unavailable", nil},
		{"get 501", "failed 501 it is Not Implemented", nil},
		{"many 300", "300", nil},
	} {
		for range 2 {
			answers(t, in, c.body, c.want)
			if did := s.did(); !slices.Equal(did, c.did) {
				t.Errorf("%s did\n%q, want\n%q", c.body, did, c.did)
			}
			s.mu.Lock()
			clear(s.values)
			clear(s.version)
			s.mu.Unlock()
		}
	}
	resp, err := invoke(t, in, newEvent("unknown"))
	if got := string(resp.Body); err != nil || !strings.HasPrefix(got, "failed 404 ") || !strings.Contains(got, "nowhere") || !strings.Contains(got, "db, items, objects, topics") {
		t.Errorf("unknown binding: %q, %v", got, err)
	}
	resp, err = invoke(t, in, newEvent("timeout"))
	if got := string(resp.Body); err != nil || !strings.HasPrefix(got, "failed 504 ") {
		t.Errorf("timeout: %q, %v", got, err)
	}
}

// bindingsLarge checks values of every way through the channel, and that the
// memory of those that were read is used again.
func bindingsLarge(t *testing.T, f Fixture) {
	in := f.caller(t, Bind, newStore())
	for _, n := range []int{0, 1, 3000, 100_000, 1 << 20, 6_000_000} {
		for range 3 {
			answers(t, in, fmt.Sprint("large ", n), strconv.Itoa(n))
		}
	}
	for range 300 { // as many as there are cells, and more
		answers(t, in, "large 70000", "70000")
	}
}

// bindingsLeft checks that what an event leaves behind ends with it.
func bindingsLeft(t *testing.T, f Fixture) {
	s := newStore()
	in := f.caller(t, Bind, s)
	for i := range 3 {
		resp, err := invoke(t, in, newEvent("leave"))
		var left int
		if _, serr := fmt.Sscanf(string(resp.Body), "left %d", &left); err != nil || serr != nil {
			t.Fatalf("%q, %v", resp.Body, err)
		}
		s.mu.Lock()
		if s.slow != s.ended || len(s.open) != 0 || s.done[len(s.done)-1] != "rolled back" || len(s.done) != 2*(i+1) {
			t.Errorf("event %d left %d calls: of %d that began %d were ended; did %q", i, left, s.slow, s.ended, s.done)
		}
		s.mu.Unlock()
	}
	answers(t, in, "names", "db,items,objects,topics")
}

// bindingsEnd kills a worker in the middle of a call.
func bindingsEnd(t *testing.T, f Fixture) {
	s := newStore()
	in := f.caller(t, Bind, s)
	killer, ok := in.(runtime.Killer)
	if !ok {
		t.Skip("an instance of this runtime cannot be killed")
	}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), newEvent("get slow"), &event.Response{}) }()
	eventually(t, s.is(func(s *store) bool { return s.slow == 1 }))
	if err := killer.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done); err == nil {
		t.Error("the event of a dead worker was answered")
	}
	eventually(t, s.is(func(s *store) bool { return s.ended == 1 }))
}
