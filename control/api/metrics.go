package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/myelin-run/myelin/control/scaler"
	dealers "github.com/myelin-run/myelin/dealer/server"
)

// figure is one metric of the dealer's tables.
type figure struct {
	name, kind, help string
	of               func(dealers.TableReport) float64
}

func dealerFigures() []figure {
	return []figure{
		{"myelin_dealer_shards", "gauge", "Shards of a table.", func(t dealers.TableReport) float64 { return float64(t.Resources) }},
		{"myelin_dealer_processors", "gauge", "Processors that take part in a table.", func(t dealers.TableReport) float64 { return float64(len(t.Members)) }},
		{"myelin_dealer_unowned", "gauge", "Shards that are leased to nobody.", func(t dealers.TableReport) float64 { return float64(t.Unowned) }},
		{"myelin_dealer_moving", "gauge", "Shards that are recalled and not let go yet.", func(t dealers.TableReport) float64 { return float64(t.Moving) }},
		{"myelin_dealer_skew", "gauge", "How many shards the worst processor is from what is due to it.", func(t dealers.TableReport) float64 { return t.Skew }},
		{"myelin_dealer_moves_total", "counter", "Leases given to another processor than before.", func(t dealers.TableReport) float64 { return float64(t.Moves) }},
		{"myelin_dealer_without_owner_seconds_total", "counter", "Time for which shards that were then worked on again had no owner.", func(t dealers.TableReport) float64 { return t.Without.Seconds() }},
		{"myelin_dealer_without_owner_longest_seconds", "gauge", "The longest such time.", func(t dealers.TableReport) float64 { return t.Longest.Seconds() }},
		{"myelin_dealer_overdue_total", "counter", "Such times longer than a ttl and a second.", func(t dealers.TableReport) float64 { return float64(t.Overdue) }},
	}
}

// writeStarts writes how long starts of processors took, phase by phase.
func writeStarts(b *strings.Builder, starts []scaler.Starts) {
	const name = "myelin_start_seconds"
	fmt.Fprintf(b, "# HELP %s Starts of processors of functions that scale, from what they were for to the first answer, by phase.\n# TYPE %s histogram\n", name, name)
	for _, s := range starts {
		labels := fmt.Sprintf("runtime=%q,way=%q,phase=%q", s.Runtime, s.Way, s.Phase)
		var n uint64
		for i, bound := range scaler.StartBuckets {
			n += s.Buckets[i]
			fmt.Fprintf(b, "%s_bucket{%s,le=\"%v\"} %d\n", name, labels, bound, n)
		}
		fmt.Fprintf(b, "%s_bucket{%s,le=\"+Inf\"} %d\n%s_sum{%s} %v\n%s_count{%s} %d\n", name, labels, s.Count(), name, labels, s.Sum, name, labels, s.Count())
	}
}

// metrics are those of the control plane itself, in the text format of
// Prometheus.
func (s *server) metrics(w http.ResponseWriter, r *http.Request) error {
	var tables []dealers.TableReport
	if s.o.Dealer != nil {
		tables, _ = s.o.Dealer.Tables(r.Context()) // of a dealer that takes over there is nothing to tell yet
	}
	var b strings.Builder
	for _, f := range dealerFigures() {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		for _, t := range tables {
			fmt.Fprintf(&b, "%s{table=%q} %v\n", f.name, t.Name, f.of(t))
		}
	}
	if s.o.Starts != nil {
		writeStarts(&b, s.o.Starts())
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, err := w.Write([]byte(b.String()))
	return err
}
