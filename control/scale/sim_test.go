package scale

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files and the plot anew")

// plotFile is what the page on scaling shows.
const plotFile = "../../docs/images/scaling.svg"

// system is a deployment as a queue before workers: events come at a rate, each
// takes as long, and a replica serves so many at once, some time after it was
// asked for.
type system struct {
	rate    func(t float64) float64 // events a second
	each    float64                 // seconds
	workers float64                 // of a replica
	start   float64                 // seconds from wanted to ready
}

// point is the system at a time.
type point struct{ t, load, waiting, wanted, ready float64 }

const (
	lookEvery = 0.5
	step      = 0.01
)

// run lets a policy follow the system, from a number of replicas.
func (y system) run(p Policy, from int, length float64) (out []point) {
	begin := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	var h History
	wanted, ready, waiting, arrived, look := from, from, 0.0, 0.0, 0.3
	type change struct {
		at float64
		n  int
	}
	var coming []change
	for t := 0.0; t < length; t += step {
		for len(coming) > 0 && coming[0].at <= t {
			ready, coming = coming[0].n, coming[1:]
		}
		came := y.rate(t) * step
		arrived += came
		running := min((waiting+came)*y.each/step, float64(ready)*y.workers)
		waiting = max(0, waiting+came-running*step/y.each)
		if t >= look {
			look += lookEvery
			s := Sample{At: begin.Add(time.Duration(t * float64(time.Second))), Replicas: wanted, Running: running, Waiting: waiting,
				Offered: arrived / lookEvery * y.each, Each: time.Duration(y.each * float64(time.Second)), Events: int64(math.Ceil(arrived))}
			arrived = 0
			if n := h.Decide(p, s).Replicas; n != wanted {
				wanted = n
				at := t
				if n > ready {
					at += y.start
				}
				coming = append(coming, change{at, n})
			}
		}
		out = append(out, point{t, y.rate(t) * y.each / p.Target, waiting, float64(wanted), float64(ready)})
	}
	return out
}

// stepUp is ten times the load from the tenth second on.
func stepUp(t float64) float64 {
	if t < 10 {
		return 140
	}
	return 1400
}

var stepped = system{rate: stepUp, each: 0.1, workers: 10, start: 0.4}

var stepPolicy = Policy{Min: 1, Max: 100, Target: 7, Stable: 30 * time.Second, Panic: 1500 * time.Millisecond, CoolDown: 30 * time.Second, ZeroAfter: time.Minute}

// Ten times the load has its replicas within three seconds, not many more than
// that, and the number turns round once at most.
func TestTenfoldStep(t *testing.T) {
	curve := stepped.run(stepPolicy, 2, 120)
	target, reached, most, turns, way := math.Ceil(1400*0.1/7), -1.0, 0.0, 0, 0.0
	for i, p := range curve {
		if reached < 0 && p.t >= 10 && p.ready >= target {
			reached = p.t - 10
		}
		most = max(most, p.wanted)
		if i == 0 || p.wanted == curve[i-1].wanted {
			continue
		}
		now := p.wanted - curve[i-1].wanted
		if now*way < 0 {
			turns++
		}
		way = now
	}
	last := curve[len(curve)-1]
	t.Logf("target %v: reached after %.2f s, most %v, turns %d, at the end %v with %.0f waiting", target, reached, most, turns, last.wanted, last.waiting)
	if reached < 0 || reached > 3 {
		t.Errorf("the target of %v replicas was reached after %.2f s, want 3 at most", target, reached)
	}
	if most > 2*target || turns > 1 {
		t.Errorf("it oscillates: up to %v replicas, %d turns", most, turns)
	}
	if last.wanted != target || last.waiting > 1 {
		t.Errorf("at the end %v replicas are wanted and %.0f events wait, want %v and none", last.wanted, last.waiting, target)
	}
	drawn := plot(curve)
	if *update {
		if err := os.WriteFile(plotFile, drawn, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if had, err := os.ReadFile(plotFile); err != nil || !bytes.Equal(had, drawn) {
		t.Errorf("%s is stale: run go test ./control/scale -update (%v)", plotFile, err)
	}
}

// A load that swings about a mean is followed without a swing of its own.
func TestSwingingLoadIsNotFollowedDown(t *testing.T) {
	y := stepped
	y.rate = func(t float64) float64 { return 700 + 300*math.Sin(t/3) }
	changes, last := 0, 0.0
	for i, p := range y.run(stepPolicy, 10, 300) {
		if i > 0 && p.t > 60 && p.wanted != last {
			changes++
		}
		last = p.wanted
	}
	if changes > 4 {
		t.Errorf("%d changes in four minutes", changes)
	}
}

// plot draws the curve of a run.
func plot(curve []point) []byte {
	const w, h, left, bottom, until, most = 720.0, 300.0, 40.0, 40.0, 60.0, 40.0
	x := func(t float64) float64 { return left + t/until*(w-left-20) }
	y := func(n float64) float64 { return h - bottom - n/most*(h-bottom-30) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="11">`+"\n", w, h)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="white"/>`+"\n", w, h)
	for n := 0.0; n <= most; n += 10 {
		fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1f" stroke="#ddd"/><text x="8" y="%.1f">%g</text>`+"\n", left, y(n), w-20, y(n)+4, n)
	}
	for t := 0.0; t <= until; t += 10 {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f">%g s</text>`+"\n", x(t)-8, h-22, t)
	}
	line := func(colour, name string, at float64, of func(point) float64) {
		fmt.Fprintf(&b, `<path fill="none" stroke="%s" stroke-width="1.5" d="M`, colour)
		for i := 0; i < len(curve) && curve[i].t <= until; i += 10 {
			fmt.Fprintf(&b, "%.1f %.1f ", x(curve[i].t), y(min(most, of(curve[i]))))
		}
		fmt.Fprintf(&b, `"/><text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", at, h-6, colour, name)
	}
	line("#999999", "replicas that the load needs", left, func(p point) float64 { return p.load })
	line("#d95f02", "replicas wanted", left+190, func(p point) float64 { return p.wanted })
	line("#1b9e77", "replicas ready", left+310, func(p point) float64 { return p.ready })
	line("#7570b3", "events that wait, in hundreds", left+420, func(p point) float64 { return p.waiting / 100 })
	b.WriteString("</svg>\n")
	return b.Bytes()
}
