package function

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// bindings checks what does not depend on the kind.
func (c *checker) bindings(all map[string]DataBinding) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		at, b := document.Join("spec.dataBindings", name), all[name]
		c.cache(at+".cache", b.Cache)
		c.writeBatch(at+".batch", b.Batch)
		c.breaker(at+".breaker", b.Breaker)
		names := map[string]bool{}
		for i, p := range b.Prefetch {
			at := at + ".prefetch[" + strconv.Itoa(i) + "]"
			c.prefetch(at, p)
			if p.As != "" && names[p.As] {
				c.Add(at+".as", "%q is another one's, too", p.As)
			}
			names[p.As] = true
		}
	}
}

func (c *checker) cache(at string, d *DataCache) {
	if d == nil {
		return
	}
	if d.Size < 0 || d.Size > 1<<40 {
		c.Add(at+".size", "is %v, expected 1 to 1Ti", d.Size)
	}
	c.within(at+".ttl", d.TTL, 365*24*time.Hour)
	c.within(at+".negativeTTL", d.NegativeTTL, 365*24*time.Hour)
}

func (c *checker) writeBatch(at string, b *WriteBatch) {
	if b == nil {
		return
	}
	if b.Count < 0 || b.Count > 100_000 {
		c.Add(at+".count", "is %d, expected 1 to 100000", b.Count)
	}
	if b.Bytes < 0 || b.Bytes > 1<<30 {
		c.Add(at+".bytes", "is %v, expected 1 to 1Gi", b.Bytes)
	}
	c.within(at+".wait", b.Wait, time.Minute)
}

func (c *checker) breaker(at string, b *Breaker) {
	if b == nil {
		return
	}
	if b.Failures < 0 || b.Failures > 1_000_000 {
		c.Add(at+".failures", "is %d, expected 1 to 1000000", b.Failures)
	}
	c.within(at+".pause", b.Pause, time.Hour)
}

func (c *checker) within(at string, d quantity.Duration, most time.Duration) {
	if d < 0 || d.Std() > most {
		c.Add(at, "is %v, expected 0s to %v", d, most)
	}
}

func (c *checker) prefetch(at string, p Prefetch) {
	switch {
	case p.Get == "" && p.Query == "":
		c.Add(at, "needs get, or query")
	case p.Get != "" && p.Query != "":
		c.Add(at, "has get and query: take one")
	case p.Query != "" && p.As == "":
		c.Add(at+".as", "is required: the function asks by it for the query's answer")
	case p.Get != "" && len(p.Params) > 0:
		c.Add(at+".params", "are of a query")
	}
	c.template(at+".get", p.Get)
	for i, t := range p.Params {
		c.template(at+".params["+strconv.Itoa(i)+"]", t)
	}
}

func (c *checker) template(at, text string) {
	if _, err := ParseTemplate(text); err != nil {
		c.Add(at, "%v", err)
	}
}
