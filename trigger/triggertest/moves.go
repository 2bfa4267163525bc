package triggertest

import (
	"fmt"

	"github.com/myelin-run/myelin/function"
)

// moves: two versions of a function divide the source by shares that change
// while records come. Who takes more is there before who takes less stops, but
// where there can be one reader only; a share of 0 drains and loses nothing, one given back goes on where it was, and
// nothing runs twice.
func moves(b *bench) {
	const each = 60
	steps := [][2]float64{{1, 0}, {0.5, 0.5}, {0, 1}, {1, 0}, {0.1, 0.9}, {0, 1}}
	var has [2]float64
	var running [2]*consumer
	set := func(who int, part float64) {
		if has[who] == part {
			return
		}
		if running[who] != nil {
			running[who].end()
			running[who] = nil
		}
		if has[who] = part; part == 0 {
			return
		}
		s := b.settings(function.Trigger{})
		s.Share = function.Share{Part: part}
		running[who] = b.run(b.Trigger(b.t, s), b.seeing(who, nil))
		running[who].ready()
	}
	for i, step := range steps {
		if i > 0 {
			b.produce((i-1)*each, i*each-each/2)
		}
		up := 0
		if step[1] > has[1] {
			up = 1
		}
		if b.g.Sole { // all of it or nothing, and one after the other
			up = 1 - up
			step[up], step[1-up] = 0, 1
		}
		set(up, step[up])
		gap := b.g.Sole && b.g.Forgets // nobody has what comes between two readers
		if i > 0 && !gap {
			b.produce(i*each-each/2, i*each)
		}
		set(1-up, step[1-up])
		if i > 0 && gap {
			b.produce(i*each-each/2, i*each)
		}
	}
	n := (len(steps) - 1) * each
	b.all(0, n)
	for _, c := range running {
		if c != nil {
			c.end()
		}
	}
	b.once()
	by := [2]int{}
	for _, s := range b.sightings() {
		by[s.who]++
	}
	b.t.Log(fmt.Sprint(by[0], " events ran in the one and ", by[1], " in the other"))
}
