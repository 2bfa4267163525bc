package e2e

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

// Functions that do the same with the same data, in three languages: body
// "write" counts, inserts a row in a transaction and files an object of 1 MiB;
// "count" answers the rows; "leave" leaves a transaction open, and "hang" does
// not even return; "escape" leads out of the directory, "inject" out of SQL.
const bindingPython = `
import time
def handler(context, event):
    keys, db, files = (context.bindings[n] for n in ('keys', 'db', 'files'))
    what = event.body.decode()
    if what == 'write':
        with db.transaction() as tx:
            tx.insert('t', ['who', 'n'], [['python', keys.add('count')]])
        files.put('python/x', b'x' * (1 << 20), content_type='text/plain')
        view = files.get('python/x')
        return '%s %d %s' % (keys.get('count').tobytes().decode(), len(view), files.stat('python/x')['contentType'])
    if what in ('leave', 'hang'):
        db.transaction().__enter__().insert('t', ['who'], [['nobody']])
        time.sleep(1000 if what == 'hang' else 0)
        return 'left'
    if what == 'escape':
        try:
            return files.get('../../secret')
        except ValueError as exc:
            return str(exc.status)
    if what == 'remember':
        try:
            return context.state.get('x')
        except LookupError as exc:
            return str(exc.status)
    if what == 'inject':
        return str(len(db.query('select * from t where who = ?', "x' or '1'='1'; drop table t; --")))
    return str(db.query('select count(*) as n from t')[0]['n'])
`

const bindingAsync = `
import asyncio
async def handler(context, event):
    keys, db, files = (context.bindings[n] for n in ('keys', 'db', 'files'))
    what = event.body.decode()
    if what == 'write':
        async with db.transaction() as tx:
            await tx.insert('t', ['who', 'n'], [['async', await keys.add('count')]])
        await files.put('async/x', b'x' * (1 << 20), content_type='text/plain')
        count, view, stat = await asyncio.gather(keys.get('count'), files.get('async/x'), files.stat('async/x'))
        return '%s %d %s' % (bytes(count).decode(), len(view), stat['contentType'])
    if what in ('leave', 'hang'):
        tx = await db.transaction().__aenter__()
        await tx.insert('t', ['who'], [['nobody']])
        await asyncio.sleep(1000 if what == 'hang' else 0)
        return 'left'
    if what == 'escape':
        try:
            return await files.get('../../secret')
        except ValueError as exc:
            return str(exc.status)
    if what == 'remember':
        try:
            return await context.state.get('x')
        except LookupError as exc:
            return str(exc.status)
    if what == 'inject':
        return str(len(await db.query('select * from t where who = ?', "x' or '1'='1'; drop table t; --")))
    return str((await db.query('select count(*) as n from t'))[0]['n'])
`

const bindingNode = `
exports.handler = async (context, event) => {
  const { keys, db, files } = context.bindings, what = event.text()
  if (what === 'write') {
    await db.transaction(async (tx) => tx.insert('t', ['who', 'n'], [['nodejs', await keys.add('count')]]))
    await files.put('nodejs/x', Buffer.alloc(1 << 20, 'x'), { contentType: 'text/plain' })
    return [await keys.get('count'), (await files.get('nodejs/x')).length, (await files.stat('nodejs/x')).contentType].join(' ')
  }
  if (what === 'leave' || what === 'hang') {
    await new Promise((begun) => db.transaction(async (tx) => {
      await tx.insert('t', ['who'], [['nobody']])
      if (what === 'leave') begun()
      return new Promise(() => {})
    }))
    return 'left'
  }
  if (what === 'escape') return files.get('../../secret').catch((err) => String(err.bindingStatus))
  if (what === 'remember') {
    try {
      return await context.state.get('x')
    } catch (err) {
      return String(err.bindingStatus)
    }
  }
  if (what === 'inject') return String((await db.query('select * from t where who = ?', ["x' or '1'='1'; drop table t; --"])).length)
  return String((await db.query('select count(*) as n from t'))[0].n)
}
`

const bindingJava = `
import java.util.List;
import run.myelin.*;

public class F implements MyelinHandler {
    @Override
    public Object handle(Context context, Event event) throws Exception {
        Kv keys = context.binding("keys");
        Table db = context.binding("db");
        Objects files = context.binding("files");
        switch (event.text()) {
            case "write":
                try (Transaction tx = db.begin()) {
                    tx.insert("t", List.of("who", "n"), List.of(List.of("java", keys.add("count", 1))));
                    tx.commit();
                }
                files.put("java/x", "x".repeat(1 << 20), With.options().type("text/plain"));
                return new String(keys.get("count")) + " " + files.get("java/x").length + " " + files.stat("java/x").get("contentType");
            case "leave", "hang":
                db.begin().insert("t", List.of("who"), List.of(List.of("nobody")));
                if (event.text().equals("hang")) Thread.sleep(1000000);
                return "left";
            case "escape":
                try {
                    return files.get("../../secret");
                } catch (BindingError e) {
                    return String.valueOf(e.status());
                }
            case "remember":
                try {
                    return context.state().get("x");
                } catch (BindingError e) {
                    return String.valueOf(e.status());
                }
            case "inject":
                return String.valueOf(db.query("select * from t where who = ?", "x' or '1'='1'; drop table t; --").size());
        }
        return String.valueOf(db.query("select count(*) as n from t").get(0).get("n"));
    }
}
`

// The same keys, tables and objects from functions in three languages, one
// after the other. What a handler leaves open, or a killed worker, holds nobody up.
func TestBindingsInThreeLanguages(t *testing.T) {
	dir := t.TempDir()
	spec := fmt.Sprintf("    eventTimeout: 60s\n    dataBindings:\n      keys: {class: kv, kind: embedded, path: %[1]s/keys}\n      db: {class: table, kind: sqlite, path: %[1]s/db}\n"+
		"      files: {class: object, kind: directory, path: %[1]s/files}\n", dir)
	first := startPython(t, "def handler(context, event):\n    context.bindings['db'].exec('create table t (who text, n integer)')\n    return 'made'\n", spec)
	if status, body, err := post(first.URL, ""); err != nil || body != "made" {
		t.Fatal(status, body, err)
	}
	if code := first.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, first.read("processor.log"))
	}
	for i, l := range []struct {
		name  string
		serve func(t testing.TB, source, spec string) *Processor
		code  string
	}{{"python", startPython, bindingPython}, {"async", startPython, bindingAsync}, {"nodejs", startNode, bindingNode}, {"java", startJava, bindingJava}} {
		t.Run(l.name, func(t *testing.T) {
			p := l.serve(t, l.code, spec)
			rows := fmt.Sprint(i + 1)
			for _, c := range [][2]string{{"write", rows + " 1048576 text/plain"}, {"leave", "left"}, {"leave", "left"}, {"count", rows}, {"escape", "400"}, {"remember", "404"}, {"inject", "0"}, {"count", rows}} {
				if status, body, err := post(p.URL, c[0]); err != nil || status != 200 || body != c[1] {
					t.Fatalf("%s: %d %q, %v, want %q\n%s", c[0], status, body, err, c[1], p.read("function.log"))
				}
			}
			hung := make(chan int, 1)
			go func() {
				status, _, _ := post(p.URL, "hang")
				hung <- status
			}()
			eventually(t, "a transaction is open", func() bool {
				return p.calls("table.insert") == 4
			})
			for _, pid := range p.workers() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			if status := <-hung; status == 200 {
				t.Error("a killed worker answered")
			}
			if status, body, err := post(p.URL, "count"); err != nil || status != 200 || body != rows {
				t.Errorf("after a kill: %d %q, %v", status, body, err)
			}
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func (p *Processor) metrics() string {
	resp, err := fresh.Get(p.Admin + "/metrics")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// calls counts the calls of bindings of an operation.
func (p *Processor) calls(operation string) (n int) {
	for line := range strings.Lines(p.metrics()) {
		if strings.HasPrefix(line, "myelin_binding_duration_seconds_count") && strings.Contains(line, `operation="`+operation+`"`) {
			var one int
			_, _ = fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &one)
			n += one
		}
	}
	return n
}
