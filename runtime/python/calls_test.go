package python

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

const callHead = `
import asyncio, threading
import myelin
def request(body, path='/called?a=b'):
    return myelin.Event(body=body, method='POST', path=path, headers={'X-Own': 'kept'}, content_type='text/x-suite')
def parsed(event):
    name, n, ms = event.body.decode().split()
    return name, request(b'c' * int(n)), int(ms) / 1000 or None
def said(r):
    return '%d %d %s %s' % (r.status_code, len(r.body), r.content_type, r.headers['x-reply'])
`

const bindHead = `
import asyncio, threading
import myelin
def text(v):
    return 'none' if v is None else str(v, 'utf-8')
def joined(out):
    return '|'.join(map(str, out))
`

// callers are the suite's functions that call, plain and asynchronous.
var callers = map[string][2]string{
	runtimetest.Call: {callHead + `
def handler(context, event):
    name, ev, timeout = parsed(event)
    try:
        return said(context.platform.call_function(name, ev, timeout=timeout))
    except myelin.CallError as exc:
        return 'failed: %s' % exc
`, callHead + `
async def handler(context, event):
    name, ev, timeout = parsed(event)
    try:
        return said(await context.platform.call_function_async(name, ev, timeout=timeout))
    except myelin.CallError as exc:
        return 'failed: %s' % exc
`},
	runtimetest.CallMany: {callHead + `
def handler(context, event):
    n, good, threads = int(event.body), [], []
    def one(i):
        if context.platform.call_function('echo', request(str(i))).body == str(i).encode():
            good.append(i)
    for i in range(n):
        threads.append(threading.Thread(target=one, args=(i,)))
        threads[-1].start()
    for t in threads:
        t.join()
    return str(len(good))
`, callHead + `
async def handler(context, event):
    async def one(i):
        r = await context.platform.call_function_async('echo', request(str(i)))
        return r.body == str(i).encode()
    return str(sum(await asyncio.gather(*map(one, range(int(event.body))))))
`},
	runtimetest.Bind: {bindHead + `
def handler(context, event):
    what, _, arg = event.body.decode().partition(' ')
    b = context.bindings
    items, objects, db, topics = b['items'], b['objects'], b['db'], b['topics']
    try:
        if what == 'kv':
            v = items.put('k', 'hello', ttl=60)
            out = [v, text(items.get('k')), items.entry('k').version, items.put('k', b'other', if_version=v)]
            try:
                items.put('k', 'x', if_version=v)
            except myelin.BindingConflict as exc:
                out.append(exc.status)
            out += [text(items.get('none')), items.add('n', 5), items.add('n', 2), *items.scan('k')]
            items.delete('k')
            return joined(out + [text(items.get('k'))])
        if what == 'object':
            objects.put('a/b', b'o' * 100000, content_type='text/x')
            out = [len(objects.get('a/b')), len(objects.get('a/b', range=(1, 3))), objects.entry('a/b').content_type,
                   objects.stat('a/b')['size'], objects.list('a/')[0]['name']]
            objects.delete('a/b')
            return joined(out + [text(objects.get('a/b'))])
        if what == 'table':
            row, = db.query('select ?, ?', 7, "x'y")
            out = [row['a'], row['b'], db.exec('update t'), db.insert('t', ['a', 'b'], [[1, 'p'], (2, 'q')])]
            with db.transaction() as tx:
                out.append(tx.exec('in it'))
            return joined(out)
        if what == 'stream':
            topics.publish('t', 'm', key='k', headers={'A': 1})
            return 'published'
        if what == 'get':
            return str(len(items.get(arg)))
        if what == 'large':
            items.put('large', b'c' * int(arg))
            got = items.get('large')
            return str(len(got)) if bytes(got).strip(b'c') == b'' else 'other bytes'
        if what == 'many':
            good, threads = [], []
            def one(i):
                if items.get('echo:%d' % i) == str(i).encode():
                    good.append(i)
            for i in range(int(arg)):
                threads.append(threading.Thread(target=one, args=(i,)))
                threads[-1].start()
            for t in threads:
                t.join()
            return str(len(good))
        if what == 'timeout':
            items.get('slow', timeout=0.05)
        if what == 'leave':
            db.transaction().__enter__()
            return 'left 0'
        if what == 'unknown':
            b['nowhere']
        return ','.join(sorted(context.data_binding))
    except myelin.BindingError as exc:
        return 'failed %d %s' % (exc.status, exc)
`, bindHead + `
left = []
async def handler(context, event):
    what, _, arg = event.body.decode().partition(' ')
    b = context.bindings
    items, objects, db, topics = b['items'], b['objects'], b['db'], b['topics']
    try:
        if what == 'kv':
            v = await items.put('k', 'hello', ttl=60)
            out = [v, text(await items.get('k')), (await items.entry('k')).version, await items.put('k', b'other', if_version=v)]
            try:
                await items.put('k', 'x', if_version=v)
            except myelin.BindingConflict as exc:
                out.append(exc.status)
            out += [text(await items.get('none')), await items.add('n', 5), await items.add('n', 2), *await items.scan('k')]
            await items.delete('k')
            return joined(out + [text(await items.get('k'))])
        if what == 'object':
            await objects.put('a/b', b'o' * 100000, content_type='text/x')
            out = [len(await objects.get('a/b')), len(await objects.get('a/b', range=(1, 3))), (await objects.entry('a/b')).content_type,
                   (await objects.stat('a/b'))['size'], (await objects.list('a/'))[0]['name']]
            await objects.delete('a/b')
            return joined(out + [text(await objects.get('a/b'))])
        if what == 'table':
            row, = await db.query('select ?, ?', 7, "x'y")
            out = [row['a'], row['b'], await db.exec('update t'), await db.insert('t', ['a', 'b'], [[1, 'p'], (2, 'q')])]
            async with db.transaction() as tx:
                out.append(await tx.exec('in it'))
            return joined(out)
        if what == 'stream':
            await topics.publish('t', 'm', key='k', headers={'A': 1})
            return 'published'
        if what == 'get':
            return str(len(await items.get(arg)))
        if what == 'large':
            await items.put('large', b'c' * int(arg))
            got = await items.get('large')
            return str(len(got)) if bytes(got).strip(b'c') == b'' else 'other bytes'
        if what == 'many':
            all = await asyncio.gather(*(items.get('echo:%d' % i) for i in range(int(arg))))
            return str(sum(v == str(i).encode() for i, v in enumerate(all)))
        if what == 'timeout':
            await items.get('slow', timeout=0.05)
        if what == 'leave':
            await db.transaction().__aenter__()
            left.append(asyncio.ensure_future(items.get('slow')))
            await asyncio.sleep(0)
            return 'left 1'
        if what == 'unknown':
            b['nowhere']
        return ','.join(sorted(context.data_binding))
    except myelin.BindingError as exc:
        return 'failed %d %s' % (exc.status, exc)
`},
	runtimetest.CallBatch: {callHead + `
def handler(context, events):
    return [context.platform.call_function('echo', request(e.body)).body for e in events]
`, callHead + `
async def handler(context, events):
    all = await asyncio.gather(*(context.platform.call_function_async('echo', request(e.body)) for e in events))
    return [r.body for r in all]
`},
}

// callingFunction loads a function of the suite with what it calls by.
func callingFunction(it string, native, async bool) func(testing.TB, string, runtime.Caller) runtime.Runtime {
	return func(t testing.TB, name string, caller runtime.Caller) runtime.Runtime {
		code := callers[name][0]
		if async {
			code = callers[name][1]
		}
		return fixture{code: code, attrs: map[string]any{"interpreter": it, "native": native}, calls: caller}.load(t)
	}
}

// echoes answers every call with its body.
type echoes struct{}

func (echoes) Do(_ context.Context, c *runtime.Call, answer *event.Response) error {
	answer.ContentType = c.ContentType
	answer.Body = append(answer.Body, c.Body...)
	return nil
}

// Ways to call that are none of the suite's.
func TestCallForms(t *testing.T) {
	for _, native := range []bool{true, false} {
		for name, code := range map[string]string{
			"in init": `
def init_context(context):
    context.user_data.r = context.platform.call_function('f', request('ready'))
def handler(context, event):
    return context.user_data.r.body
`, "async in init": `
async def init_context(context):
    context.user_data.r = await context.platform.call_function_async('f', request('ready'))
def handler(context, event):
    return context.user_data.r.body
`, "threads of an asynchronous handler": `
async def handler(context, event):
    loop = asyncio.get_running_loop()
    call = lambda i: context.platform.call_function('f', request(str(i))).body
    got = await asyncio.gather(*(loop.run_in_executor(None, call, i) for i in range(50)))
    return 'ready' if got == [str(i).encode() for i in range(50)] else repr(got)
`, "blocking in an asynchronous handler": `
async def handler(context, event):
    other = asyncio.ensure_future(context.platform.call_function_async('f', request('rea')))
    await asyncio.sleep(0)
    r = context.platform.call_function('f', request('dy'))
    return (await other).body + r.body
`, "awaited in a plain handler": `
def handler(context, event):
    async def both():
        a, b = await asyncio.gather(*(context.platform.call_function_async('f', request(x)) for x in ('rea', 'dy')))
        return a.body + b.body
    return both()
`, "a thread that goes on": `
got, threads = [], []
def handler(context, event):
    def go():
        for i in range(100):
            got.append(context.platform.call_function('f', request(str(i))).body)
    if not threads:
        threads.append(1)
        threading.Thread(target=go).start()
    return 'ready' if len(got) == 100 else 'wait'
`, "cancelled": `
async def handler(context, event):
    for i in range(1000):
        task = asyncio.ensure_future(context.platform.call_function_async('f', request('x')))
        await asyncio.sleep(0)
        task.cancel()
    return (await context.platform.call_function_async('f', request('ready'))).body
`, "json": `
def handler(context, event):
    r = context.platform.call_function('f', myelin.Event(body={'a': [1]}))
    return 'ready' if r.body == {'a': [1]} and r.content_type == 'application/json' else repr(r)
`, "bad": `
def handler(context, event):
    for bad in (dict(event=request('x'), timeout=0), dict(event=request('x'), timeout=-1)):
        try:
            context.platform.call_function('f', **bad)
            return 'no error'
        except ValueError:
            pass
    try:
        context.platform.call_function('f', request({1, 2}))
    except TypeError:
        return context.platform.call_function('f', request('ready')).body
`, "view": `
def handler(context, event):
    return 'ready' if bytes(context.platform.call_function('f', request(event.body_view)).body) == event.body else 'no'
`,
		} {
			t.Run(name+map[bool]string{true: "", false: ", pure"}[native], func(t *testing.T) {
				in, _ := fixture{code: callHead + code, attrs: map[string]any{"native": native}, calls: echoes{}}.open(t)
				for end := time.Now().Add(time.Minute); time.Now().Before(end); {
					resp, err := call(t, in, &event.Event{Body: []byte("x")})
					if err == nil && string(resp.Body) == "wait" {
						continue
					}
					if err != nil || string(resp.Body) != "ready" {
						t.Fatalf("%q, %v", resp.Body, err)
					}
					return
				}
				t.Error("it did not end")
			})
		}
	}
}

func TestNoCalls(t *testing.T) {
	in, _ := fixture{code: callers[runtimetest.Call][0]}.open(t)
	resp, err := call(t, in, &event.Event{Body: []byte("x 0 0")})
	if err != nil || !strings.Contains(string(resp.Body), "cannot be called here") {
		t.Errorf("%q", resp.Body)
	}
}

// What is above maxBody is refused on the way there and on the way back.
func TestCallLimits(t *testing.T) {
	both(t, func(t *testing.T, attrs map[string]any) {
		attrs["maxBody"] = "1Mi"
		in, _ := fixture{code: callHead + `
def handler(context, event):
    try:
        r = context.platform.call_function('f', request(b'x' * int(event.body)))
        return str(len(r.body))
    except Exception as exc:
        return '%s %s' % (type(exc).__name__, exc)
`, attrs: attrs, calls: echoes{}}.open(t)
		for body, want := range map[string]string{"1000000": "1000000", "2000000": "ValueError call of 2000", "7": "7"} {
			if resp, err := call(t, in, &event.Event{Body: []byte(body)}); err != nil || !strings.HasPrefix(string(resp.Body), want) {
				t.Errorf("%s: %q, %v", body, resp.Body, err)
			}
		}
	})
}

// One call after another from a handler, each of which sleeps for its answer.
func BenchmarkCalls(b *testing.B) {
	in, _ := fixture{code: callHead + `
def handler(context, event):
    for i in range(int(event.body)):
        context.platform.call_function('f', request(b'x'))
`, calls: echoes{}}.open(b)
	b.ResetTimer()
	if err := in.Invoke(b.Context(), &event.Event{Body: []byte(strconv.Itoa(b.N))}, &event.Response{}); err != nil {
		b.Fatal(err)
	}
}
