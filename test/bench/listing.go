package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger/s3"
)

// Of the benchmarks of the trigger of objects.
const (
	listedObjects = 1_000_000
	listedPage    = 1000
	listedEarly   = 100_000 // when memory is looked at for the first time
)

// listings are the benchmarks of the trigger of objects with a large bucket: when
// its first page has run, and how much memory grows while it lists all of them.
func listings(o options) []benchmark {
	const group, memory, most = "listing", "s3-million-memory", 8.0
	first := under(group, "s3-first-page", "From the start of a trigger on a bucket of 1,000,000 objects, listed by a service that makes them up, until the first 1000 have run", "the trigger", 1000, o,
		func(ctx context.Context) (float64, error) {
			took, _, err := listed(ctx, listedPage)
			return float64(took.Nanoseconds()) / 1e6, err
		})
	goal := fmt.Sprintf("< %g MB", most)
	return []benchmark{first, {name: memory, title: "What the heap has grown by from the first 100,000 objects to the last", goal: goal, group: group, measure: func(ctx context.Context) (Result, error) {
		r := Result{Name: memory, Title: "What the heap has grown by from the first 100,000 objects to the last of 1,000,000", Goal: goal, Unit: "MB", Reference: most}
		_, grown, err := listed(ctx, listedObjects)
		grown = max(grown, 0) // what was listed ahead at the first look may be less at the last
		r.Value, r.Ratio, r.Met = grown, grown/most, grown < most
		r.Ratios, r.Sides = []float64{r.Ratio}, []Series{{Name: "the trigger", Values: []float64{grown}}}
		return r, err
	}}}
}

// listed runs a trigger until n objects have run. grown is by how many megabytes
// the heap has grown since the first ones, if there are that many.
func listed(ctx context.Context, n int) (took time.Duration, grown float64, err error) {
	h := &holder{}
	defer h.end()
	s, err := start(h, servers.Gofakes3)
	if err != nil {
		return 0, 0, err
	}
	service := httptest.NewServer(madeUp(s.Addr))
	defer service.Close()
	ctx, stop := context.WithTimeout(ctx, 10*time.Minute)
	defer stop()
	var count atomic.Int64
	var early, late float64
	begun := time.Now()
	spec := function.Trigger{Kind: s3.Kind, URL: strings.Replace(service.URL, "://", "://key@", 1), Secret: "secret",
		Attributes: attributes(map[string]any{"bucket": servers.S3Bucket, "pageSize": listedPage})}
	err = serveTrigger(ctx, s3.Factory(), spec, func([]byte) {
		now := int(count.Add(1))
		if now == listedEarly {
			early = heapNow()
		}
		if now == n {
			took, late = time.Since(begun), heapNow()
			stop()
		}
	})
	if got := count.Load(); err == nil && got < int64(n) {
		err = errors.Join(fmt.Errorf("%d of %d objects ran", got, n), ctx.Err())
	}
	return took, late - early, err
}

// heapNow is what is in use, in megabytes.
func heapNow() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// madeUp answers listings of a bucket with objects that it makes up, and has a
// service of objects answer all else: there the trigger keeps its place.
func madeUp(service string) http.Handler {
	real := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: service})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.Method != http.MethodGet || q.Get("list-type") != "2" {
			real.ServeHTTP(w, r)
			return
		}
		from, _ := strconv.Atoi(strings.TrimPrefix(q.Get("start-after"), "key-")) // none: from the beginning
		if token := q.Get("continuation-token"); token != "" {
			from, _ = strconv.Atoi(token)
		}
		to := min(from+listedPage, listedObjects)
		var b strings.Builder
		fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>%s</Name><KeyCount>%d</KeyCount><MaxKeys>%d</MaxKeys><IsTruncated>%v</IsTruncated><NextContinuationToken>%d</NextContinuationToken>`,
			servers.S3Bucket, to-from, listedPage, to < listedObjects, to)
		for i := from + 1; i <= to; i++ {
			fmt.Fprintf(&b, `<Contents><Key>key-%07d</Key><LastModified>%s</LastModified><ETag>"%032x"</ETag><Size>5</Size></Contents>`,
				i, time.Unix(1_700_000_000+int64(i), 0).UTC().Format(time.RFC3339), i)
		}
		b.WriteString("</ListBucketResult>")
		w.Header().Set("Content-Type", "application/xml")
		_, _ = strings.NewReader(b.String()).WriteTo(w) // the client sees it, or has gone
	})
}
