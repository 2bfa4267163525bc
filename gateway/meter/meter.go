// Package meter counts what a gateway answered, by route and version: statuses
// and how long it took, finely enough to compare two versions. It knows no
// requests.
package meter

import (
	"cmp"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Key is what is counted apart. Own answers of the gateway have no version.
type Key struct {
	Route     string `json:"route,omitempty"` // "" if the path named the function
	Namespace string `json:"namespace,omitempty"`
	Function  string `json:"function,omitempty"`
	Version   string `json:"version,omitempty"`
	// Alias is the one by which the version was chosen, "" if the version or
	// the function was named.
	Alias string `json:"alias,omitempty"`
}

func (k Key) clone() Key {
	return Key{strings.Clone(k.Route), strings.Clone(k.Namespace), strings.Clone(k.Function), strings.Clone(k.Version), strings.Clone(k.Alias)}
}

// Buckets of a histogram are four for each doubling, the first up to 16 us.
const Buckets = 96

// Bound is the upper end of a bucket; the last has none but is told as if.
func Bound(i int) time.Duration {
	return time.Duration(16*(4+i%4)) * time.Microsecond << (i / 4) / 4
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0)/time.Microsecond) / 4 // in units of 4 us, four of which are the first bucket
	if us < 4 {
		return 0
	}
	k := bits.Len64(us) - 3
	return min(k*4+int(us>>k)-4+1, Buckets-1)
}

// most bounds the keys; what comes beyond is counted together.
const most = 20_000

// Meters counts. It may be used from any goroutine; the zero value is ready.
type Meters struct {
	mu sync.RWMutex
	by map[Key]*counter
}

type counter struct {
	classes [6]atomic.Int64 // 1xx to 5xx by their first digit; 0: gone or broken off
	refused atomic.Int64
	micros  atomic.Int64
	buckets [Buckets]atomic.Int64
}

// Count notes an answer. own says that the gateway gave it itself. k may alias
// memory that changes later.
func (m *Meters) Count(k Key, status int, own bool, took time.Duration) {
	m.mu.RLock()
	c := m.by[k]
	m.mu.RUnlock()
	if c == nil {
		c = m.add(k)
	}
	class := status / 100
	if status == 499 || class > 5 {
		class = 0
	}
	c.classes[class].Add(1)
	if own {
		c.refused.Add(1)
	}
	c.micros.Add(int64(took / time.Microsecond))
	c.buckets[bucketOf(took)].Add(1)
}

func (m *Meters) add(k Key) *counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[Key]*counter{}
	}
	if len(m.by) >= most {
		k = Key{}
	}
	c := m.by[k]
	if c == nil {
		c = &counter{}
		m.by[k.clone()] = c
	}
	return c
}

// Keep forgets what is not wanted any more: versions that are gone.
func (m *Meters) Keep(wanted func(Key) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.by {
		if !wanted(k) {
			delete(m.by, k)
		}
	}
}

// Sample is what was counted of a key since the gateway began.
type Sample struct {
	Key
	Requests int64 `json:"requests"`
	// Errors are answers of 5xx, the gateway's own for a function that did not
	// answer included.
	Errors  int64    `json:"errors"`
	Classes [6]int64 `json:"classes"` // by the first digit of the status; 0: broken off
	Own     int64    `json:"own"`     // answers of the gateway itself
	Micros  int64    `json:"micros"`  // sum of all times
	// Times are the counts of the buckets, without those at the end that are 0.
	Times []int64 `json:"times"`
	P50   int64   `json:"p50Micros"`
	P99   int64   `json:"p99Micros"`
}

// Snapshot returns all samples, in order.
func (m *Meters) Snapshot() []Sample { return m.Select(func(Key) bool { return true }) }

// Select returns the samples that are wanted, in order.
func (m *Meters) Select(wanted func(Key) bool) []Sample {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := []Sample{}
	for k, c := range m.by {
		if !wanted(k) {
			continue
		}
		s := Sample{Key: k, Own: c.refused.Load(), Micros: c.micros.Load(), Times: make([]int64, Buckets)}
		for i := range c.classes {
			s.Classes[i] = c.classes[i].Load()
		}
		for i := range s.Times {
			s.Times[i] = c.buckets[i].Load()
		}
		out = append(out, s.finish())
	}
	slices.SortFunc(out, func(a, b Sample) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Function, b.Function), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Alias, b.Alias))
	})
	return out
}

func (s Sample) finish() Sample {
	s.Requests, s.Errors = 0, s.Classes[5]
	for _, n := range s.Classes {
		s.Requests += n
	}
	for len(s.Times) > 0 && s.Times[len(s.Times)-1] == 0 {
		s.Times = s.Times[:len(s.Times)-1]
	}
	s.P50, s.P99 = int64(s.Quantile(0.5)/time.Microsecond), int64(s.Quantile(0.99)/time.Microsecond)
	return s
}

// Since is what was counted after an earlier sample of the same key. A gateway
// that began anew in between has counted less: then all of s is since.
func (s Sample) Since(before Sample) Sample {
	if before.Requests > s.Requests {
		return s
	}
	d := s
	d.Times = make([]int64, Buckets)
	copy(d.Times, s.Times)
	for i, n := range before.Times {
		d.Times[i] -= n
	}
	for i := range d.Classes {
		d.Classes[i] -= before.Classes[i]
	}
	d.Own, d.Micros = s.Own-before.Own, s.Micros-before.Micros
	return d.finish()
}

// Plus adds the counts of another route or gateway.
func (s Sample) Plus(t Sample) Sample {
	d := s
	d.Times = make([]int64, Buckets)
	copy(d.Times, s.Times)
	for i, n := range t.Times {
		d.Times[i] += n
	}
	for i := range d.Classes {
		d.Classes[i] += t.Classes[i]
	}
	d.Own, d.Micros = s.Own+t.Own, s.Micros+t.Micros
	return d.finish()
}

// Quantile is a time that the share q of all answers did not exceed, to within
// a quarter of it.
func (s Sample) Quantile(q float64) time.Duration {
	total := int64(0)
	for _, n := range s.Times {
		total += n
	}
	rank := int64(q * float64(total))
	for i, n := range s.Times {
		if rank -= n; rank < 0 {
			return Bound(i)
		}
	}
	return 0
}

// WritePrometheus writes all samples in Prometheus' text format.
func (m *Meters) WritePrometheus(w io.Writer) error {
	samples := m.Snapshot()
	var b strings.Builder
	b.WriteString("# HELP myelin_gateway_requests_total Answers, by the first digit of the status; 0 for those broken off.\n# TYPE myelin_gateway_requests_total counter\n")
	for _, s := range samples {
		for class, n := range s.Classes {
			if n > 0 {
				fmt.Fprintf(&b, "myelin_gateway_requests_total{%s,status=\"%dxx\"} %d\n", s.labels(), class, n)
			}
		}
	}
	b.WriteString("# HELP myelin_gateway_own_answers_total Answers that the gateway gave itself: refusals, and errors of functions that did not answer.\n# TYPE myelin_gateway_own_answers_total counter\n")
	for _, s := range samples {
		fmt.Fprintf(&b, "myelin_gateway_own_answers_total{%s} %d\n", s.labels(), s.Own)
	}
	b.WriteString("# HELP myelin_gateway_request_seconds Time from a request's head to the end of its answer.\n# TYPE myelin_gateway_request_seconds histogram\n")
	for _, s := range samples {
		sum := int64(0)
		for i, n := range s.Times {
			sum += n
			if i%4 == 0 {
				fmt.Fprintf(&b, "myelin_gateway_request_seconds_bucket{%s,le=\"%g\"} %d\n", s.labels(), Bound(i).Seconds(), sum)
			}
		}
		l := s.labels()
		fmt.Fprintf(&b, "myelin_gateway_request_seconds_bucket{%s,le=\"+Inf\"} %d\n", l, s.Requests)
		fmt.Fprintf(&b, "myelin_gateway_request_seconds_sum{%s} %g\nmyelin_gateway_request_seconds_count{%s} %d\n", l, float64(s.Micros)/1e6, l, s.Requests)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (k Key) labels() string {
	return fmt.Sprintf("route=%q,namespace=%q,function=%q,version=%q,alias=%q", k.Route, k.Namespace, k.Function, k.Version, k.Alias)
}
