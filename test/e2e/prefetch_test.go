package e2e

import (
	"fmt"
	"testing"
)

// Functions that get a user by the name in the event, which was fetched before
// they began; "set" writes first.
const fetchedPython = `
import json
def handler(context, event):
    users, db = context.bindings['users'], context.bindings['db']
    said = json.loads(bytes(event.body_view))
    if 'user' not in said:
        return 'nobody %s' % users.fetched('who')
    key = 'user:' + said['user']
    if 'set' in said:
        users.put(key, said['set'])
        db.insert('o', ['who', 'n'], [[said['user'], 1]])
    v, rows = users.get(key), db.fetched('mine')
    return '%s %s' % (str(v, 'utf-8') if v is not None else None, len(rows) if rows is not None else 'written')
`

const fetchedAsync = `
import json
async def handler(context, event):
    users, db = context.bindings['users'], context.bindings['db']
    said = json.loads(bytes(event.body_view))
    if 'user' not in said:
        return 'nobody %s' % await users.fetched('who')
    key = 'user:' + said['user']
    if 'set' in said:
        await users.put(key, said['set'])
        await db.insert('o', ['who', 'n'], [[said['user'], 1]])
    v, rows = await users.get(key), await db.fetched('mine')
    return '%s %s' % (str(v, 'utf-8') if v is not None else None, len(rows) if rows is not None else 'written')
`

const fetchedNode = `
exports.handler = async (context, event) => {
  const { users, db } = context.bindings, said = JSON.parse(event.text())
  if (typeof said.user !== 'string') return await users.fetched('who') === null ? 'nobody None' : 'somebody'
  const key = 'user:' + said.user
  if (said.set) {
    await users.put(key, said.set)
    await db.insert('o', ['who', 'n'], [[said.user, 1]])
  }
  const v = await users.get(key), rows = await db.fetched('mine')
  return (v === null ? 'None' : v) + ' ' + (rows === null ? 'written' : rows.length)
}
`

const fetchedJava = `
import java.util.List;
import java.util.Map;
import java.util.regex.*;
import run.myelin.*;

public class F implements MyelinHandler {
    private static final Pattern USER = Pattern.compile("\"user\":\"([^\"]*)\"(,\"set\":\"([^\"]*)\")?");

    @Override
    public Object handle(Context context, Event event) {
        Kv users = context.binding("users");
        Table db = context.binding("db");
        Matcher said = USER.matcher(event.text());
        if (!said.find()) return users.fetched("who") == null ? "nobody None" : "somebody";
        String key = "user:" + said.group(1);
        if (said.group(3) != null) {
            users.put(key, said.group(3));
            db.insert("o", List.of("who", "n"), List.of(List.of(said.group(1), 1)));
        }
        byte[] v = users.get(key);
        List<Map<String, Object>> rows = db.fetched("mine");
        return (v == null ? "None" : new String(v)) + " " + (rows == null ? "written" : rows.size());
    }
}
`

// What an event names is there when the function begins: its calls ask nobody.
func TestPrefetch(t *testing.T) {
	spec := fmt.Sprintf("    dataBindings:\n      users: {kind: embedded, path: %[1]s/keys, prefetch: [{get: 'user:{event.body.user}', as: who}]}\n"+
		"      db: {class: table, kind: sqlite, path: %[1]s/db, prefetch: [{query: 'select * from o where who = ?', params: ['{event.body.user}'], as: mine}]}\n", t.TempDir())
	first := startPython(t, "def handler(context, event):\n    context.bindings['db'].exec('create table o (who text, n integer)')\n    return 'made'\n", spec)
	if status, body, err := post(first.URL, ""); err != nil || body != "made" {
		t.Fatal(status, body, err)
	}
	if code := first.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, first.read("processor.log"))
	}
	for _, l := range []struct {
		name  string
		serve func(t testing.TB, source, spec string) *Processor
		code  string
	}{{"python", startPython, fetchedPython}, {"async", startPython, fetchedAsync}, {"nodejs", startNode, fetchedNode}, {"java", startJava, fetchedJava}} {
		t.Run(l.name, func(t *testing.T) {
			p := l.serve(t, l.code, spec)
			for i, c := range [][2]string{
				{`{"user":"` + l.name + `"}`, "None 0"}, {`{"user":"` + l.name + `","set":"new"}`, "new written"},
				{`{"user":"` + l.name + `"}`, "new 1"}, {`{}`, "nobody None"}, {`no JSON`, ""},
				{`{"user":"' or '1'='1"}`, "None 0"}, {`{"user":{"a":1}}`, ""},
			} {
				if status, body, err := post(p.URL, c[0]); err != nil || c[1] != "" && (status != 200 || body != c[1]) {
					t.Errorf("%d %s: %d %q, %v, want %q\n%s", i, c[0], status, body, err, c[1], p.read("function.log"))
				}
			}
			// one for each event that names a user, and one after the write
			if n := p.calls("kv.get"); n != 5 {
				t.Errorf("%d values were asked for, want 5", n)
			}
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
