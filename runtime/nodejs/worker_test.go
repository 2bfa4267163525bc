package nodejs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
)

func TestOutputIsLogged(t *testing.T) {
	code := `
const { execFileSync } = require('child_process')
exports.handler = (context, event) => {
  console.log('printed', 1, {a: 1})
  console.debug('fine')
  console.warn('careful')
  console.error('to stderr')
  process.stdout.write(Buffer.from([0x62, 0xff, 0x00, 0x0a]))
  process.stderr.write('y'.repeat(20000) + '\n')
  execFileSync('sh', ['-c', 'echo from child'], {stdio: 'inherit'})
  context.logger.warnWith('warned', {number: 7, list: [1]})
  context.logger.error('failed', new Error('inner'))
  process.stdout.write('no newline')
  return ''
}
`
	r, logs := fixture{code: code}.make(t)
	in, err := r.Open(t.Context(), runtime.Worker{ID: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, in, &event.Event{ID: []byte("ev-1")}); err != nil {
		t.Fatal(err)
	}
	closeNow(t, in)
	for _, want := range []string{
		`level=INFO msg="printed 1 { a: 1 }" worker=4 event=ev-1`, `level=DEBUG msg=fine worker=4 event=ev-1`,
		`level=WARN msg=careful worker=4 event=ev-1`, `level=ERROR msg="to stderr" worker=4 event=ev-1`,
		`msg=b\xff\x00`, "bytes cut)", `msg="from child"`, `level=WARN msg=warned worker=4 event=ev-1 number=7 list=[1]`,
		`level=ERROR msg="failed Error: inner`, `msg="no newline"`,
	} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("no %s in\n%s", want, strings.ReplaceAll(logs.String(), strings.Repeat("y", 100), ""))
		}
	}
}

// Events of a worker that is killed under load are told apart: what was not
// begun never ran.
func TestKilledUnderLoad(t *testing.T) {
	code := `
const fs = require('fs')
const fd = fs.openSync('begun', 'a')
exports.handler = %s(context, event) => { fs.writeSync(fd, event.body + '\n'); return event.body }
`
	for _, form := range []string{"", "async "} {
		r, _ := fixture{code: fmt.Sprintf(code, form)}.make(t)
		in, err := r.Open(t.Context(), runtime.Worker{})
		if err != nil {
			t.Fatal(err)
		}
		outcomes := loadAndKill(t, in)
		closeNow(t, in)
		b, err := os.ReadFile(filepath.Join(r.(*Runtime).set.Dir, "begun"))
		if err != nil {
			t.Fatal(err)
		}
		ran := map[string]bool{}
		for line := range bytes.Lines(b) {
			ran[string(bytes.TrimSpace(line))] = true
		}
		for name, err := range outcomes {
			switch {
			case err == nil && !ran[name]:
				t.Errorf("%s was answered and never ran", name)
			case errors.Is(err, event.ErrNotRun) && ran[name]:
				t.Errorf("%s ran and was said not to have", name)
			case err != nil && !errors.Is(err, event.ErrNotRun) && !errors.Is(err, event.ErrCrashed):
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// loadAndKill invokes from 64 goroutines until the worker is killed.
func loadAndKill(t *testing.T, in runtime.Instance) map[string]error {
	var mu sync.Mutex
	outcomes := map[string]error{}
	var wg sync.WaitGroup
	served := make(chan struct{}, 64)
	for g := range 64 {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d", g, i)
				var resp event.Response
				err := in.Invoke(context.Background(), &event.Event{Body: []byte(name)}, &resp)
				if err == nil && string(resp.Body) != name {
					err = errors.New("another's answer")
				}
				mu.Lock()
				outcomes[name] = err
				mu.Unlock()
				if err != nil {
					return
				}
				if i == 20 {
					served <- struct{}{}
				}
			}
		})
	}
	for range 32 {
		<-served
	}
	if err := syscall.Kill(in.(interface{ Pid() int }).Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return outcomes
}

// Async handlers run at once: they all wait for the last one.
func TestAsyncConcurrency(t *testing.T) {
	code := `
const waiting = []
exports.handler = async (context, event) => {
  await new Promise((go) => { waiting.push(go); if (waiting.length === 10) waiting.forEach((f) => f()) })
  context.logger.info('served')
  return event.body
}
`
	in, logs := fixture{code: code}.open(t)
	if in.Depth() != 64 {
		t.Errorf("depth %d", in.Depth())
	}
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			want := strings.Repeat(strconv.Itoa(i), 3000*i)
			resp, err := call(t, in, &event.Event{ID: []byte("id" + strconv.Itoa(i)), Body: []byte(want)})
			if err != nil || string(resp.Body) != want {
				t.Errorf("event %d: %d bytes, %v", i, len(resp.Body), err)
			}
		})
	}
	wg.Wait()
	closeNow(t, in) // its last log records are read by now
	for i := range 10 {
		if want := "msg=served worker=0 event=id" + strconv.Itoa(i); !strings.Contains(logs.String(), want) {
			t.Errorf("no %s in the log", want)
		}
	}
}

func TestDepth(t *testing.T) {
	promise := "exports.handler = () => new Promise((done) => setTimeout(done, 1, 'ok'))"
	for _, c := range []struct {
		code  string
		attrs map[string]any
		want  int
	}{
		{"exports.handler = async () => {}", nil, 64},
		{"exports.handler = async () => {}", map[string]any{"asyncConcurrency": 5}, 5},
		{"exports.handler = async () => {}", map[string]any{"async": false}, 1},
		{promise, nil, 1},
		{promise, map[string]any{"async": true}, 64},
	} {
		in, _ := fixture{code: c.code, attrs: c.attrs}.open(t)
		if in.Depth() != c.want {
			t.Errorf("%s %v: depth %d, want %d", c.code, c.attrs, in.Depth(), c.want)
		}
	}
}

// The second callback is told of and changes nothing; so does what comes after
// an answer.
func TestCallbackTwice(t *testing.T) {
	code := `
exports.handler = (context, event) => {
  const { callback } = context
  callback(event.body)
  callback('second')
  if (String(event.body) === 'throw') throw new Error('too late')
  return 'third'
}
`
	in, logs := fixture{code: code}.open(t)
	for _, body := range []string{"a", "throw", "b"} {
		if resp, err := call(t, in, &event.Event{ID: []byte("id-" + body), Body: []byte(body)}); err != nil || string(resp.Body) != body {
			t.Errorf("%q, %v", resp.Body, err)
		}
	}
	closeNow(t, in)
	for _, want := range []string{`level=WARN msg="context.callback was called for an event that is answered already; this call is ignored" worker=0 event=id-a`,
		`level=ERROR msg="exception after the event was answered: Error: too late" worker=0 event=id-throw`} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("no %s in\n%s", want, logs)
		}
	}
}

// A handler that gives nothing is waited for only if the function's files speak
// of context.callback.
func TestNothingGiven(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		waits bool
	}{
		"logs only":  {map[string]string{"handler.js": "exports.handler = (context) => { context.logger.info('tick') }"}, false},
		"async":      {map[string]string{"handler.js": "exports.handler = async () => {}"}, false},
		"later":      {map[string]string{"handler.js": "exports.handler = (c) => { setTimeout(() => c.callback('late'), 5) }"}, true},
		"taken":      {map[string]string{"handler.js": "exports.handler = ({ callback }) => { setTimeout(callback, 5, 'late') }"}, true},
		"async late": {map[string]string{"handler.js": "exports.handler = async (c) => { setTimeout(() => c.callback('late'), 5) }"}, true},
		"elsewhere": {map[string]string{"handler.js": "const answer = require('./lib/answer'); exports.handler = (c) => { answer(c) }",
			"lib/answer.js": "module.exports = (c) => { setImmediate(() => c['callback']('late')) }"}, true},
		"wrapped": {map[string]string{"handler.js": "exports.handler = require('wrap')",
			"node_modules/wrap/index.js": "module.exports = (c) => { setImmediate(() => c.callback('late')) }"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			in, _ := fixture{files: c.files}.open(t)
			want := map[bool]string{true: "late", false: ""}[c.waits]
			if resp, err := call(t, in, &event.Event{}); err != nil || resp.Status != 200 || string(resp.Body) != want {
				t.Errorf("%d %q, %v", resp.Status, resp.Body, err)
			}
		})
	}
}

// An exception outside of a handler ends its worker, and nothing else.
func TestUncaught(t *testing.T) {
	for _, code := range []string{
		"exports.handler = async (c, e) => { setTimeout(() => { throw new Error('planted') }, 1); await new Promise(() => {}) }",
		"exports.handler = async (c, e) => { Promise.reject(new Error('planted')); await new Promise(() => {}) }",
		"exports.handler = (c, e) => { setTimeout(() => c.logger.planted(), 1); return new Promise(() => {}) }",
	} {
		r, logs := fixture{code: code}.make(t)
		in, err := r.Open(t.Context(), runtime.Worker{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call(t, in, &event.Event{}); !errors.Is(err, event.ErrCrashed) {
			t.Errorf("got %v", err)
		}
		closeNow(t, in)
		if !strings.Contains(logs.String(), "planted") || !strings.Contains(logs.String(), "handler.js:1") {
			t.Errorf("the log does not tell:\n%s", logs)
		}
	}
}

// Stopping waits for what the function still does.
func TestCloseWaits(t *testing.T) {
	in, _ := fixture{code: "const fs = require('fs')\nexports.handler = async (c, e) => { await new Promise((go) => setTimeout(go, 200)); return 'done' }"}.open(t)
	done := make(chan error, 1)
	go func() {
		var resp event.Response
		err := in.Invoke(context.Background(), &event.Event{}, &resp)
		if err == nil && string(resp.Body) != "done" {
			err = fmt.Errorf("got %q", resp.Body)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
	began := time.Now()
	closeNow(t, in)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an idle worker took %s to end", took)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PROCESSOR_SECRET", "hidden")
	code := "exports.handler = () => ['MINE', 'PROCESSOR_SECRET', 'NUCLIO_FUNCTION_NAME'].map((k) => process.env[k] ?? null).concat(require('own').x, require('myelin').Response.name, process.cwd() === __dirname)"
	f := fixture{code: code, env: []function.EnvVar{{Name: "MINE", Value: "v"}}}
	r, _ := f.make(t)
	dir := r.(*Runtime).set.Dir
	put(t, dir, "elsewhere/own.js", "exports.x = 'own'")
	set := &r.(*Runtime).set
	set.Function.Spec.Env = append(set.Function.Spec.Env, function.EnvVar{Name: "NODE_PATH", Value: filepath.Join(dir, "elsewhere")})
	in, err := r.Open(t.Context(), runtime.Worker{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, in)
	resp, err := call(t, in, &event.Event{})
	if err != nil || string(resp.Body) != `["v",null,"f","own","Response",true]` {
		t.Errorf("%s, %v", resp.Body, err)
	}
}
