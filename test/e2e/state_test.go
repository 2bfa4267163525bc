package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	client "github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

// Functions that remember ("count NAME", "forget NAME") and publish several
// messages at once ("publish"), of which one cannot be ("part").
const statePython = `
def handler(context, event):
    what, _, name = event.body.decode().partition(' ')
    if what == 'count':
        n = int(context.state.get(name, 0)) + 1
        context.state.put(name, str(n))
        return str(n)
    if what == 'forget':
        return str(context.state.delete(name))
    out = context.bindings['out']
    try:
        if what == 'part':
            out.publish_all([('more', '1'), ('text', '2'), ('more', '3')])
        else:
            out.publish_all([('all', 'text'), ('all', b'\xff\x00', b'k\xff', {'X-N': 1}), ('all', {'n': 1}, 'key')])
            out.publish('all', 'alone', key=b'k\xff')
        return 'published'
    except ValueError as exc:
        return '%d %s' % (exc.status, exc.unpublished)
`

const stateAsync = `
async def handler(context, event):
    what, _, name = event.body.decode().partition(' ')
    if what == 'count':
        n = int(await context.state.get(name, 0)) + 1
        await context.state.put(name, str(n))
        return str(n)
    if what == 'forget':
        return str(await context.state.delete(name))
    out = context.bindings['out']
    try:
        if what == 'part':
            await out.publish_all([('more', '1'), ('text', '2'), ('more', '3')])
        else:
            await out.publish_all([('all', 'text'), ('all', b'\xff\x00', b'k\xff', {'X-N': 1}), ('all', {'n': 1}, 'key')])
            await out.publish('all', 'alone', key=b'k\xff')
        return 'published'
    except ValueError as exc:
        return '%d %s' % (exc.status, exc.unpublished)
`

const stateNode = `
exports.handler = async (context, event) => {
  const [what, name] = event.text().split(' '), { state } = context, { out } = context.bindings
  if (what === 'count') {
    const n = Number(await state.get(name) ?? 0) + 1
    await state.put(name, String(n))
    return String(n)
  }
  if (what === 'forget') return await state.delete(name) === undefined ? 'None' : ''
  const odd = Buffer.from([0x6b, 0xff])
  try {
    if (what === 'part') await out.publishAll([{ topic: 'more', value: '1' }, { topic: 'text', value: '2' }, { topic: 'more', value: '3' }])
    else {
      await out.publishAll([{ topic: 'all', value: 'text' }, { topic: 'all', value: Buffer.from([0xff, 0]), key: odd, headers: { 'X-N': 1 } },
        { topic: 'all', value: { n: 1 }, key: 'key' }])
      await out.publish('all', 'alone', { key: odd })
    }
    return 'published'
  } catch (err) {
    return err.bindingStatus + ' [' + err.unpublished + ']'
  }
}
`

const stateJava = `
import java.util.List;
import java.util.Map;
import run.myelin.*;

public class F implements MyelinHandler {
    @Override
    public Object handle(Context context, Event event) {
        String[] said = event.text().split(" ");
        State state = context.state();
        switch (said[0]) {
            case "count":
                byte[] found = state.get(said[1]);
                long n = found == null ? 1 : Long.parseLong(new String(found)) + 1;
                state.put(said[1], String.valueOf(n));
                return String.valueOf(n);
            case "forget":
                state.delete(said[1]);
                return "None";
        }
        Topics out = context.binding("out");
        try {
            if (said[0].equals("part")) {
                out.publishAll(List.of(new Message("more", "1"), new Message("text", "2"), new Message("more", "3")));
            } else {
                out.publishAll(List.of(new Message("all", "text"), new Message("all", new byte[] {-1, 0}, new byte[] {'k', -1}, Map.of("X-N", "1")),
                    new Message("all", Map.of("n", 1), "key")));
                out.publish("all", "alone", With.options().key("k"));
            }
            return "published";
        } catch (BindingError e) {
            return e.status() + " " + e.unpublished();
        }
    }
}
`

// What a function remembers, and many messages in one call, in three languages.
func TestStateInThreeLanguages(t *testing.T) {
	addr := servers.Redis(t).Addr
	c := client.NewClient(&client.Options{Addr: addr})
	defer c.Close()
	for _, l := range []struct {
		name  string
		serve func(t testing.TB, source, spec string) *Processor
		code  string
		alone string // the key of the last message
	}{{"python", startPython, statePython, "k\xff"}, {"async", startPython, stateAsync, "k\xff"}, {"nodejs", startNode, stateNode, "k\xff"}, {"java", startJava, stateJava, "k"}} {
		t.Run(l.name, func(t *testing.T) {
			if err := c.Set(t.Context(), l.name+"-text", "no stream", 0).Err(); err != nil {
				t.Fatal(err)
			}
			p := l.serve(t, l.code, fmt.Sprintf("    state: {binding: counts}\n    dataBindings:\n      counts: {class: table, kind: sqlite, path: %s/counts}\n"+
				"      out: {class: stream, kind: redis, url: 'redis://%s', path: %s-}\n", t.TempDir(), addr, l.name))
			for _, say := range [][2]string{{"count ann", "1"}, {"count ann", "2"}, {"count bob", "1"}, {"forget ann", "None"}, {"forget ann", "None"}, {"count ann", "1"},
				{"count bob", "2"}, {"publish", "published"}, {"part", "400 [1]"}} {
				if got := traced(t, p.URL, say[0]); got != say[1] {
					t.Errorf("%s: %q, want %q\n%s", say[0], got, say[1], p.read("function.log"))
				}
			}
			entries, err := c.XRange(t.Context(), l.name+"-all", "-", "+").Result()
			if err != nil || len(entries) != 4 {
				t.Fatalf("%v, %v", entries, err)
			}
			for i, want := range []map[string]any{{"body": "text"}, {"body": "\xff\x00", "key": "k\xff", "X-N": "1"}, {"body": `{"n":1}`, "key": "key"}, {"body": "alone", "key": l.alone}} {
				got := entries[i].Values
				if parent, _ := got["traceparent"].(string); !strings.HasPrefix(parent, "00-"+sameTrace) {
					t.Errorf("message %d is of trace %q", i, parent)
				}
				delete(got, "traceparent")
				if body, _ := got["body"].(string); i == 2 {
					got["body"] = strings.ReplaceAll(body, " ", "")
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("message %d is %q, want %q", i, got, want)
				}
			}
			if n := c.XLen(t.Context(), l.name+"-more").Val(); n != 2 {
				t.Errorf("%d messages, want the 2 that can be", n)
			}
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

const sameTrace = "0af7651916cd43dd8448eb211c80319c"

// traced says something to a function as a part of the trace.
func traced(t *testing.T, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Traceparent", "00-"+sameTrace+"-b7ad6b7169203331-01")
	resp, err := fresh.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
