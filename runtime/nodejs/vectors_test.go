package nodejs

import (
	"encoding/hex"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The worker reads and writes the published test vectors.
func TestVectors(t *testing.T) { vectors(t, nil) }

func vectors(t *testing.T, attrs map[string]any) {
	t.Helper()
	r := fixture{code: trivial, attrs: attrs}.load(t).(*Runtime)
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	script := `
const dir = process.argv[1]
const { Event } = require(dir + '/worker/event')
const { convert } = require(dir + '/worker/answers')
const { packRecord, WARN } = require(dir + '/worker/wire')
const { Response } = require(dir + '/sdk/myelin')
const raw = Buffer.from(process.argv[2], 'hex')
const e = new Event(raw, 7, 9, 8 | 4, 0, raw.length, raw.length, 0)
console.log(JSON.stringify([e.timestamp, e.offset, e.shardId, e.numShards, e._level, e.method, e.path, e.url, e.contentType, e.id,
  e.key.toString(), e.topic, e.trigger, e.headers, e.fields]))
console.log(convert(new Response('', { 'X-A': '1' }, 'text/plain'), [packRecord(WARN, 'msg', [['k', 'v']])]).meta.toString('hex'))
`
	out, err := osexec.Command(r.it.path, "-e", script, r.dir, vector(t, "Request metadata: ")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	event, meta, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if want := `["2023-11-14T22:13:20.000Z",12345,3,8,4,"POST","/a","/a?b=c","text/plain","id-1","k","t",{"kind":"http","name":"web","class":"sync"},{"X-A":"1","X-B":""},{"b":"c"}]`; event != want {
		t.Errorf("read %s", event)
	}
	// All but the time, which is that of the record.
	want := vector(t, "Response metadata: ")
	at := strings.Index(want, "05002a36fe9c9717")
	if at < 0 || len(meta) != len(want) || meta[:at] != want[:at] || meta[at+16:] != want[at+16:] {
		t.Errorf("wrote %s\nwant  %s", meta, want)
	}
}

// vector returns the digits of the block after a line of the format's page.
func vector(t *testing.T, line string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "shared-memory.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(page), "\n"+line)
	parts := strings.SplitN(after, "```", 3)
	if !ok || len(parts) < 3 {
		t.Fatalf("no vector %q", line)
	}
	digits := strings.Join(strings.Fields(parts[1]), "")
	if _, err := hex.DecodeString(digits); err != nil {
		t.Fatal(err)
	}
	return digits
}
