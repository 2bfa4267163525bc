package python

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

// functions of the suite, each with a plain and, where it says def handler, an
// async form.
var functions = map[string]string{
	runtimetest.Echo:    "def handler(context, event):\n    return event.body\n",
	runtimetest.Keep:    "kept = []\ndef handler(context, event):\n    kept.append(event)\n    return kept[-2].body if len(kept) > 1 else ''\n",
	runtimetest.Fail:    "def handler(context, event):\n    raise ValueError('deliberate failure')\n",
	runtimetest.Panic:   "import sys\ndef handler(context, event):\n    sys.exit('deliberate panic')\n",
	runtimetest.Exit:    "import os\ndef handler(context, event):\n    os._exit(3)\n",
	runtimetest.Hang:    "def handler(context, event):\n    while event.body:\n        pass\n    return 'ok'\n",
	runtimetest.Big:     "def handler(context, event):\n    return b'x' * int(event.body)\n",
	runtimetest.Headers: "def handler(context, event):\n    return context.Response(headers={'X-Reply': event.get_header('x-ask')})\n",
	runtimetest.Status:  "def handler(context, event):\n    return 418, 'teapot'\n",
	runtimetest.UserData: "def init_context(context):\n    context.user_data.word = 'ready'\n" +
		"def handler(context, event):\n    return context.user_data.word\n",
	runtimetest.Leave: "def init_context(context):\n    import time\n    def fails():\n        raise RuntimeError('deliberate drain failure')\n" +
		"    def ends():\n        time.sleep(0.3)\n        context.logger.info('the drain hook has ended')\n" +
		"    context.on_drain(fails)\n    context.on_drain(ends)\n" +
		"def handler(context, event):\n    return event.body\n",
	runtimetest.BadInit: "def init_context(context):\n    raise RuntimeError('deliberate init failure')\n" +
		"def handler(context, event):\n    pass\n",
	runtimetest.Logs: "def handler(context, event):\n    context.logger.debug('a debug line')\n" +
		"    context.logger.info_with('an info line', answer=42)\n",
	runtimetest.Empty: "def handler(context, event):\n    pass\n",
	runtimetest.Stream: "made = [0]\ndef parts(n):\n    made[0] = 0\n    for i in range(n):\n        made[0] += 1\n        yield '%d;' % i\n" +
		"def handler(context, event):\n    if event.body == b'made':\n        return str(made[0])\n" +
		"    return context.Response(body=parts(int(event.body)), content_type='text/event-stream')\n",
	runtimetest.Batch: "def handler(context, events):\n    assert [e.last_in_batch for e in events] == [False] * (len(events) - 1) + [True]\n    bodies = [e.body for e in events]\n" +
		"    if b'raise' in bodies:\n        raise ValueError('deliberate failure')\n" +
		"    def answer(e):\n        text = b'%d:%s' % (len(events), e.body)\n" +
		"        if e.body == b'error':\n            return ValueError('deliberate failure')\n" +
		"        return (418, text) if e.body == b'teapot' else text\n" +
		"    answers = [answer(e) for e in events]\n" +
		"    return answers[1:] if b'short' in bodies else answers\n",
}

func TestSuite(t *testing.T) {
	for i, it := range interpreters(t) {
		if testing.Short() && i > 0 {
			break
		}
		for _, native := range []bool{true, false} {
			for _, async := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/native=%v/async=%v", filepath.Base(it), native, async), func(t *testing.T) {
					runtimetest.Run(t, runtimetest.Fixture{Streams: true, Batches: true, Leaves: true, Binds: true, New: suiteFunction(it, native, async), Calls: callingFunction(it, native, async)})
				})
			}
		}
	}
}

func suiteFunction(it string, native, async bool) func(testing.TB, string, *slog.Logger) runtime.Runtime {
	return func(t testing.TB, name string, logs *slog.Logger) runtime.Runtime {
		code := functions[name]
		if async {
			code = asynchronous(code)
		}
		return fixture{code: code, attrs: map[string]any{"interpreter": it, "native": native}, log: logs}.load(t)
	}
}

// interpreters are the Pythons to test with: the first in PATH and the
// system's, if they differ.
func interpreters(t testing.TB) []string {
	first, err := findInterpreter(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{first.path}
	if it, err := ask(t.Context(), "/usr/bin/python3"); err == nil && it.path != first.path {
		all = append(all, it.path)
	}
	if more := os.Getenv("MYELIN_TEST_PYTHONS"); more != "" {
		all = append(all, filepath.SplitList(more)...)
	}
	return all
}
