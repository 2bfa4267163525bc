package dealer

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the scripts in testdata gave into them")

// Each file of testdata is a world as text: commands, a line of dashes, and what
// they have to give.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newScript()
	var out []string
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		commands, want, _ := strings.Cut(block, "\n----\n")
		commands = strings.TrimSuffix(commands, "\n----")
		s.out = nil
		for _, line := range strings.Split(commands, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			s.say(s.do(strings.Fields(line)))
		}
		got := strings.Join(s.out, "\n")
		if got != strings.TrimSpace(want) && !*update {
			t.Errorf("%s\n----\nwant:\n%s\ngot:\n%s", commands, want, got)
		}
		out = append(out, strings.TrimSpace(commands+"\n----\n"+got))
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// script is a table, holders, and messages on their way.
type script struct {
	now     Time
	o       Options
	term    uint64
	table   *Table
	pages   map[string][]byte
	holders map[string]*Holder
	session uint64
	stops   map[string][]Lease // ordered and not done
	kept    map[string]any     // messages that are late
	checks  map[string]Epoch
	out     []string
}

func newScript() *script {
	s := &script{o: Options{TTL: 100}, term: 1, pages: map[string][]byte{}, holders: map[string]*Holder{}, stops: map[string][]Lease{}, kept: map[string]any{}, checks: map[string]Epoch{}}
	s.table = New(s.o, s)
	return s
}

func (s *script) say(text string) {
	if text != "" {
		s.out = append(s.out, text)
	}
}

// Moved implements [Watcher].
func (s *script) Moved(m Move) {
	from := m.From
	if from == "" {
		from = "nobody"
	}
	s.say(fmt.Sprintf("%s: %s -> %s, epoch %d (%s)", m.Resource, from, m.To, m.Epoch, m.Why))
}

// Taken implements [Watcher].
func (s *script) Taken(resource, by string, without Time) {
	s.say(fmt.Sprintf("%s is worked on by %s, nobody did for %d", resource, by, without))
}

func option(words []string, name, otherwise string) string {
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			return v
		}
	}
	return otherwise
}

func number(words []string, name string, otherwise int) int {
	n, err := strconv.Atoi(option(words, name, strconv.Itoa(otherwise)))
	if err != nil {
		return -1
	}
	return n
}

// do runs one command.
func (s *script) do(words []string) string {
	if len(words) == 0 {
		return ""
	}
	args := words[1:]
	switch words[0] {
	case "table": // ttl=100 patience=0
		s.o = Options{TTL: Time(number(args, "ttl", 100)), Patience: Time(number(args, "patience", 0))}
		s.table = New(s.o, s)
	case "resources": // a b@p1 c/group
		s.table.Resources(s.now, parseResources(args))
	case "join": // p1 capacity=2 zone=z strict=1
		s.session++
		s.holders[args[0]] = NewHolder(Beat{Processor: args[0], Session: s.session, Capacity: number(args, "capacity", 1), Zone: option(args, "zone", "")}, option(args, "strict", "") != "")
		s.beat(args[0])
	case "beat":
		for _, p := range args {
			s.beat(p)
		}
	case "tick": // 10
		n, _ := strconv.Atoi(args[0])
		s.now += Time(n)
		s.table.Tick(s.now)
	case "done": // p1: what was ordered to end has ended
		s.done(args[0])
	case "lost": // p1 a 3: a checkpoint was refused
		s.orders(args[0], s.holders[args[0]].Released(parseLease(args[1:])))
	case "leave":
		s.orders(args[0], s.holders[args[0]].Leave())
		s.beat(args[0])
	case "expire":
		return fmt.Sprintf("%s has to end at once: %v", args[0], s.holders[args[0]].Expire(s.now))
	case "say": // p1 as b1: a beat is made and does not arrive yet
		s.kept[args[2]] = s.holders[args[0]].Beat(s.now)
	case "arrive": // b1 as a1: it arrives, the answer does not yet
		a, ok := s.table.Beat(s.now, s.kept[args[0]].(Beat))
		if s.kept[args[2]] = a; !ok {
			return args[0] + " is old"
		}
	case "hear": // a1
		a := s.kept[args[0]].(Answer)
		s.orders(a.Processor, s.holders[a.Processor].Answer(s.now, a))
	case "save":
		return s.save()
	case "takeover":
		return s.takeOver()
	case "checkpoint": // p1 a 3
		return s.checkpoint(args[0], parseLease(args[1:]))
	case "show":
		return s.show()
	default:
		return "no such command: " + words[0]
	}
	return ""
}

func parseResources(words []string) (out []Resource) {
	for _, w := range words {
		name, pin, _ := strings.Cut(w, "@")
		name, apart, _ := strings.Cut(name, "/")
		out = append(out, Resource{Name: name, Pin: pin, Apart: apart})
	}
	return out
}

func parseLease(words []string) Lease {
	e, _ := strconv.Atoi(words[1])
	return Lease{words[0], Epoch(e)}
}

func (s *script) beat(p string) {
	h := s.holders[p]
	a, ok := s.table.Beat(s.now, h.Beat(s.now))
	if !ok {
		s.say(p + "'s beat is old")
		return
	}
	s.orders(p, h.Answer(s.now, a))
	if h.Left() {
		s.say(p + " has left")
	}
}

func (s *script) orders(p string, o Orders) {
	for _, l := range o.Stop {
		s.say(fmt.Sprintf("%s lets go of %s/%d", p, l.Resource, l.Epoch))
	}
	for _, l := range o.Start {
		s.say(fmt.Sprintf("%s begins %s/%d", p, l.Resource, l.Epoch))
	}
	s.stops[p] = append(s.stops[p], o.Stop...)
}

func (s *script) done(p string) {
	stops := s.stops[p]
	s.stops[p] = nil
	for _, l := range stops {
		s.orders(p, s.holders[p].Released(l))
	}
}

func (s *script) save() string {
	changes, err := s.table.Changes()
	if err != nil {
		return err.Error()
	}
	for k, v := range changes {
		if s.pages[k] = v; v == nil {
			delete(s.pages, k)
		}
	}
	return ""
}

func (s *script) takeOver() string {
	s.term++
	t, err := Restore(s.o, s, s.now, s.term, s.pages)
	if err != nil {
		return err.Error()
	}
	s.table = t
	return ""
}

func (s *script) checkpoint(p string, l Lease) string {
	if l.Epoch < s.checks[l.Resource] {
		return fmt.Sprintf("%s/%d of %s is refused: %d was seen", l.Resource, l.Epoch, p, s.checks[l.Resource])
	}
	s.checks[l.Resource] = l.Epoch
	return fmt.Sprintf("%s/%d of %s is stored", l.Resource, l.Epoch, p)
}

func (s *script) show() string {
	var out []string
	for _, m := range s.table.order {
		var leases []string
		for _, it := range m.leases {
			mark := ""
			if it.recalled {
				mark = "-"
			}
			leases = append(leases, fmt.Sprintf("%s/%d%s", it.Name, it.epoch, mark))
		}
		slices.Sort(leases)
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s (due %d): %s", m.name, m.share.due, strings.Join(leases, " "))))
	}
	var none []string
	for _, it := range s.table.sorted(func(it *item) bool { return it.holder == nil }) {
		none = append(none, it.Name)
	}
	if len(none) > 0 {
		out = append(out, "nobody: "+strings.Join(none, " "))
	}
	return strings.Join(out, "\n")
}
