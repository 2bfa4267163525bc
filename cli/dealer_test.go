package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/dealer"
	"github.com/myelin-run/myelin/dealer/server"
)

// The deal of a trigger's shards is shown with owners, moves and reasons.
func TestDealerPage(t *testing.T) {
	raw, err := json.Marshal(api.DealerTable{Namespace: "default", Function: "orders", Trigger: "in", TableReport: server.TableReport{
		Term: 2, Counts: server.Counts{Moves: 7, Without: 3200 * time.Millisecond, Longest: 2 * time.Second, Restored: time.Now()},
		Report: dealer.Report{Resources: 3, Unowned: 1, Moving: 1, Skew: 0.5, Members: []dealer.ProcessorReport{{Name: "host-1", Capacity: 100, Due: 2, Has: 1, Silent: 900}}},
		Leases: []dealer.LeaseReport{{Resource: dealer.Resource{Name: "orders/1"}, Holder: "host-1", Epoch: 4, Why: "host-2 was silent"}},
		Log:    []server.LeaseMove{{At: time.Now(), Resource: "orders/1", From: "host-2", To: "host-1", Epoch: 4, Why: "host-2 was silent"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	k := dealerKind()
	if got := strings.Join(k.row(raw, true), "|"); got != "orders:in|3|1|1|1|0.5|7|3.2s|default|2s|2" {
		t.Errorf("the row is %s", got)
	}
	page := k.page(nil, raw)
	for _, want := range []string{"Trigger:       orders:in", "3, 1 without owner, 1 moving", "3.2s in sum, 2s the longest", "host-1   100        2     1     900ms", "orders/1   4       host-1", "orders/1   host-2   host-1   4       host-2 was silent"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}
