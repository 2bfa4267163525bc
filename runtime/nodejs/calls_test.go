package nodejs

import (
	"context"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

const callHead = `
const { CallError } = require('myelin')
const request = (body) => ({ body, method: 'POST', path: '/called?a=b', headers: { 'X-Own': 'kept' }, contentType: 'text/x-suite' })
async function call(context, event) {
  const [name, n, ms] = event.text().split(' ')
  try {
    const r = await context.platform.callFunction(name, request('c'.repeat(n)), { timeout: Number(ms) || undefined })
    return r.statusCode + ' ' + r.body.length + ' ' + r.contentType + ' ' + r.headers['x-reply']
  } catch (err) {
    if (!(err instanceof CallError) || err.functionName !== name) throw err
    return 'failed: ' + err.message
  }
}
const each = (context, events) => Promise.all(events.map(async (e) => (await context.platform.callFunction('echo', request(e.body))).body))
async function many(context, event) {
  const n = Number(event.body)
  const all = await Promise.all(Array.from({ length: n }, (_, i) => context.platform.callFunction('echo', request(String(i)))))
  return String(all.filter((r, i) => r.text() === String(i)).length)
}
`

const bindCode = `
const { BindingError } = require('myelin')
const text = (v) => v === null ? 'none' : v.toString()
const left = []
async function use(context, event) {
  const [what, arg] = event.text().split(' ')
  const { items, objects, db, topics } = context.bindings
  try {
    if (what === 'kv') {
      const v = await items.put('k', 'hello', { ttl: 60 })
      const out = [v, text(await items.get('k')), (await items.entry('k')).version, await items.put('k', Buffer.from('other'), { ifVersion: v })]
      try { await items.put('k', 'x', { ifVersion: v }) } catch (err) { out.push(err.bindingStatus) }
      out.push(text(await items.get('none')), await items.add('n', 5), await items.add('n', 2), ...await items.scan('k'))
      await items.delete('k')
      return [...out, text(await items.get('k'))].join('|')
    }
    if (what === 'object') {
      await objects.put('a/b', 'o'.repeat(100000), { contentType: 'text/x' })
      const out = [(await objects.get('a/b')).length, (await objects.get('a/b', { range: [1, 3] })).length, (await objects.entry('a/b')).contentType,
        (await objects.stat('a/b')).size, (await objects.list('a/'))[0].name]
      await objects.delete('a/b')
      return [...out, text(await objects.get('a/b'))].join('|')
    }
    if (what === 'table') {
      const [row] = await db.query('select ?, ?', [7, "x'y"])
      const out = [row.a, row.b, await db.exec('update t'), await db.insert('t', ['a', 'b'], [[1, 'p'], [2, 'q']])]
      return [...out, await db.transaction((tx) => tx.exec('in it'))].join('|')
    }
    if (what === 'stream') {
      await topics.publish('t', 'm', { key: 'k', headers: { A: 1 } })
      return 'published'
    }
    if (what === 'get') return String((await items.get(arg)).length)
    if (what === 'large') {
      await items.put('large', Buffer.alloc(Number(arg), 'c'))
      const got = await items.get('large')
      return got.every((b) => b === 99) ? String(got.length) : 'other bytes'
    }
    if (what === 'many') {
      const all = await Promise.all(Array.from({ length: Number(arg) }, (_, i) => items.get('echo:' + i)))
      return String(all.filter((v, i) => v.toString() === String(i)).length)
    }
    if (what === 'timeout') await items.get('slow', { timeout: 50 })
    if (what === 'leave') {
      await new Promise((begun) => left.push(db.transaction(() => { begun(); return new Promise(() => {}) })))
      items.get('slow').catch((err) => left.push(err))
      return 'left 1'
    }
    if (what === 'unknown') context.bindings.nowhere
    return Object.keys(context.bindings).sort().join(',')
  } catch (err) {
    if (!(err instanceof BindingError)) throw err
    return 'failed ' + err.bindingStatus + ' ' + err.message
  }
}
`

// callers are the suite's functions that call, as async functions and calling back.
var callers = map[string][2]string{
	runtimetest.Call: {callHead + "exports.handler = async (context, event) => call(context, event)",
		callHead + "exports.handler = (context, event) => { call(context, event).then(context.callback, context.callback) }"},
	runtimetest.CallMany: {callHead + "exports.handler = async (context, event) => many(context, event)",
		callHead + "exports.handler = (context, event) => { many(context, event).then(context.callback, context.callback) }"},
	runtimetest.Bind: {bindCode + "exports.handler = use",
		bindCode + "exports.handler = (context, event) => { use(context, event).then(context.callback, context.callback) }"},
	runtimetest.CallBatch: {callHead + "exports.handler = async (context, events) => each(context, events)",
		callHead + "exports.handler = (context, events) => { each(context, events).then(context.callback, context.callback) }"},
}

func callingFunction(form int) func(testing.TB, string, runtime.Caller) runtime.Runtime {
	return func(t testing.TB, name string, caller runtime.Caller) runtime.Runtime {
		return fixture{code: callers[name][form], calls: caller}.load(t)
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
	for name, code := range map[string]string{
		"in init": `let word
exports.initContext = async (context) => { word = (await context.platform.callFunction('f', { body: 'ready' })).text() }
exports.handler = () => word`,
		"json": `exports.handler = async (context) => {
  const r = await context.platform.callFunction('f', { body: { a: [1] } })
  return r.json().a[0] === 1 && r.contentType === 'application/json' ? 'ready' : r
}`,
		"nothing": `exports.handler = async (context) => (await context.platform.callFunction('f')).body.length === 0 ? 'ready' : 'no'`,
		"bad": `exports.handler = async (context) => {
  for (const timeout of [0, -1, 'x']) {
    try { await context.platform.callFunction('f', {}, { timeout }); return 'no error' } catch (err) { if (!(err instanceof RangeError)) throw err }
  }
  try { await context.platform.callFunction('f', { headers: { a: 'b\n' } }); return 'no error' } catch (err) { if (!(err instanceof TypeError)) throw err }
  return (await context.platform.callFunction('f', { body: Buffer.from('ready') })).body
}`,
		"after the answer": `let word = 'wait', once = false
exports.handler = (context) => {
  if (!once) { once = true; setTimeout(async () => { word = (await context.platform.callFunction('f', { body: 'ready' })).text() }, 20) }
  context.callback(word)
}`,
	} {
		t.Run(name, func(t *testing.T) {
			in, _ := fixture{code: code, calls: echoes{}}.open(t)
			for {
				resp, err := call(t, in, &event.Event{Body: []byte("x")})
				if err == nil && string(resp.Body) == "wait" {
					continue
				}
				if err != nil || string(resp.Body) != "ready" {
					t.Fatalf("%q, %v", resp.Body, err)
				}
				return
			}
		})
	}
}
