package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/test/servers"
)

// rowsEach is how many rows an event inserts, each by a call of its own.
const rowsEach = 1000

// inserts lets the same function insert rows with the binding's batch and without,
// into a server that waits for its disk as it does where it is installed, or does not:
// that makes a single insert cheaper, and so is the harder comparison.
func inserts(synced bool) func(context.Context, options, *holder) (Result, error) {
	return func(ctx context.Context, o options, h *holder) (res Result, err error) {
		how := servers.PostgreSQL
		if synced {
			how = syncedPostgreSQL
		}
		s, err := start(h, how)
		if err != nil {
			return res, err
		}
		return insertsInto(ctx, o, h, s)
	}
}

func syncedPostgreSQL(t servers.T, opts ...servers.Option) *servers.Server {
	return servers.PostgreSQL(t, append(opts, servers.Synced())...)
}

func insertsInto(ctx context.Context, o options, h *holder, s *servers.Server) (res Result, err error) {
	url := "postgres://postgres@" + s.Addr + "/postgres?sslmode=disable"
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return res, err
	}
	h.Cleanup(func() { _ = db.Close(context.WithoutCancel(ctx)) })
	f := native.Of(func(c *myelin.Context, _ *myelin.Event, resp *myelin.Response) error {
		t := c.Bindings.Table("visits")
		for i := range rowsEach {
			if _, err := t.Insert(c, "visits", []string{"who", "n"}, [][]any{{"somebody", int64(i)}}); err != nil {
				return err
			}
		}
		resp.Body = append(resp.Body[:0], "ok"...)
		return nil
	}, nil)
	side := func(name string, gathered *function.WriteBatch) caller {
		return hostedSide(name, 1, nil, func(ctx context.Context) (*hosted, error) {
			if _, err := db.Exec(ctx, "DROP TABLE IF EXISTS visits"); err != nil {
				return nil, err
			}
			if _, err := db.Exec(ctx, "CREATE TABLE visits (who TEXT NOT NULL, n BIGINT NOT NULL)"); err != nil {
				return nil, err
			}
			b := function.DataBinding{Class: "table", Kind: "postgresql", URL: url, Batch: gathered}
			return startHosted(ctx, ".", function.Spec{Runtime: native.Kind, DataBindings: map[string]function.DataBinding{"visits": b}}, 1, native.Factory(f))
		})
	}
	res, err = compareCalls(ctx, o, side("gathered", &function.WriteBatch{}), side("one by one", nil), func(f figures) float64 { return f.rate * rowsEach })
	res.Met = res.Ratio >= 20
	return res, err
}

// objects reads a large object by the binding and by the service's client library.
func objects(ctx context.Context, o options, h *holder) (res Result, err error) {
	s, err := start(h, servers.Gofakes3)
	if err != nil {
		return res, err
	}
	at := "http://" + s.Addr
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at+"/"+servers.S3Bucket+"/large", bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		return res, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return res, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return res, fmt.Errorf("put the object: %s", resp.Status)
	}
	packages, err := servers.MotoPackages() // boto3 is one of them
	if err != nil {
		return res, err
	}
	env := map[string]string{"BENCH_SITES": packages, "BENCH_S3": at, "BENCH_BUCKET": servers.S3Bucket}
	b := map[string]function.DataBinding{"files": {Class: "object", Kind: "s3", URL: "http://key@" + s.Addr, Path: servers.S3Bucket, Secret: "secret"}}
	subject := pythonHosted("by view", 1, nil, "file", b, nil)
	reference := pythonHosted("boto3", 1, nil, "file_client", nil, env)
	res, err = compareCalls(ctx, o, subject, reference, rateOf)
	res.Met = true
	return res, err
}
