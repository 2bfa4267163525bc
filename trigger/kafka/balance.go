package kafka

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// weighing is the name of the way in which a group shares out by weight.
const weighing = "myelin-weighted"

// weighted is the balancer of a member that wants a part of the shards only. It
// is cooperative: a shard that moves is given up by the old owner before the new
// one gets it. A group has it once all members know it, those with a part below
// 1; until then it shares out by their number.
type weighted struct {
	kgo.GroupBalancer // the cooperative-sticky one, for all but the sharing out
	part              float64
}

func (weighted) ProtocolName() string { return weighing }

// JoinGroupMetadata implements kgo.GroupBalancer: the weight takes the place of
// what the sticky balancer would say.
func (w weighted) JoinGroupMetadata(topics []string, owned map[string][]int32, generation int32) []byte {
	raw := w.GroupBalancer.JoinGroupMetadata(topics, owned, generation)
	meta := kmsg.NewConsumerMemberMetadata()
	if err := meta.ReadFrom(raw); err != nil {
		return raw // its reader takes it for a weight of 1
	}
	meta.UserData = strconv.AppendFloat(nil, w.part, 'g', -1, 64)
	return meta.AppendTo(nil)
}

// MemberBalancer implements kgo.GroupBalancer.
func (w weighted) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(w, members)
	if err != nil {
		return nil, nil, err
	}
	return b, b.MemberTopics(), nil
}

// Balance implements kgo.ConsumerBalancerBalance.
func (w weighted) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	var ms []*member
	b.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		ms = append(ms, newMember(m.MemberID, meta))
	})
	all := shareOut(ms, topics)
	plan := b.NewPlan()
	for i, m := range ms {
		info, _ := b.MemberAt(i)
		for _, s := range all {
			if s.owner == m {
				plan.AddPartition(info, s.topic, s.n)
			}
		}
	}
	plan.AdjustCooperative(b)
	return plan
}

// member is one of those that share.
type member struct {
	id     string
	weight float64
	topics map[string]bool
	owns   map[shard]int32 // generation in which it got a shard
	quota  int
	has    int
}

func newMember(id string, meta *kmsg.ConsumerMemberMetadata) *member {
	m := &member{id: id, weight: weightOf(meta.UserData), topics: map[string]bool{}, owns: map[shard]int32{}}
	for _, t := range meta.Topics {
		m.topics[t] = true
	}
	for _, o := range meta.OwnedPartitions {
		for _, p := range o.Partitions {
			m.owns[shard{o.Topic, p}] = meta.Generation
		}
	}
	return m
}

// weightOf reads what another member, perhaps of another program, said.
func weightOf(text []byte) float64 {
	w, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(w) || w <= 0 || w > 1 {
		return 1
	}
	return w
}

// dealt is a shard and who gets it.
type dealt struct {
	shard
	owner *member
}

// shareOut gives each member its part of the shards, as near as whole shards
// come to it, and one at least if there are enough. Owners keep what they have
// as far as that goes.
func shareOut(ms []*member, topics map[string]int32) []*dealt {
	var all []*dealt
	for _, t := range slices.Sorted(maps.Keys(topics)) {
		for p := range topics[t] {
			s := shard{t, p}
			all = append(all, &dealt{shard: s, owner: lastOwner(ms, s)})
		}
	}
	setQuotas(ms, len(all))
	for _, d := range all {
		if d.owner != nil && d.owner.has < d.owner.quota {
			d.owner.has++
		} else {
			d.owner = nil
		}
	}
	for _, d := range all {
		if d.owner == nil {
			if d.owner = neediest(ms, d.topic); d.owner != nil {
				d.owner.has++
			}
		}
	}
	return slices.DeleteFunc(all, func(d *dealt) bool { return d.owner == nil })
}

// lastOwner is who got a shard last, among those that still want its topic.
func lastOwner(ms []*member, s shard) (last *member) {
	for _, m := range ms {
		if g, ok := m.owns[s]; ok && m.topics[s.topic] && (last == nil || g > last.owns[s]) {
			last = m
		}
	}
	return last
}

// neediest is who lacks most of its part of those that want a topic.
func neediest(ms []*member, topic string) (best *member) {
	for _, m := range ms {
		if !m.topics[topic] {
			continue
		}
		if best == nil || m.quota-m.has > best.quota-best.has ||
			m.quota-m.has == best.quota-best.has && float64(m.has+1)/m.weight < float64(best.has+1)/best.weight {
			best = m
		}
	}
	return best
}

// setQuotas divides n shards by weight; what is left over goes to the largest
// remainders, among equal ones to who has more already.
func setQuotas(ms []*member, n int) {
	var sum float64
	for _, m := range ms {
		sum += m.weight
	}
	left := n
	rest := map[*member]float64{}
	for _, m := range ms {
		exact := float64(n) * m.weight / sum
		m.quota = int(exact + 1e-9)
		rest[m] = exact - float64(m.quota)
		left -= m.quota
	}
	order := slices.Clone(ms)
	slices.SortStableFunc(order, func(a, b *member) int {
		if math.Abs(rest[a]-rest[b]) > 1e-9 {
			return cmp.Compare(rest[b], rest[a])
		}
		return cmp.Compare(len(b.owns), len(a.owns))
	})
	for i := 0; left > 0; i++ {
		order[i%len(order)].quota++
		left--
	}
	for _, m := range ms {
		most := slices.MaxFunc(ms, func(a, b *member) int { return cmp.Compare(a.quota, b.quota) })
		if m.quota == 0 && most.quota > 1 {
			m.quota, most.quota = 1, most.quota-1
		}
	}
}
