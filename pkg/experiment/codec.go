package experiment

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

// maxDecoded bounds the memory for what a damaged object claims to hold.
const maxDecoded = 256 << 20

// Encode writes a tally down. Equal tallies have equal bytes.
func (t *Tally) Encode() ([]byte, error) {
	m := &penchantv1.ExperimentTally{
		Moved: t.moved, Beyond: t.beyond, Forgotten: t.forgotten, Lost: t.lost, RatioLogEvidence: t.ratioLogEvidence,
	}
	if !t.Until.IsZero() {
		m.UntilMs = t.Until.UnixMilli()
	}
	for _, topic := range slices.Sorted(maps.Keys(t.Progress)) {
		p := t.Progress[topic]
		m.Progress = append(m.Progress, &penchantv1.TopicProgress{Topic: topic, TopicId: p.TopicID[:], Next: p.Next})
	}
	for n := range t.arms {
		m.Arms = append(m.Arms, encodeArm(&t.arms[n]))
	}
	users := slices.Sorted(maps.Keys(t.users))
	m.Users, m.UserArms = make([]uint64, len(users)), make([]byte, len(users))
	for i, user := range users {
		m.Users[i], m.UserArms[i] = uint64(user), t.users[user]
	}
	for i, key := range t.order {
		a := t.open[key]
		m.OpenIds, m.OpenArms = append(m.OpenIds, key), append(m.OpenArms, a.arm)
		m.OpenClusters, m.OpenAtMs = append(m.OpenClusters, uint32(a.cluster)), append(m.OpenAtMs, a.at)
		if len(a.rewards) > 0 {
			m.Rewarded = append(m.Rewarded, &penchantv1.RewardedAnswer{Place: uint32(i), Rewards: a.rewards})
		}
	}
	for _, phase := range slices.Sorted(maps.Keys(t.phases)) {
		users := map[uint32]int64{}
		for place, n := range t.phases[phase] {
			users[uint32(place)] = n
		}
		m.Phases = append(m.Phases, &penchantv1.ExperimentPhase{Phase: int32(phase), Users: users})
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding a tally: %w", err)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("encoding a tally: %w", err)
	}
	defer func() { _ = encoder.Close() }() // it holds nothing
	return encoder.EncodeAll(data, nil), nil
}

func encodeArm(a *arm) *penchantv1.ArmTally {
	m := &penchantv1.ArmTally{Name: a.name, Test: encodeTest(a.test), Guard: encodeTest(a.guard)}
	for _, c := range a.clusters {
		m.Users, m.Impressions = append(m.Users, c.users), append(m.Impressions, c.impressions)
		m.Rewards, m.GuardRewards = append(m.Rewards, c.rewards), append(m.GuardRewards, c.guardRewards)
	}
	return m
}

func encodeTest(t test) *penchantv1.SequentialTest {
	if t.scale == 0 {
		return nil
	}
	return &penchantv1.SequentialTest{Scale: t.scale, LogEvidence: t.logEvidence}
}

// Decode reads what Encode has written, for an experiment that may have got further arms since.
func Decode(data []byte, plan Plan) (*Tally, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return nil, fmt.Errorf("decoding a tally: %w", err)
	}
	defer decoder.Close()
	var m penchantv1.ExperimentTally
	plain, err := decoder.DecodeAll(data, nil)
	if err == nil {
		err = proto.Unmarshal(plain, &m)
	}
	if err == nil {
		err = check(&m)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding a tally: %w", err)
	}
	t := NewTally(Plan{})
	for _, a := range m.Arms {
		decodeArm(&t.arms[t.place(a.Name)], a)
	}
	t.SetPlan(plan)
	t.moved, t.beyond, t.forgotten, t.lost = m.Moved, m.Beyond, m.Forgotten, m.Lost
	t.ratioLogEvidence = m.RatioLogEvidence
	if m.UntilMs > 0 {
		t.Until = time.UnixMilli(m.UntilMs).UTC()
	}
	for _, p := range m.Progress {
		next := maps.Clone(p.Next)
		if next == nil {
			next = map[int32]int64{}
		}
		t.Progress[p.Topic] = Progress{TopicID: [16]byte(p.TopicId), Next: next}
	}
	for i, user := range m.Users {
		t.users[Hash(user)] = m.UserArms[i]
	}
	t.order = m.OpenIds
	for i, key := range m.OpenIds {
		t.open[key] = &openAnswer{at: m.OpenAtMs[i], cluster: uint16(m.OpenClusters[i]), arm: m.OpenArms[i]}
	}
	for _, r := range m.Rewarded {
		t.open[m.OpenIds[r.Place]].rewards = r.Rewards
	}
	for _, p := range m.Phases {
		for place := range uint32(len(m.Arms)) {
			t.phases[int(p.Phase)] = append(t.phases[int(p.Phase)], p.Users[place])
		}
	}
	return t, nil
}

// check makes sure that what the lists point at exists.
func check(m *penchantv1.ExperimentTally) error {
	arms := len(m.Arms)
	inArms := func(places []byte) bool {
		return !slices.ContainsFunc(places, func(place byte) bool { return int(place) >= arms })
	}
	open := len(m.OpenIds)
	switch {
	case len(m.UserArms) != len(m.Users) || !inArms(m.UserArms):
		return fmt.Errorf("the arms of %d users are not given", len(m.Users))
	case len(m.OpenArms) != open || len(m.OpenClusters) != open || len(m.OpenAtMs) != open || !inArms(m.OpenArms):
		return fmt.Errorf("%d open answers are not complete", open)
	case slices.ContainsFunc(m.OpenClusters, func(c uint32) bool { return c >= Clusters }):
		return fmt.Errorf("an open answer is in none of %d clusters", Clusters)
	case slices.ContainsFunc(m.Rewarded, func(r *penchantv1.RewardedAnswer) bool { return int(r.Place) >= open }):
		return fmt.Errorf("an answer was rewarded that is none of %d", open)
	case slices.ContainsFunc(m.Progress, func(p *penchantv1.TopicProgress) bool { return len(p.TopicId) != 16 }):
		return fmt.Errorf("the progress of a topic has no topic id")
	}
	for _, a := range m.Arms {
		if len(a.Users) != Clusters || len(a.Impressions) != Clusters ||
			len(a.Rewards) != Clusters || len(a.GuardRewards) != Clusters {
			return fmt.Errorf("arm %s has not %d clusters", a.Name, Clusters)
		}
	}
	return nil
}

func decodeArm(a *arm, m *penchantv1.ArmTally) {
	for i := range a.clusters {
		a.clusters[i] = cluster{m.Users[i], m.Impressions[i], m.Rewards[i], m.GuardRewards[i]}
	}
	a.test = test{m.Test.GetScale(), m.Test.GetLogEvidence()}
	a.guard = test{m.Guard.GetScale(), m.Guard.GetLogEvidence()}
}
