package chaos

import (
	"errors"
	"regexp"
	"syscall"
	"time"
)

// harm is one thing that goes wrong, and is made good before it returns.
type harm struct {
	name string
	do   func(w *world) error
}

var harms = []harm{
	{"a worker is killed", (*world).killWorker},
	{"a processor is killed", (*world).killProcessor},
	{"a processor stands still for longer than its session", (*world).stopProcessor},
	{"a processor drains", (*world).drainProcessor},
	{"the broker is killed", (*world).killBroker},
	{"connections are reset", func(w *world) error { w.sys.Proxy().Reset(); return nil }},
	{"the network is cut", func(w *world) error { return w.weather(w.sys.Proxy().Cut) }},
	{"the network swallows all", func(w *world) error {
		return w.weather(func() error { w.sys.Proxy().Blackhole(); return nil })
	}},
	{"the network is slow", func(w *world) error {
		return w.weather(func() error { w.sys.Proxy().Delay(100*time.Millisecond, 90*time.Millisecond); return nil })
	}},
}

// breakThings does each harm that is chosen, in an order of chance, again and again until all
// events are sent, and once at least.
func (w *world) breakThings(sent <-chan struct{}) {
	chosen := regexp.MustCompile(*only)
	for round := 0; ; round++ {
		for _, i := range w.rnd.Perm(len(harms)) {
			if !chosen.MatchString(harms[i].name) {
				continue
			}
			time.Sleep(time.Duration(200+w.rnd.IntN(1000)) * time.Millisecond) // some are done in quiet
			if round > 0 && over(sent) {
				return
			}
			w.say(harms[i].name)
			if err := harms[i].do(w); err != nil {
				w.t.Fatalf("%s: %v", harms[i].name, err)
			}
		}
		if over(sent) {
			return
		}
	}
}

// say notes what is done to all.
func (w *world) say(what string) {
	w.t.Logf("%s; %d are confirmed", what, w.book.Report().Acked)
	if x, ok := w.sys.(Witness); ok {
		x.Mark(what)
	}
}

func over(sent <-chan struct{}) bool {
	select {
	case <-sent:
		return true
	default:
		return false
	}
}

func (w *world) any() *processor { return w.processors[w.rnd.IntN(len(w.processors))] }

func (w *world) killWorker() error {
	pids := w.any().workers()
	if len(pids) == 0 {
		return nil // it is between two workers
	}
	err := syscall.Kill(pids[w.rnd.IntN(len(pids))], syscall.SIGKILL)
	if err == syscall.ESRCH {
		return nil // it was quicker
	}
	return err
}

func (w *world) killProcessor() error {
	i := w.rnd.IntN(len(w.processors))
	w.processors[i].kill()
	w.processors[i] = w.start(w.processors[i].name)
	return nil
}

func (w *world) drainProcessor() error {
	i := w.rnd.IntN(len(w.processors))
	if x, ok := w.sys.(Gatherer); ok {
		for end := time.Now().Add(patience); !x.Gathered(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				return errors.New("a processor is still away")
			}
		}
	}
	w.processors[i].end()
	w.processors[i] = w.start(w.processors[i].name)
	return nil
}

func (w *world) stopProcessor() error {
	p := w.any()
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(w.sys.Silence() + time.Duration(w.rnd.IntN(2000))*time.Millisecond)
	return p.signal(syscall.SIGCONT)
}

func (w *world) killBroker() error {
	if _, ok := w.sys.(Sparer); ok {
		return nil
	}
	if _, ok := w.sys.(Forgetter); ok {
		if err := w.sys.Broker().Stop(); err != nil {
			return err
		}
		return w.sys.Broker().Start()
	}
	if err := w.sys.Broker().Kill(); err != nil {
		return err
	}
	if err := w.sys.Broker().Start(); err != nil {
		return err
	}
	w.say("the broker is back")
	return nil
}

// weather spoils the network for a while.
func (w *world) weather(spoil func() error) error {
	if err := spoil(); err != nil {
		return err
	}
	time.Sleep(time.Duration(1000+w.rnd.IntN(3000)) * time.Millisecond)
	return w.sys.Proxy().Restore()
}
