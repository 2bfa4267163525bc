package dealer

import "fmt"

// proc is a processor of a world.
type proc struct {
	w        *world
	name     string
	session  uint64
	capacity int
	clock    clock
	h        *Holder
	dead     bool
	leaving  bool
	paused   Time
	to       int // which dealer it beats to
	heard    Time
	tried    bool
	works    map[Lease]bool // what it runs; false: it is letting go
}

func (w *world) spawn(name string) {
	if name == "" {
		name = fmt.Sprintf("p%d", len(w.procs))
	}
	for _, p := range w.procs {
		if p.name == name && !p.dead {
			return
		}
	}
	p := &proc{w: w, name: name, session: uint64(w.now) + 1, capacity: 1, clock: w.newClock(), to: w.r.IntN(2), works: map[Lease]bool{}}
	if w.weights {
		p.capacity += w.r.IntN(3)
	}
	p.h = NewHolder(Beat{Processor: name, Session: p.session, Capacity: p.capacity}, w.strict)
	w.procs = append(w.procs, p)
	w.logf("%s joins, session %d, capacity %d", name, p.session, p.capacity)
	p.heard = w.now
	w.after(Time(w.r.IntN(50)), p.beating)
	w.after(Time(w.r.IntN(int(worldBeat))), p.checkpoints)
}

func (p *proc) time() Time { return p.w.read(p.clock) }

// awake runs do, after a pause if there is one, and not at all if p is dead.
func (p *proc) awake(do func()) {
	switch w := p.w; {
	case p.dead:
	case w.now < p.paused:
		w.after(p.paused-w.now, func() { p.awake(do) })
	default:
		for _, l := range p.h.Expire(p.time()) {
			p.w.logf("%s has to end %v", p.name, l)
			p.released(l)
		}
		do()
	}
}

func (p *proc) kill() {
	p.w.logf("%s dies", p.name)
	p.dead = true
	for l := range p.works {
		p.stops(l)
	}
}

func (p *proc) stops(l Lease) {
	delete(p.works, l)
	if who := p.w.running[l.Resource]; who[p.name] == l.Epoch {
		delete(who, p.name)
	}
}

func (p *proc) leave() {
	p.w.logf("%s leaves", p.name)
	p.leaving = true
	p.awake(func() {
		p.obey(p.h.Leave())
		p.beat()
	})
}

// turnedAway has it try the other dealer, once for each beat.
func (p *proc) turnedAway(d *node) {
	if !p.tried && p.w.nodes[p.to] == d {
		p.tried, p.to = true, 1-p.to
		p.beat()
	}
}

func (p *proc) beating() {
	p.awake(func() {
		p.tried = false
		p.beat()
		p.w.after(worldBeat, p.beating)
	})
}

func (p *proc) beat() {
	w := p.w
	if p.h.Left() {
		p.dead = true
		return
	}
	if w.now-p.heard > 2*worldBeat { // perhaps the other deals now
		p.to, p.heard = 1-p.to, w.now
	}
	b, d := p.h.Beat(p.time()), w.nodes[p.to]
	w.send(p.name, d.name, func() {
		d.receive(b, func(a Answer) {
			w.send(d.name, p.name, func() { p.awake(func() { p.answer(a) }) })
		}, func() {
			w.send(d.name, p.name, func() { p.awake(func() { p.turnedAway(d) }) })
		})
	})
}

func (p *proc) answer(a Answer) {
	if a.Session == p.session {
		p.heard = p.w.now
	}
	if p.w.keepLog {
		p.w.logf("%s hears %v", p.name, a)
	}
	p.obey(p.h.Answer(p.time(), a))
}

// obey begins and ends work; letting go takes a while.
func (p *proc) obey(o Orders) {
	w := p.w
	if w.keepLog && len(o.Stop) > 0 {
		w.logf("%s lets go of %v", p.name, o.Stop)
	}
	for _, l := range o.Stop {
		p.works[l] = false
		d := Time(w.r.IntN(100))
		if w.r.IntN(8) == 0 && !w.quiet {
			d = Time(w.r.IntN(3 * int(worldTTL)))
			w.calm = max(w.calm, w.now+d)
		}
		w.after(d, func() {
			p.awake(func() {
				if _, has := p.works[l]; has {
					p.released(l)
					p.beat()
				}
			})
		})
	}
	for _, l := range o.Start {
		p.start(l)
	}
}

func (p *proc) released(l Lease) {
	p.stops(l)
	p.obey(p.h.Released(l))
}

func (p *proc) start(l Lease) {
	w := p.w
	if w.now < w.cut[link(p.name, "checkpoints")] || !w.checkpoint(p, l) {
		// It cannot learn where to begin.
		w.logf("%s cannot begin %v", p.name, l)
		p.works[l] = true
		p.released(l)
		return
	}
	who := w.running[l.Resource]
	if who == nil {
		who = map[string]Epoch{}
		w.running[l.Resource] = who
	}
	for o := range who {
		if o == p.name {
			w.fail("%s begins %s twice", p.name, l.Resource)
		}
		w.overlaps++
		if w.strict && !w.sleeps(o) {
			w.fail("%s begins %s while %s works on it", p.name, l.Resource, o)
		}
	}
	p.works[l] = true
	who[p.name] = l.Epoch
	w.logf("%s works on %s under %d", p.name, l.Resource, l.Epoch)
}

// sleeps says that whoever has the name does nothing now; it will look at its
// clock before anything else.
func (w *world) sleeps(name string) bool {
	for _, p := range w.procs {
		if p.name == name && !p.dead && w.now >= p.paused && !p.h.Overdue(p.time()) {
			return false
		}
	}
	return true
}

func (p *proc) checkpoints() {
	p.awake(func() {
		w := p.w
		if w.now >= w.cut[link(p.name, "checkpoints")] {
			for _, l := range sortedLeases(p.works) {
				if !w.checkpoint(p, l) {
					p.released(l)
				}
			}
		}
		w.after(worldBeat, p.checkpoints)
	})
}

// node is a dealer: what dealer/server does, without its goroutines.
type node struct {
	w      *world
	name   string
	life   int
	clock  clock
	reign  *Reign
	table  *Table
	paused Time
	down   Time
	inbox  []letter
	rev    int
	listed int // the edition of the list of resources
	moves  int // not saved yet
	least  int
}

type letter struct {
	beat  Beat
	reply func(Answer)
}

func (d *node) boot() {
	d.life++
	d.clock = d.w.newClock()
	d.reign = NewReign(fmt.Sprintf("%s.%d", d.name, d.life), worldReign)
	d.table, d.inbox = nil, nil
	d.step(d.life)
}

func (d *node) restart(after Time) {
	d.w.logf("%s dies", d.name)
	d.life++
	d.table = nil
	life := d.life
	d.down = max(d.down, d.w.now+after)
	d.w.after(d.down-d.w.now, func() {
		if life == d.life {
			d.boot()
		}
	})
}

func (d *node) receive(b Beat, reply func(Answer), away func()) {
	switch {
	case d.w.now < d.down:
	case d.table == nil:
		away()
	default:
		d.inbox = append(d.inbox, letter{b, reply})
	}
}

func (d *node) time() Time { return d.w.read(d.clock) }

// step is one round of a dealer's loop.
func (d *node) step(life int) {
	w := d.w
	if life != d.life {
		return
	}
	if w.now < d.paused {
		w.after(d.paused-w.now, func() { d.step(life) })
		return
	}
	began := d.time()
	next := func() { w.after(worldTick, func() { d.step(life) }) }
	if d.table == nil {
		d.look(life, next)
		return
	}
	if !d.reign.Reigns(began) {
		d.table = nil
		d.reign.Lost()
		next()
		return
	}
	inbox := d.inbox
	d.inbox = nil
	var out []func()
	if d.listed != w.edition {
		d.table.Resources(began, w.all)
		d.listed = w.edition
	}
	for _, m := range inbox {
		if a, ok := d.table.Beat(began, m.beat); ok {
			out = append(out, func() { m.reply(a) })
		}
	}
	d.table.age(began)
	if d.table.unsettled {
		d.least += leastMoves(d.table)
	}
	d.table.Tick(began)
	changes, err := d.table.Changes()
	if err != nil {
		w.fail("changes: %v", err)
	}
	finish := func() {
		if d.reign.Reigns(d.time()) {
			for _, f := range out {
				f()
			}
		}
		next()
	}
	if changes == nil && !d.reign.Due(began) {
		finish()
		return
	}
	d.save(life, began, changes, finish, next)
}

func (d *node) look(life int, next func()) {
	w := d.w
	d.inbox = nil
	d.access(life, func(reached bool) {
		if !reached {
			next()
			return
		}
		d.reign.Saw(d.time(), w.store.rec)
		d.rev = w.store.rev
		if _, ok := d.reign.Next(d.time()); ok {
			d.save(life, d.time(), nil, next, next)
			return
		}
		next()
	})
}

// access reaches the store after a while, or does not.
func (d *node) access(life int, do func(reached bool)) {
	w := d.w
	wait := Time(1 + w.r.IntN(5))
	if w.now < w.store.stalled {
		wait += w.store.stalled - w.now
		w.calm = max(w.calm, w.now+wait)
	}
	reached := w.now >= w.cut[link(d.name, "store")]
	w.after(wait, func() {
		if life == d.life {
			do(reached)
		}
	})
}

// save writes the record and the changes. If it does not know what became of
// that it is a dealer no more.
func (d *node) save(life int, began Time, changes map[string][]byte, good, bad func()) {
	w := d.w
	rec, ok := d.reign.Next(began)
	if !ok {
		w.fail("%s saves and does not reign", d.name)
		return
	}
	rev := d.rev
	lostAnswer := w.loss > 0 && w.r.Float64() < w.loss/4
	d.access(life, func(reached bool) {
		if !reached || w.store.rev != rev {
			d.table = nil
			d.reign.Lost()
			bad()
			return
		}
		w.store.rev++
		w.store.rec = rec
		for k, v := range changes {
			if w.store.pages[k] = v; v == nil {
				delete(w.store.pages, k)
			}
		}
		if lostAnswer {
			d.table = nil
			d.reign.Lost()
			bad()
			return
		}
		d.rev = w.store.rev
		d.reign.Wrote(began, rec)
		if d.table != nil {
			w.moves, w.least = w.moves+d.moves, w.least+d.least
		}
		d.moves, d.least = 0, 0
		if d.table == nil {
			d.takeOver()
		}
		good()
	})
}

func (d *node) takeOver() {
	w := d.w
	var err error
	d.table, err = Restore(Options{TTL: worldTTL}, (*counter)(d), d.time(), d.reign.Term(), w.store.pages)
	if err != nil {
		w.fail("restore: %v", err)
	}
	d.listed = 0
	w.logf("%s reigns, term %d", d.name, d.reign.Term())
}

// counter counts moves.
type counter node

func (c *counter) Moved(m Move) {
	if m.From != m.To {
		c.moves++
	}
	c.w.logf("%s: %s -> %s under %d, was %q: %s", c.name, m.Resource, m.To, m.Epoch, m.From, m.Why)
}

func (c *counter) Taken(string, string, Time) {}
