package examples_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/myelin-run/myelin/test/v3io"
)

// Readings of a stream are added up. The test's processor is alone, without a
// dealer.
func TestV3IOExample(t *testing.T) {
	server := v3io.Start(t, "e8bd4ca2-537b-4175-bf01-8c74963e90bf")
	server.Create("projects/readings", 4)
	a := buildAt(t, "v3io-python", "localhost:8081", server.Addr)
	aloneWith(t, &a, "readings")
	addr := serve(t, a)
	for i := range 10 {
		sensor := []string{"roof", "cellar"}[i%2]
		server.Put("projects/readings", v3io.Record{PartitionKey: sensor, Data: fmt.Appendf(nil, `{"sensor": %q, "value": %d}`, sensor, i)})
	}
	var got string
	for end := time.Now().Add(patience); got != `{"cellar": 25, "roof": 20}`; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the sums are %s", got)
		}
		resp, err := http.Get("http://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		got = string(b)
	}
}
