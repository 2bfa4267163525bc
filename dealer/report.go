package dealer

// Report is how a table is.
type Report struct {
	Resources int               `json:"resources"`
	Unowned   int               `json:"unowned"` // leased to nobody
	Moving    int               `json:"moving"`  // recalled and not let go yet
	Skew      float64           `json:"skew"`    // how far the worst is from what is due to it, in resources
	Members   []ProcessorReport `json:"processors"`
}

// ProcessorReport is how a processor is.
type ProcessorReport struct {
	Name     string `json:"name"`
	Capacity int    `json:"capacity"`
	Zone     string `json:"zone,omitempty"`
	Leaving  bool   `json:"leaving,omitempty"`
	Due      int    `json:"due"`
	Has      int    `json:"has"`    // leases, those included that it lets go
	Silent   Time   `json:"silent"` // since its last beat
}

// LeaseReport is how a resource is.
type LeaseReport struct {
	Resource
	Holder string `json:"holder,omitempty"`
	To     string `json:"to,omitempty"` // who shall have it, if that is another
	Epoch  Epoch  `json:"epoch"`
	Why    string `json:"why,omitempty"` // why it is dealt as it is
}

// Report says how the table is.
func (t *Table) Report(now Time) Report {
	r := Report{Resources: t.count}
	leased := 0
	for _, m := range t.order {
		p := ProcessorReport{Name: m.name, Capacity: m.capacity, Zone: m.zone, Leaving: m.leaving, Due: int(m.share.due), Has: len(m.leases), Silent: now - m.heard}
		if m.leaving {
			p.Due = 0
		}
		r.Members = append(r.Members, p)
		r.Skew = max(r.Skew, float64(p.Has-p.Due), float64(p.Due-p.Has))
		leased += len(m.leases)
		for _, it := range m.leases {
			if it.recalled {
				r.Moving++
			}
			if it.removed {
				leased--
			}
		}
	}
	r.Unowned = t.count - leased
	return r
}

// Leases says how the resources are, by name, at most n of them.
func (t *Table) Leases(n int) []LeaseReport {
	items := t.sorted(func(*item) bool { return true })
	out := make([]LeaseReport, 0, min(n, len(items)))
	for _, it := range items[:min(n, len(items))] {
		l := LeaseReport{Resource: it.Resource, Epoch: it.epoch, Why: it.why}
		if it.holder != nil {
			l.Holder = it.holder.name
		}
		if it.want != nil && it.want != it.holder {
			l.To = it.want.name
		}
		if it.removed {
			l.Why = "the resource is gone"
		}
		out = append(out, l)
	}
	return out
}
