package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// h2s are HTTP/2 without TLS and gRPC to a native handler, against Go's own
// servers of both.
func h2s(o options, work string) []benchmark {
	type row struct {
		name, title, than  string
		subject, reference side
	}
	h2load := func(r row) benchmark {
		goal := ">= 0.9 of " + r.than
		return benchmark{name: r.name, title: r.title, goal: goal, measure: func(ctx context.Context) (Result, error) {
			res, err := compare(ctx, o, r.subject, r.reference, load{connections: 8})
			res.Name, res.Title, res.Goal, res.Unit = r.name, r.title, goal, "requests/s"
			res.Met = res.Ratio >= 0.9
			return res, err
		}}
	}
	post := &h2requests{8, bytes.Repeat([]byte("x"), 1<<10), []string{"content-type: text/plain"}}
	return []benchmark{
		h2load(row{"h2c-go", "HTTP/2 without TLS to a native Go handler, POST 1 KiB, 8 connections with 8 requests each", "bare net/http",
			sending(post, goSide(o, work)), sending(post, bareOf(o, "bare net/http", "-h2c", nil))}),
		h2load(row{"grpc-go", "gRPC to a native Go handler, unary, 1 KiB, 8 connections with 8 calls each", "bare grpc-go",
			sending(grpcCalls(4), grpcSide(o, work)), sending(grpcCalls(1), bareOf(o, "bare grpc-go", "-grpc", answersGRPC))}),
	}
}

// h2requests are what h2load sends on each connection.
type h2requests struct {
	streams int
	body    []byte
	headers []string
}

// sending is a side that gets such requests.
func sending(r *h2requests, s side) side {
	return side{s.name, func(ctx context.Context) (*server, error) {
		started, err := s.start(ctx)
		if err == nil {
			started.h2 = r
		}
		return started, err
	}}
}

// grpcCalls have 1 KiB in a field: 4 is the body of myelin.v1.Request, 1 the
// value of google.protobuf.BytesValue, which the limit has.
func grpcCalls(field protowire.Number) *h2requests {
	m := protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), bytes.Repeat([]byte("x"), 1<<10))
	return &h2requests{8, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...), []string{"content-type: application/grpc", "te: trailers"}} //nolint:gosec // a kibibyte
}

// bareOf is the limit of another kind.
func bareOf(o options, name, flag string, ready func(context.Context, string) error) side {
	return side{name, func(ctx context.Context) (*server, error) {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		program := filepath.Join(o.bin, "bare")
		if ready == nil {
			return launch(ctx, ".", addr, program, flag, "-listen", addr)
		}
		s := &server{url: "http://" + addr + "/myelin.v1.Function/Call", cmd: exec.CommandContext(ctx, program, flag, "-listen", addr)}
		s.cmd.Stderr = os.Stderr
		if err := s.cmd.Start(); err != nil {
			return nil, err
		}
		if err := ready(ctx, addr); err != nil {
			s.stop()
			return nil, err
		}
		return s, nil
	}}
}

// answersGRPC waits until the server at addr answers a call.
func answersGRPC(ctx context.Context, addr string) error {
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := c.Invoke(ctx, "/myelin.v1.Function/Call", &emptypb.Empty{}, &emptypb.Empty{}, grpc.WaitForReady(true))
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// grpcSide is a Go function's binary with a gRPC trigger.
func grpcSide(o options, work string) side {
	return side{"Myelin, Go", func(ctx context.Context) (*server, error) {
		const name = "ok-grpc-go"
		dir := filepath.Join(work, name)
		if err := buildFunction(ctx, o, "test/bench/functions/"+name, dir); err != nil {
			return nil, err
		}
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		calls, err := freeAddr()
		if err != nil {
			return nil, err
		}
		_, port, _ := bytes.Cut([]byte(calls), []byte(":"))
		conf := fmt.Sprintf("function: {metadata: {name: %s}, spec: {runtime: golang, triggers: {web: {kind: http}, calls: {kind: grpc, attributes: {port: %s}}}}}\n", name, port)
		if err := os.WriteFile(filepath.Join(dir, "processor.yaml"), []byte(conf), 0o644); err != nil {
			return nil, err
		}
		s, err := launch(ctx, dir, addr, filepath.Join(dir, name), "-listen", addr, "-admin", "none", "-log-level", "error")
		if err != nil {
			return nil, err
		}
		s.url = "http://" + calls + "/myelin.v1.Function/Call"
		if err := answersGRPC(ctx, calls); err != nil {
			s.stop()
			return nil, err
		}
		return s, nil
	}}
}

var (
	h2rate   = regexp.MustCompile(`finished in [^,]+, ([\d.]+) req/s`)
	h2counts = regexp.MustCompile(`requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored`)
	h2status = regexp.MustCompile(`status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx`)
	h2times  = regexp.MustCompile(`(?m)^time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)`)
)

// h2load loads s from one thread. What failed is an error, as with wrk.
func h2load(ctx context.Context, s *server, l load, d time.Duration) (f figures, err error) {
	file, err := os.CreateTemp("", "body-*")
	if err != nil {
		return f, err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(s.h2.body); err != nil {
		return f, err
	}
	if err := file.Close(); err != nil {
		return f, err
	}
	args := []string{"-t1", "-c" + strconv.Itoa(l.connections), "-m" + strconv.Itoa(s.h2.streams), "-D" + strconv.Itoa(max(int(d.Seconds()), 1)), "-d" + file.Name()}
	for _, h := range s.h2.headers {
		args = append(args, "-H", h)
	}
	before := s.cpu()
	out, err := exec.CommandContext(ctx, "h2load", append(args, s.url)...).CombinedOutput()
	spent := s.cpu() - before
	if err != nil {
		return f, fmt.Errorf("h2load: %w: %s", err, bytes.TrimSpace(out))
	}
	rate, counts, mean := h2rate.FindSubmatch(out), h2counts.FindSubmatch(out), h2times.FindSubmatch(out)
	if rate == nil || counts == nil || mean == nil || h2status.Find(out) == nil {
		return f, fmt.Errorf("h2load on %s printed no figures, or statuses other than 2xx: %s", s.url, out)
	}
	if number(counts[3])+number(counts[4]) > 0 {
		return f, fmt.Errorf("h2load on %s: %s", s.url, counts[0])
	}
	f.rate = number(rate[1])
	f.cpu = spent.Seconds() * 1e6 / number(counts[2])
	f.p50 = number(mean[1]) * map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3}[string(mean[2])] // the mean: it says no other
	return f, nil
}
