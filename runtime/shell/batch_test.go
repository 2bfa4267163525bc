package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// batchFunction is what the suite asks of functions that take lists.
const batchFunction = `#!/bin/sh
n=$MYELIN_BATCH_SIZE
cut -d'"' -f8 >bodies
grep -q '^raise$' bodies && { echo deliberate failure; exit 3; }
sed <bodies -e /^short$/d \
	-e 's/^error$/{"error": "a deliberate failure"}/;t' \
	-e 's/^teapot$/{"status": 418, "body": "'$n':teapot"}/;t' \
	-e "s/^/\"$n:/;s/\$/\"/"
`

// list runs a script once for a list of bodies.
func list(t *testing.T, script, form string, logs *slog.Logger, bodies ...string) ([]*event.Response, []error) {
	t.Helper()
	in, err := load(t, "f.sh", script, 0o755, map[string]any{"batch": form, "arguments": "an argument", "maxOutput": "512Ki"}, logs).Open(t.Context(), runtime.Worker{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close(context.Background())
	var evs []*event.Event
	var resps []*event.Response
	var errs []error
	for k, body := range bodies {
		evs = append(evs, &event.Event{ID: []byte(fmt.Sprintf("id-%d", k)), Body: []byte(body), Source: &event.Source{Kind: "http", Name: "web"},
			Headers: event.Pairs{{Key: "X-A", Value: []byte("1")}, {Key: "X-A", Value: []byte("2")}, {Key: "X-Nuclio-Arguments", Value: []byte("others")}},
			Shards:  3, Topic: "t", LogAsked: k == 0})
		resps, errs = append(resps, &event.Response{}), append(errs, event.ErrNotRun)
	}
	in.(runtime.Batcher).InvokeBatch(t.Context(), evs, resps, errs)
	return resps, errs
}

func texts(resps []*event.Response) (all []string) {
	for _, r := range resps {
		all = append(all, string(r.Body))
	}
	return all
}

// One process gets the bodies of a list, and its lines are their answers.
func TestListsOfBodies(t *testing.T) {
	lines := "#!/bin/sh\necho $$ >&2\nwhile read -r line; do echo \"$MYELIN_BATCH_SIZE $NUCLIO_TRIGGER_NAME $1 $line\"; done\n"
	var logs bytes.Buffer
	resps, errs := list(t, lines, "lines", slog.New(slog.NewTextHandler(&logs, nil)), "a", "two\nlines", "", "c d")
	if got := texts(resps); !reflect.DeepEqual(got, []string{"3 web an a", "", "3 web an ", "3 web an c d"}) {
		t.Errorf("answered %q", got)
	}
	var failed *event.Error
	if errs[0] != nil || errs[2] != nil || errs[3] != nil || !errors.As(errs[1], &failed) || failed.Status != 400 || !event.IsPermanent(errs[1]) {
		t.Errorf("outcomes %v", errs)
	}
	if strings.Count(logs.String(), "level=ERROR") != 1 || strings.Contains(logs.String(), "event=") || len(resps[0].Logs) != 1 {
		t.Errorf("logged %s, told %v", logs.String(), resps[0].Logs)
	}
	resps, errs = list(t, "#!/bin/sh\ntr a-z A-Z\n", "nul", quiet, "a\nb", "", "c")
	if got := texts(resps); !reflect.DeepEqual(got, []string{"A\nB", "", "C"}) || errs[0] != nil {
		t.Errorf("answered %q, %v", got, errs)
	}
	if _, errs = list(t, "#!/bin/sh\nexit 1\n", "nul", quiet, "a\x00b"); !event.IsPermanent(errs[0]) || !strings.Contains(errs[0].Error(), "a zero byte") {
		t.Errorf("a body that cannot be written: %v", errs)
	}
}

// A list fails as a whole if its command does.
func TestListsThatFail(t *testing.T) {
	for script, want := range map[string]string{
		"cat; exit 4":           "exit status 4",
		"cat; echo more":        "3 responses to 2 events",
		"true":                  "0 responses to 2 events",
		"yes | head -c 1000000": "above the limit",
	} {
		resps, errs := list(t, "#!/bin/sh\n"+script+"\n", "lines", quiet, strings.Repeat("a", 300<<10), "b")
		for k, err := range errs {
			if err == nil || !strings.Contains(err.Error(), want) || len(resps[k].Body) > 0 {
				t.Errorf("%s: %.60v, %d bytes", script, err, len(resps[k].Body))
			}
		}
	}
}

// Events and answers may be objects.
func TestListsOfObjects(t *testing.T) {
	const script = "#!/bin/sh\ncat >&2\n" + `cat <<'END'
{"status": 201, "body": "b", "contentType": "text/x", "headers": {"X-B": "c"}}
{"error": "missing", "status": 404, "permanent": true}
{"bodyBase64": "AP8="}
{"boddy": 1}
"a" "b"
{"status": 42}
no JSON
""
END
`
	var logs bytes.Buffer
	resps, errs := list(t, script, "json", slog.New(slog.NewTextHandler(&logs, nil)), "a", "\xff", "3", "4", "5", "6", "7", "8")
	if r := resps[0]; errs[0] != nil || r.Status != 201 || string(r.Body) != "b" || r.ContentType != "text/x" || !reflect.DeepEqual(r.Header, []event.Field{{Key: "X-B", Value: "c"}}) {
		t.Errorf("answered %+v, %v", r, errs[0])
	}
	var failed *event.Error
	if !errors.As(errs[1], &failed) || *failed != (event.Error{Status: 404, Message: "missing"}) || !event.IsPermanent(errs[1]) {
		t.Errorf("an error: %v", errs[1])
	}
	if string(resps[2].Body) != "\x00\xff" || errs[2] != nil || len(resps[7].Body) > 0 || errs[7] != nil {
		t.Errorf("bytes %q, nothing %q, %v", resps[2].Body, resps[7].Body, errs)
	}
	for k := 3; k < 7; k++ {
		if !errors.As(errs[k], &failed) || failed.Status != 500 {
			t.Errorf("answer %d that is none: %v", k, errs[k])
		}
	}
	for _, want := range []string{`\"id\":\"id-0\",\"body\":\"a\"`, `\"bodyBase64\":\"/w==\"`, `\"X-A\":\"1\"`, `\"shard\":0,\"offset\":0`} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("no %s in %s", want, logs.String())
		}
	}
}

func TestListsAreAskedFor(t *testing.T) {
	in, err := load(t, "f.sh", "cat", 0o644, nil, quiet).Open(t.Context(), runtime.Worker{})
	if err != nil || in.(runtime.Batcher).MaxBatch() != 0 {
		t.Errorf("takes lists that nobody asked for, %v", err)
	}
	r, err := call(t, load(t, "f.sh", "tr a-z A-Z", 0o644, map[string]any{"batch": "lines"}, quiet), &event.Event{Body: []byte("one")})
	if err != nil || string(r.Body) != "ONE" {
		t.Errorf("a list of one: %q, %v", r.Body, err)
	}
	if _, err := Factory().New(runtime.Settings{}, []byte(`{"batch": "csv"}`)); err == nil || !strings.Contains(err.Error(), "lines, nul or json") {
		t.Errorf("another form: %v", err)
	}
}
