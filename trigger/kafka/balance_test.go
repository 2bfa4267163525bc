package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func someMembers(weights ...float64) (ms []*member) {
	for i, w := range weights {
		ms = append(ms, &member{id: fmt.Sprint("m", i), weight: w, topics: map[string]bool{"t": true}, owns: map[shard]int32{}})
	}
	return ms
}

// deal shares out and notes who owns what, as the next generation does.
func deal(ms []*member, topics map[string]int32, generation int32) (counts []int, moved int) {
	before := map[shard]*member{}
	for _, m := range ms {
		for s := range m.owns {
			before[s] = m
		}
		m.owns, m.has = map[shard]int32{}, 0
	}
	for s, m := range before {
		m.owns[s] = generation - 1
	}
	for _, d := range shareOut(ms, topics) {
		if b := before[d.shard]; b != d.owner {
			delete(d.owner.owns, d.shard)
			if b != nil {
				delete(b.owns, d.shard)
				moved++
			}
		}
		d.owner.owns[d.shard] = generation
	}
	for _, m := range ms {
		counts = append(counts, len(m.owns))
	}
	return counts, moved
}

// Shards are divided by weight, every member has one at least, and no more move
// than must.
func TestShareOut(t *testing.T) {
	for _, c := range []struct {
		weights []float64
		shards  int32
		want    string
	}{
		{[]float64{0.9, 0.1}, 20, "[18 2]"}, {[]float64{0.9, 0.1}, 4, "[3 1]"}, {[]float64{0.5, 0.5}, 5, "[3 2]"}, {[]float64{1, 1, 1}, 9, "[3 3 3]"},
		{[]float64{0.01, 0.99}, 2, "[1 1]"}, {[]float64{0.3, 0.7}, 1, "[0 1]"}, {[]float64{1}, 3, "[3]"}, {[]float64{0.25, 0.75}, 12, "[3 9]"},
	} {
		if counts, _ := deal(someMembers(c.weights...), map[string]int32{"t": c.shards}, 1); fmt.Sprint(counts) != c.want {
			t.Errorf("%v of %d shards: %v, want %s", c.weights, c.shards, counts, c.want)
		}
	}
	ms := someMembers(0.9, 0.1)
	topics := map[string]int32{"t": 20}
	deal(ms, topics, 1)
	if _, moved := deal(ms, topics, 2); moved != 0 {
		t.Errorf("%d shards moved although nothing changed", moved)
	}
	ms[0].weight, ms[1].weight = 0.8, 0.2
	if counts, moved := deal(ms, topics, 3); moved != 2 || counts[1] != 4 {
		t.Errorf("%d shards moved from 90:10 to 80:20 of 20, now %v", moved, counts)
	}
}

// Whatever members say, each shard has exactly one owner that wants its topic.
func TestShareOutGivesAll(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test repeats
	for range 2000 {
		topics := map[string]int32{"t": rnd.Int32N(9), "u": rnd.Int32N(9)}
		var ms []*member
		for i := range 1 + rnd.IntN(5) {
			m := &member{id: fmt.Sprint(i), weight: weightOf(fmt.Append(nil, rnd.Float64()*1.5-0.2)), topics: map[string]bool{"t": true, "u": i == 0 || rnd.IntN(2) == 0}, owns: map[shard]int32{}}
			for range rnd.IntN(6) {
				m.owns[shard{[]string{"t", "u", "gone"}[rnd.IntN(3)], rnd.Int32N(12)}] = rnd.Int32N(3)
			}
			ms = append(ms, m)
		}
		seen := map[shard]bool{}
		for _, d := range shareOut(ms, topics) {
			if seen[d.shard] || !d.owner.topics[d.topic] || d.n >= topics[d.topic] {
				t.Fatalf("shard %+v is dealt wrongly", d.shard)
			}
			seen[d.shard] = true
		}
		if len(seen) != int(topics["t"]+topics["u"]) {
			t.Fatalf("%d shards of %v are dealt", len(seen), topics)
		}
	}
}

func TestWeightOf(t *testing.T) {
	for text, want := range map[string]float64{"0.25": 0.25, "1": 1, "": 1, "0": 1, "-3": 1, "NaN": 1, "Inf": 1, "7": 1, "\x00\x01": 1} {
		if got := weightOf([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
