package scale

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each file is a policy and a load, second by second; beside it lies what was
// decided.
func TestLoads(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.load")
	if err != nil || len(paths) < 5 {
		t.Fatalf("loads %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".load"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(text))
			golden := strings.TrimSuffix(path, ".load") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v; decided:\n%s", err, got)
			}
		})
	}
}

// replay decides line by line: each is "SECONDS[-SECONDS] KEY=VALUE...", the
// seconds from Monday noon. The lines before the first such are the policy.
func replay(t *testing.T, text string) []byte {
	t.Helper()
	p := Policy{Min: 1, Max: 10, Stable: 30 * time.Second, Panic: 2 * time.Second, CoolDown: 30 * time.Second, ZeroAfter: time.Minute}
	begin := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	var h History
	var out bytes.Buffer
	now, last := -1, ""
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0 || fields[0] == "#":
			continue
		case fields[0] == "policy":
			now = p.set(t, fields[1:])
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		if to == "" {
			to = from
		}
		a, b := number(t, from), number(t, to)
		for second := a; second <= b; second++ {
			s := sample(t, fields[1:])
			s.At, s.Replicas = begin.Add(time.Duration(second*float64(time.Second))), now
			d := h.Decide(p, s)
			if line := fmt.Sprintf("%d (%s)", d.Replicas, d.Why); line != last {
				fmt.Fprintf(&out, "%g: %s\n", second, line)
				last = line
			}
			now = d.Replicas
		}
	}
	return out.Bytes()
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// set reads the fields of a policy, and with how many replicas it begins.
func (p *Policy) set(t *testing.T, fields []string) (from int) {
	t.Helper()
	for _, f := range fields {
		key, value, _ := strings.Cut(f, "=")
		if key == "window" {
			p.Schedule = append(p.Schedule, window(t, value))
			continue
		}
		n := number(t, value)
		switch key {
		case "from":
			from = int(n)
		case "min":
			p.Min = int(n)
		case "max":
			p.Max = int(n)
		case "target":
			p.Target = n
		case "backlog":
			p.Backlog = n
		case "cpu":
			p.CPU = n
		case "zero":
			p.ZeroAfter = time.Duration(n * float64(time.Second))
		default:
			t.Fatalf("unknown %q", f)
		}
	}
	return from
}

// window reads FROM,TO,MIN of every day.
func window(t *testing.T, text string) Window {
	t.Helper()
	parts := strings.Split(text, ",")
	var clock [2]time.Duration
	for i := range clock {
		at, err := time.Parse("15:04", parts[i])
		if err != nil {
			t.Fatal(err)
		}
		clock[i] = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	}
	return Window{Zone: time.UTC, Min: int(number(t, parts[2])), From: clock[0], To: clock[1], Days: [7]bool{true, true, true, true, true, true, true}}
}

func sample(t *testing.T, fields []string) (s Sample) {
	t.Helper()
	for _, f := range fields {
		if f == "blind" {
			s.Blind = true
			continue
		}
		key, value, _ := strings.Cut(f, "=")
		n := number(t, value)
		switch key {
		case "running":
			s.Running = n
		case "offered":
			s.Offered = n
		case "waiting":
			s.Waiting = n
		case "each":
			s.Each = time.Duration(n * float64(time.Millisecond))
		case "events":
			s.Events = int64(n)
		case "backlog":
			s.Backlog = int64(n)
		case "cpu":
			s.CPU = n
		default:
			t.Fatalf("unknown %q", f)
		}
	}
	return s
}

// A window that goes into the next day belongs to the day on which it begins,
// in its own zone.
func TestWindows(t *testing.T) {
	zone := time.FixedZone("east", 2*3600)
	w := Window{Min: 3, From: 22 * time.Hour, To: 6 * time.Hour, Zone: zone}
	w.Days[time.Friday] = true
	for at, want := range map[string]bool{
		"2026-01-09T21:59:59": false, "2026-01-09T22:00:00": true, "2026-01-10T05:59:59": true, "2026-01-10T06:00:00": false,
		"2026-01-10T22:00:00": false, "2026-01-09T05:00:00": false,
	} {
		local, err := time.ParseInLocation("2006-01-02T15:04:05", at, zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.covers(local.UTC()); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
}
