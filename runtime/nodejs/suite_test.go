package nodejs

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

// functions of the suite, as async functions that return, and as Nuclio's
// functions that call back.
var functions = map[string][2]string{
	runtimetest.Echo: {"exports.handler = async (context, event) => event.body",
		"exports.handler = function(context, event) { setImmediate(() => context.callback(event.body)) }"},
	runtimetest.Keep: {"const kept = []; exports.handler = async (context, event) => { kept.push(event); return kept.length > 1 ? kept.at(-2).body : '' }",
		"const kept = []; exports.handler = (context, event) => { kept.push(event); context.callback(kept.length > 1 ? kept.at(-2).body : '') }"},
	runtimetest.Fail: {"exports.handler = async () => { throw new Error('deliberate failure') }",
		"exports.handler = (context) => { context.callback(new Error('deliberate failure')) }"},
	runtimetest.Panic: {"exports.handler = async () => { throw new TypeError('deliberate panic') }",
		"exports.handler = (context) => { throw 'deliberate panic' }"},
	runtimetest.Exit: {"exports.handler = async () => process.exit(3)", "exports.handler = () => process.exit(3)"},
	runtimetest.Hang: {"exports.handler = async (context, event) => { while (event.body.length) {} ; return 'ok' }",
		"exports.handler = (context, event) => { if (event.size === 0) context.callback('ok') }"},
	runtimetest.Big: {"exports.handler = async (context, event) => 'x'.repeat(Number(event.body))",
		"exports.handler = (context, event) => { context.callback(Buffer.alloc(Number(event.body), 'x')) }"},
	runtimetest.Headers: {"exports.handler = async (context, event) => new context.Response('', {'X-Reply': event.getHeader('x-ask')})",
		"exports.handler = (context, event) => { context.callback(new context.Response('', {'X-Reply': event.headers['X-Ask']})) }"},
	runtimetest.Status: {"exports.handler = async () => [418, 'teapot']", "exports.handler = (context) => { context.callback([418, 'teapot']) }"},
	runtimetest.UserData: {"exports.initContext = async (context) => { context.userData.word = 'ready' }\nexports.handler = async (context) => context.userData.word",
		"exports.initContext = (context) => { context.userData.word = 'ready' }\nexports.handler = (context) => { context.callback(context.userData.word) }"},
	runtimetest.Leave: {"exports.initContext = (context) => { context.onDrain(() => { throw new Error('deliberate drain failure') }); context.onDrain(async () => { await new Promise((r) => setTimeout(r, 300)); context.logger.info('the drain hook has ended') }) }\nexports.handler = async (context, event) => event.body",
		"exports.initContext = (context) => { context.onDrain(() => { throw new Error('deliberate drain failure') }); context.onDrain(async () => { await new Promise((r) => setTimeout(r, 300)); context.logger.info('the drain hook has ended') }) }\nexports.handler = (context, event) => { context.callback(event.body) }"},
	runtimetest.BadInit: {"exports.initContext = async () => { throw new Error('deliberate init failure') }\nexports.handler = async () => {}",
		"exports.initContext = () => { throw new Error('deliberate init failure') }\nexports.handler = () => {}"},
	runtimetest.Logs: {"exports.handler = async (context) => { context.logger.debug('a debug line'); await null; context.logger.infoWith('an info line', {answer: 42}) }",
		"exports.handler = (context) => { context.logger.debug('a debug line'); context.logger.info('an info line', {answer: 42}); context.callback() }"},
	runtimetest.Batch: {batchAnswers + "exports.handler = async (context, events) => answers(events)",
		batchAnswers + "exports.handler = (context, events) => { setImmediate(() => { try { context.callback(answers(events)) } catch (e) { context.callback(e) } }) }"},
	runtimetest.Empty: {"exports.handler = async () => {}", "exports.handler = (context) => { context.callback() }"},
}

const batchAnswers = `
function answers(events) {
  const bodies = events.map((e) => e.text())
  if (events.findIndex((e) => e.lastInBatch) !== events.length - 1) throw new Error('which is the last?')
  if (bodies.includes('raise')) throw new Error('deliberate failure')
  const all = bodies.map((b) => b === 'error' ? new Error('deliberate failure') : b === 'teapot' ? [418, events.length + ':' + b] : events.length + ':' + b)
  return bodies.includes('short') ? all.slice(1) : all
}
`

func TestSuite(t *testing.T) {
	for form, name := range []string{"async", "callback"} {
		t.Run(name, func(t *testing.T) {
			runtimetest.Run(t, runtimetest.Fixture{Batches: true, Leaves: true, Binds: true, Calls: callingFunction(form), New: func(t testing.TB, function string, logs *slog.Logger) runtime.Runtime {
				code, ok := functions[function]
				if !ok {
					panic(fmt.Sprintf("the suite has a new function: %s", function))
				}
				return fixture{code: code[form], log: logs}.load(t)
			}})
		})
	}
}
