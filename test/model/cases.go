package main

import "strings"

// search is one model with some definitions, and what spin should find.
type search struct {
	model   string
	defines []string
	want    string // what spin says of the first error; "" if there should be none
	cycles  bool   // look for runs that never end, not for bad states
}

const (
	stuck  = "invalid end state"  // somebody sleeps for ever
	broken = "assertion violated" // a property does not hold
)

func (s search) String() string {
	name := s.model
	if len(s.defines) > 0 {
		name += " " + strings.Join(s.defines, " ")
	}
	if s.cycles {
		name += " (endless runs)"
	}
	return name
}

func (s search) expected() string {
	if s.want == "" {
		return "no error"
	}
	return s.want
}

// searches lists them all. The small ones fit a test; the others allow more
// events, look for endless runs and try every planted mistake.
func searches(small bool) []search {
	all := []search{{model: "request"}, {model: "response"}, {model: "response", defines: []string{"SPINS=1", "TOTAL=2"}},
		{model: "response", defines: []string{"HEARS=1", "TOTAL=1", "RING=1", "IMMORTAL=1"}},
		{model: "slot", defines: []string{"DEATHS=1"}}, {model: "call"},
		{model: "move"}, {model: "reign", defines: []string{"TERMS=2", "GRANTS=1"}}}
	if !small {
		all = append(all,
			search{model: "request", defines: []string{"ALWAYS"}},
			search{model: "request", defines: []string{"EACH=2"}},
			search{model: "request", defines: []string{"SUBMITS"}},
			search{model: "request", defines: []string{"SUBMITS", "CALLERS=1", "EACH=3"}},
			search{model: "request", cycles: true},
			search{model: "response", defines: []string{"ALWAYS"}},
			search{model: "response", defines: []string{"TOTAL=5"}},
			search{model: "response", cycles: true},
			search{model: "response", defines: []string{"SPINS=1"}},
			search{model: "response", defines: []string{"HEARS=1", "TOTAL=2", "RING=1"}},
			search{model: "response", defines: []string{"HEARS=1", "TELLS=1", "TOTAL=1", "RING=1"}},
			search{model: "response", defines: []string{"STAYS=1", "TOTAL=2"}},
			search{model: "response", defines: []string{"HEARS=1", "STAYS=1", "TOTAL=1", "RING=1", "IMMORTAL=1"}},
			search{model: "slot"},
			search{model: "call", defines: []string{"EACH=2"}},
			search{model: "call", cycles: true},
			search{model: "slot", defines: []string{"DEATHS=1"}, cycles: true},
			search{model: "slot", defines: []string{"COUNTED", "EACH=2"}},
			search{model: "slot", defines: []string{"COUNTED"}, cycles: true},
			search{model: "slot", defines: []string{"HOSTILE", "DEATHS=1", "CALLERS=1", "EACH=2"}},
			search{model: "slot", defines: []string{"HOSTILE", "DEATHS=1", "RECALLS=0"}},
			search{model: "slot", defines: []string{"HOSTILE", "DEATHS=1", "COUNTED"}},
			search{model: "move", defines: []string{"EXPIRES=1", "MOVES=1"}},
			search{model: "move", defines: []string{"MOVES=3"}},
			search{model: "reign", defines: []string{"TERMS=2", "GRANTS=2"}},
		)
	}
	for i, m := range mutants() {
		if !small || i%3 == 0 { // each takes a compilation
			all = append(all, m)
		}
	}
	return all
}

// mutants are the planted mistakes; each has to be found.
func mutants() (all []search) {
	for _, m := range []struct{ model, defines, want string }{
		{"request", "NO_PRODUCER_FENCE", stuck},
		{"request", "NO_CONSUMER_FENCE", stuck},
		{"request", "NO_RECHECK", stuck},
		{"request", "CLEAR_LATE", stuck},
		{"request", "ARM_LATE", stuck},
		{"request", "DRAIN", stuck},
		{"request", "SUBMITS NO_FLUSH", stuck},
		{"request", "FORGET_LATE", stuck},
		{"request", "PUBLISH_EARLY", broken},
		{"response", "NO_PRODUCER_FENCE", stuck},
		{"response", "NO_CONSUMER_FENCE", stuck},
		{"response", "NO_RECHECK", stuck},
		{"response", "CLEAR_LATE", stuck},
		{"response", "RESET_LATE", stuck},
		{"response", "PUBLISH_EARLY", broken},
		{"response", "NO_LAST_DRAIN", broken},
		{"response", "SPINS=1 TOTAL=2 SPIN_FORGETS", stuck},
		{"response", "SPINS=1 TOTAL=2 SPIN_NO_RECHECK", stuck},
		{"response", "SPINS=1 TOTAL=2 PARK_PAST", stuck},
		{"response", "HEARS=1 TOTAL=2 RING=1 IMMORTAL=1 HEAR_NO_RECHECK", stuck},
		{"response", "HEARS=1 TELLS=1 TOTAL=1 RING=1 IMMORTAL=1 HEAR_LATE", stuck},
		{"response", "HEARS=1 TOTAL=1 RING=1 IMMORTAL=1 HEAR_FORGETS", stuck},
		{"response", "STAYS=1 TOTAL=2 STAY_FORGETS", stuck},
		{"response", "STAYS=1 TOTAL=2 STAY_NO_RECHECK", stuck},
		{"response", "HEARS=1 STAYS=1 TOTAL=1 RING=1 IMMORTAL=1 STAY_TAKES_FIRST", stuck},
		{"call", "NO_PRODUCER_FENCE", stuck},
		{"call", "NO_CONSUMER_FENCE", stuck},
		{"call", "NO_RECHECK", stuck},
		{"call", "NO_BROADCAST", stuck},
		{"slot", "NO_DEAD_CHECK COUNTED", stuck},
		{"slot", "NO_DEAD_CHECK", broken},
		{"slot", "NO_RECALL_DEAD_CHECK DEATHS=1", broken},
		{"slot", "NO_CLAIM_CHECK", broken},
		{"slot", "BEGUN_LATE COUNTED", broken},
		{"slot", "NO_LAST_DRAIN", broken},
		{"slot", "NO_CLAIM", broken},
		{"move", "GIVE_EARLY", broken},
		{"move", "BELIEVE_STALE EPOCHS=6 DEPTH=1", broken},
		{"move", "FORGET_GOING", broken},
		{"move", "SAME_EPOCH EXPIRES=1", broken},
		{"move", "NO_FENCE EXPIRES=1", broken},
		{"reign", "NO_FENCE TERMS=2 GRANTS=1", broken},
		{"reign", "KEEP_TABLE TERMS=2 GRANTS=1", broken},
		{"reign", "FORGET_EPOCH TERMS=2 GRANTS=1", broken},
		{"reign", "TELL_EARLY TERMS=2 GRANTS=1", broken},
		{"reign", "NO_CAS TERMS=2 GRANTS=1", broken},
	} {
		all = append(all, search{model: m.model, defines: strings.Fields(m.defines), want: m.want})
	}
	return all
}
