package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/kafka"
)

// Of each Kafka benchmark: one topic, read by both sides.
const (
	kafkaBody    = 1024
	kafkaShards  = 4
	kafkaBatch   = 100
	kafkaPerTurn = 100_000 // records for each second asked for
)

// reader reads a topic, from where its group is, until ctx is done. It calls
// seen with the bodies of each batch, many at a time.
type reader func(ctx context.Context, addr, topic, group string, seen func(bodies int, body []byte)) error

// kafkas are the benchmarks of the trigger kafka against a bare franz-go
// consumer that reads the same topic of the same broker in the same batches.
func kafkas(o options) []benchmark {
	type row struct {
		name, title string
		goal        float64 // 0: none
		side        string
		read, bare  reader
	}
	var out []benchmark
	for _, r := range []row{
		{"kafka-go-batch100", "Kafka to a native Go handler, 1 KiB, batches of 100", 0.9, "Myelin, Go", triggerOf(goBatches, kafkaBatch), bareReader(kafkaBatch)},
		{"kafka-python-batch100", "Kafka to a Python handler, 1 KiB, batches of 100", 0.5, "Myelin, Python", triggerOf(pythonBatches, kafkaBatch), bareReader(kafkaBatch)},
		{"kafka-go-one", "Kafka to a native Go handler, 1 KiB, one at a time in order", 0, "Myelin, Go", triggerOf(goSingles, 0), bareReader(1)},
	} {
		goal := "beside a bare franz-go consumer"
		if r.goal > 0 {
			goal = fmt.Sprintf(">= %.1f of a bare franz-go consumer", r.goal)
		}
		out = append(out, benchmark{name: r.name, title: r.title, goal: goal, group: "kafka", measure: func(ctx context.Context) (Result, error) {
			res, err := withKafka(func(addr string) (Result, error) { return readInTurns(ctx, o, addr, r.side, r.read, r.bare) })
			res.Name, res.Title, res.Goal, res.Unit, res.Met = r.name, r.title, goal, "records/s", res.Ratio >= r.goal
			return res, err
		}})
	}
	return append(out, kafkaDelay(o))
}

// withKafka starts a broker for one measurement.
func withKafka(do func(addr string) (Result, error)) (Result, error) {
	h := &holder{}
	defer h.end()
	s, err := start(h, func(t servers.T, _ ...servers.Option) *servers.Server {
		return servers.Kafka(t, servers.JVM("-Xmx1g", "-XX:TieredStopAtLevel=4"))
	})
	if err != nil {
		return Result{}, err
	}
	return do(s.Addr)
}

// readInTurns lets both sides in turn read the whole of a topic, each time in a
// new group.
func readInTurns(ctx context.Context, o options, addr, name string, subject, reference reader) (res Result, err error) {
	n := kafkaPerTurn * o.seconds
	if err := fillTopic(ctx, addr, "bench", n); err != nil {
		return res, fmt.Errorf("fill topic: %w", err)
	}
	res.Sides = []Series{{Name: name}, {Name: "bare franz-go"}}
	sides := []reader{subject, reference}
	for round := -1; round < o.rounds; round++ { // the first warms up
		for turn := range 2 {
			i := (round + 1 + turn) % 2
			time.Sleep(settle)
			before := spentAlso()
			rate, err := readAll(ctx, sides[i], addr, fmt.Sprintf("group-%d-%d", round, i), n)
			if err != nil {
				return res, fmt.Errorf("%s: %w", res.Sides[i].Name, err)
			}
			if s := &res.Sides[i]; round >= 0 {
				s.Values = append(s.Values, rate)
				s.CPU = append(s.CPU, (spentAlso()-before).Seconds()*1e6/float64(n))
			}
		}
		if round >= 0 {
			res.Ratios = append(res.Ratios, res.Sides[0].Values[round]/res.Sides[1].Values[round])
		}
	}
	res.Value, res.Reference, res.Ratio = median(res.Sides[0].Values), median(res.Sides[1].Values), median(res.Ratios)
	return res, nil
}

// spentAlso is the processor time of this process and of its workers that have
// ended, from their start on. The broker, which runs on, is not among them.
func spentAlso() time.Duration {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &ru) // cannot fail
	return spent(nil) + time.Duration(ru.Utime.Nano()+ru.Stime.Nano())
}

// readAll is how many records a second a side has seen, from the first to the
// last.
func readAll(ctx context.Context, read reader, addr, group string, n int) (float64, error) {
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	defer stop()
	var count, first, last atomic.Int64
	err := read(ctx, addr, "bench", group, func(bodies int, _ []byte) {
		now := time.Now().UnixNano()
		first.CompareAndSwap(0, now)
		if count.Add(int64(bodies)) == int64(n) {
			last.Store(now)
			stop()
		}
	})
	if err != nil || last.Load() == 0 {
		return 0, fmt.Errorf("%d of %d records came: %w", count.Load(), n, errors.Join(err, ctx.Err()))
	}
	return float64(n) / time.Duration(last.Load()-first.Load()).Seconds(), nil
}

func fillTopic(ctx context.Context, addr, topic string, n int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(20_000), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, kafkaShards, 1, nil, topic); err != nil {
		return err
	}
	var mu sync.Mutex
	var failed error
	for range n {
		cl.Produce(ctx, &kgo.Record{Value: make([]byte, kafkaBody)}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	return errors.Join(cl.Flush(ctx), failed)
}

// bareReader is the client library alone: it hands out what comes of a shard in
// lists of at most size, and commits each second.
func bareReader(size int) reader {
	return func(ctx context.Context, addr, topic, group string, seen func(int, []byte)) error {
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.AutoCommitInterval(time.Second), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(250*time.Millisecond))
		if err != nil {
			return err
		}
		defer cl.CloseAllowingRebalance()
		sum := 0
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachPartition(func(p kgo.FetchTopicPartition) {
				for list := range slices.Chunk(p.Records, size) {
					for _, r := range list { // what goBatches does
						sum += len(r.Value)
					}
					seen(len(list), list[0].Value)
				}
			})
		}
		return nil
	}
}

// maker makes a runtime whose function calls seen with what it gets.
type maker func(seen func(int, []byte)) (runtime.Runtime, error)

// goBatches, as pythonBatches, is counted from without: see counting.
func goBatches(func(int, []byte)) (runtime.Runtime, error) {
	var sum atomic.Int64
	return goRuntime(func(_ *myelin.Context, evs []*myelin.Event, _ []*myelin.Response, _ []error) error {
		for _, ev := range evs {
			sum.Add(int64(len(ev.Body)))
		}
		return nil
	})
}

func goSingles(seen func(int, []byte)) (runtime.Runtime, error) {
	return goRuntime(func(_ *myelin.Context, ev *myelin.Event, _ *myelin.Response) error {
		seen(1, ev.Body)
		return nil
	})
}

func goRuntime(handler any) (runtime.Runtime, error) {
	quiet := slog.New(slog.DiscardHandler)
	return native.Factory(native.Of(handler, nil)).New(runtime.Settings{Log: quiet, FunctionLog: quiet}, nil)
}

func pythonBatches(func(int, []byte)) (runtime.Runtime, error) { return newPython("batch", "{}") }

// triggerOf is a kafka trigger with a pool of as many workers as the topic has
// shards.
func triggerOf(make maker, batch int) reader {
	return func(ctx context.Context, addr, topic, group string, seen func(int, []byte)) error {
		rt, err := make(seen)
		if err != nil {
			return err
		}
		spec := function.Trigger{Kind: kafka.Kind}
		if batch > 0 {
			spec.Batch = &function.Batch{Mode: "enable", BatchSize: batch, Timeout: quantity.Duration(5 * time.Millisecond)}
		}
		raw, err := json.Marshal(map[string]any{"brokers": []string{addr}, "topics": []string{topic}, "consumerGroup": group})
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		trg, err := kafka.Factory().New(trigger.Settings{Name: "in", Function: "bench", Spec: spec, Workers: kafkaShards, Log: log}, raw)
		if err != nil {
			return err
		}
		pool := worker.New(rt, worker.Options{Size: kafkaShards, Log: log})
		if err := pool.Open(ctx); err != nil {
			return err
		}
		h := pool.ForBatches(10*time.Second, nil, worker.Batching{Size: batch})
		if batch > 0 {
			h = &counting{h, h.(trigger.BatchHandler), seen}
		}
		err = trg.Run(ctx, h)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return errors.Join(err, pool.Close(end))
	}
}

// counting calls seen for each batch that a function is done with.
type counting struct {
	trigger.Handler
	inner trigger.BatchHandler
	seen  func(int, []byte)
}

// Sealed implements [trigger.Sealer] as the pool does.
func (c *counting) Sealed() bool { return c.Handler.(trigger.Sealer).Sealed() }

// HandleBatch implements [trigger.BatchHandler].
func (c *counting) HandleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	c.inner.HandleBatch(ctx, evs, resps, errs)
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return
	}
	c.seen(len(evs), evs[0].Body)
}

// kafkaDelay compares how long after it was produced a record is in the
// handler, at a steady 500 a second.
func kafkaDelay(o options) benchmark {
	const name, title, goal = "kafka-go-delay", "Kafka, from produce to handler done, 1 KiB, 500 a second: p50", "beside a bare franz-go consumer"
	return benchmark{name: name, title: title, goal: goal, group: "kafka", measure: func(ctx context.Context) (Result, error) {
		res, err := withKafka(func(addr string) (Result, error) {
			if err := fillTopic(ctx, addr, "bench", 0); err != nil {
				return Result{}, err
			}
			return delays(ctx, o, addr)
		})
		res.Name, res.Title, res.Goal, res.Unit, res.Met = name, title, goal, "us", true
		return res, err
	}}
}

func delays(ctx context.Context, o options, addr string) (res Result, err error) {
	res.Sides = []Series{{Name: "Myelin, Go"}, {Name: "bare franz-go"}}
	sides := []reader{triggerOf(goSingles, 0), bareReader(1)}
	for round := range o.rounds {
		for turn := range 2 {
			i := (round + turn) % 2
			times, err := delaysOf(ctx, o, addr, fmt.Sprintf("delay-%d-%d", round, i), sides[i])
			if err != nil {
				return res, fmt.Errorf("%s: %w", res.Sides[i].Name, err)
			}
			p50, p99 := times[len(times)/2], times[len(times)*99/100]
			s := &res.Sides[i]
			s.Values = append(s.Values, float64(p50.Microseconds()))
			s.P50, s.P99 = append(s.P50, p50.Seconds()*1000), append(s.P99, p99.Seconds()*1000)
		}
		res.Ratios = append(res.Ratios, res.Sides[0].Values[round]/res.Sides[1].Values[round])
	}
	res.Value, res.Reference, res.Ratio = median(res.Sides[0].Values), median(res.Sides[1].Values), median(res.Ratios)
	return res, nil
}

// delaysOf sends records that carry their time, once the reader reads, and
// returns the delays in order of their length.
func delaysOf(ctx context.Context, o options, addr, group string, read reader) ([]time.Duration, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("bench"), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	run := time.Now().UnixNano()
	var mu sync.Mutex
	var times []time.Duration
	reads := make(chan error, 1)
	begun := make(chan struct{})
	var once sync.Once
	go func() {
		reads <- read(ctx, addr, "bench", group, func(_ int, body []byte) {
			sent := int64(binary.BigEndian.Uint64(body)) //nolint:gosec // a time
			if sent < run {
				return // of a turn before
			}
			once.Do(func() { close(begun) })
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Duration(time.Now().UnixNano()-sent))
		})
	}()
	steady := time.NewTicker(2 * time.Millisecond)
	defer steady.Stop()
	for left := -1; left != 0; left-- {
		select {
		case err := <-reads:
			return nil, err
		case <-begun:
			begun, left = nil, 500*o.seconds
			mu.Lock()
			times = times[:0] // what waited for the reader does not count
			mu.Unlock()
		case <-steady.C:
		}
		body := make([]byte, kafkaBody)
		binary.BigEndian.PutUint64(body, uint64(time.Now().UnixNano())) //nolint:gosec // a time
		cl.Produce(ctx, &kgo.Record{Value: body}, nil)
	}
	err = cl.Flush(ctx)
	time.Sleep(settle) // for the last to arrive
	stop()
	err = errors.Join(err, <-reads)
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(times)
	if len(times) == 0 {
		return nil, errors.Join(err, errors.New("no record came"))
	}
	return times, err
}
