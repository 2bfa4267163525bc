package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/binding/host"
)

// bindings are what the processor says of its bindings.
func (p *Processor) bindings() (all []host.Report) {
	p.t.Helper()
	resp, err := fresh.Get(p.Admin + "/bindings")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		p.t.Fatal(err)
	}
	return all
}

const keptPython = `
def handler(context, event):
    keys = context.bindings['keys']
    what, _, arg = event.body.decode().partition(' ')
    if what == 'put':
        keys.put('k', arg)
        return bytes(keys.get('k')).decode()
    if what == 'often':
        for _ in range(100):
            keys.get('often')
        return '%d %s' % (len(keys._kept), bytes(keys.entry('often').value).decode())
    if what == 'set':
        keys.put('often', arg)
        return arg
    got = keys.get(arg)
    return 'None' if got is None else bytes(got).decode()
`

const keptAsync = `
async def handler(context, event):
    keys = context.bindings['keys']
    what, _, arg = event.body.decode().partition(' ')
    if what == 'put':
        await keys.put('k', arg)
        return bytes(await keys.get('k')).decode()
    if what == 'often':
        for _ in range(100):
            await keys.get('often')
        return '%d %s' % (len(keys._kept), bytes((await keys.entry('often')).value).decode())
    if what == 'set':
        await keys.put('often', arg)
        return arg
    got = await keys.get(arg)
    return 'None' if got is None else bytes(got).decode()
`

// A worker keeps what the binding's cache lets it, and asks nobody for it: but what
// any worker writes, each of them sees from then on.
func TestWorkersKeepWhatIsCached(t *testing.T) {
	for name, code := range map[string]string{"plain": keptPython, "async": keptAsync, "pure": keptPython, "gathered": keptPython} {
		t.Run(name, func(t *testing.T) {
			spec := fmt.Sprintf("    triggers: {default-http: {kind: http, numWorkers: 3}}\n    dataBindings:\n      keys: {kind: embedded, path: %s/keys, cache: {ttl: 1h}", t.TempDir())
			if name == "gathered" {
				spec += ", batch: {wait: 1ms}"
			}
			spec += "}\n"
			if name == "pure" {
				spec += "    runtimeAttributes: {native: false}\n"
			}
			p := startPython(t, code, spec)
			say := func(body, want string) {
				t.Helper()
				if status, got, err := post(p.URL, body); err != nil || status != 200 || got != want {
					t.Errorf("%s: %d %q %v, want %q\n%s", body, status, got, err, want, p.read("function.log"))
				}
			}
			say("set tea", "tea")
			say("often", "1 tea")
			say("set coffee", "coffee")
			say("often", "1 coffee")
			for i := range 40 {
				said := fmt.Sprint("value ", i)
				say("put "+said, said)
				var readers sync.WaitGroup
				for range 4 {
					readers.Go(func() { say("get k", said) })
				}
				readers.Wait()
			}
			eventually(t, "each worker tells of its hits with what it asks next", func() bool {
				var readers sync.WaitGroup
				for range 4 {
					readers.Go(func() { say("get none", "None") })
				}
				readers.Wait()
				return p.bindings()[0].Cache.Hits >= 198
			})
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d\n%s", code, p.read("processor.log"))
			}
		})
	}
}

// What is kept is not kept for longer than the cache's time: what another processor
// wrote is seen then.
func TestKeptValuesEnd(t *testing.T) {
	spec := fmt.Sprintf("    dataBindings: {keys: {kind: embedded, path: %s/keys, cache: {ttl: 200ms}}}\n", t.TempDir())
	one, other := startPython(t, keptPython, spec), startPython(t, keptPython, spec)
	if _, got, err := post(one.URL, "put old"); err != nil || got != "old" {
		t.Fatal(got, err)
	}
	if _, got, err := post(other.URL, "put new"); err != nil || got != "new" {
		t.Fatal(got, err)
	}
	eventually(t, "the new value is seen", func() bool {
		_, got, err := post(one.URL, "get k")
		return err == nil && got == "new"
	})
}

const gatheredPython = `
def handler(context, event):
    visits, keys = context.bindings['visits'], context.bindings['keys']
    who = event.body.decode()
    if who == 'make':
        visits.exec("create table v (who text unique check (who <> 'bad'))")
        return 'made'
    if who == 'count':
        return '%d %s' % (visits.query('select count(*) as n from v')[0]['n'], len(keys.scan('k-')))
    visits.insert('v', ['who'], [[who]])
    keys.put('k-' + who, who)
    return bytes(keys.get('k-' + who)).decode()
`

const gatheredAsync = `
async def handler(context, event):
    visits, keys = context.bindings['visits'], context.bindings['keys']
    who = event.body.decode()
    if who == 'make':
        await visits.exec("create table v (who text unique check (who <> 'bad'))")
        return 'made'
    if who == 'count':
        n = (await visits.query('select count(*) as n from v'))[0]['n']
        return '%d %s' % (n, len(await keys.scan('k-')))
    await visits.insert('v', ['who'], [[who]])
    await keys.put('k-' + who, who)
    return bytes(await keys.get('k-' + who)).decode()
`

const gatheredNode = `
exports.handler = async (context, event) => {
  const { visits, keys } = context.bindings, who = event.text()
  if (who === 'make') {
    await visits.exec("create table v (who text unique check (who <> 'bad'))")
    return 'made'
  }
  if (who === 'count') return (await visits.query('select count(*) as n from v'))[0].n + ' ' + (await keys.scan('k-')).length
  await visits.insert('v', ['who'], [[who]])
  await keys.put('k-' + who, who)
  return String(await keys.get('k-' + who))
}
`

// Writes of workers in other processes are gathered as those of Go functions are:
// an event is answered after its own are made, and one that is refused fails alone.
func TestWorkersWritesAreGathered(t *testing.T) {
	for _, l := range []struct {
		name  string
		serve func(t testing.TB, source, spec string) *Processor
		code  string
	}{{"python", startPython, gatheredPython}, {"async", startPython, gatheredAsync}, {"nodejs", startNode, gatheredNode}} {
		t.Run(l.name, func(t *testing.T) {
			dir := t.TempDir()
			p := l.serve(t, l.code, fmt.Sprintf("    triggers: {default-http: {kind: http, numWorkers: 2}}\n    dataBindings:\n      visits: {class: table, kind: sqlite, path: %[1]s/v, batch: {count: 8, wait: 20ms}}\n"+
				"      keys: {kind: embedded, path: %[1]s/k, batch: {count: 8, wait: 20ms}}\n", dir))
			if status, got, err := post(p.URL, "make"); err != nil || got != "made" {
				t.Fatal(status, got, err)
			}
			var events sync.WaitGroup
			const all = 40
			for i := range all {
				who := fmt.Sprint("v", i)
				if i%10 == 3 {
					who = "bad"
				}
				events.Go(func() {
					status, got, err := post(p.URL, who)
					if err != nil || who != "bad" && (status != 200 || got != who) || who == "bad" && (status < 400 || !strings.Contains(got, "not kept")) {
						t.Errorf("%s: %d %q, %v", who, status, got, err)
					}
				})
			}
			events.Wait()
			if _, got, err := post(p.URL, "count"); err != nil || got != fmt.Sprintf("%d %d", all-4, all-4+1) {
				t.Errorf("rows and keys: %s, %v", got, err)
			}
			for _, r := range p.bindings() {
				if b := r.Batch; b == nil || b.Writes < all || b.Flushes == 0 || r.Name == "visits" && b.Failed != 4 {
					t.Errorf("%s: %+v", r.Name, b)
				}
			}
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d\n%s", code, p.read("processor.log"))
			}
		})
	}
}
