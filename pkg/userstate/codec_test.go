package userstate

import (
	"bytes"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

func fullState() *State {
	value, zero := 3.5, 0.0
	long := string(bytes.Repeat([]byte("long"), 60))
	return &State{
		ID: "u", keep: bounds{200, 20, 900},
		items: history{
			streamed: []reco.RecentInteraction{
				{EventID: "a", ItemID: "i1", EventType: "view", TimestampMS: -5},
				{EventID: "c", ItemID: long, EventType: "buy", TimestampMS: 1 << 40, EventValue: &value},
			},
			imported: []reco.RecentInteraction{{EventID: "b", ItemID: "i2", EventValue: &zero, TimestampMS: 7, ImportedVersion: 3}},
			version:  3,
		},
		actions: history{
			streamed: []reco.RecentInteraction{{EventID: "d", ItemID: "offer", EventType: "TAKEN", TimestampMS: 8}},
			imported: []reco.RecentInteraction{{EventID: "e", ItemID: "call", EventType: "VIEWED", TimestampMS: 7, ImportedVersion: 2}},
			version:  2,
		},
		sessions:      []linkedSession{{"s1", 5}, {long, 6}},
		applied:       []AppliedOffset{{TopicID: [16]byte{0xab, 15: 1}, Partition: 4, Offset: 1 << 50}, {Partition: 5}},
		lastArrivalMS: 1_700_000_000_000,
	}
}

func wireState() *penchantv1.UserState {
	s := fullState()
	topic := s.applied[0].TopicID
	return &penchantv1.UserState{
		Recent: []*penchantv1.RecentInteraction{
			{EventId: "a", ItemId: "i1", EventType: "view", TimestampMs: -5},
			{EventId: "b", ItemId: "i2", EventValue: proto.Float64(0), TimestampMs: 7, ImportedVersion: 3},
			{EventId: "c", ItemId: s.items.streamed[1].ItemID, EventType: "buy", TimestampMs: 1 << 40, EventValue: proto.Float64(3.5)},
		},
		Sessions:      []*penchantv1.LinkedSession{{SessionId: "s1", SeenMs: 5}, {SessionId: s.sessions[1].id, SeenMs: 6}},
		Applied:       []*penchantv1.AppliedOffset{{TopicId: topic[:], Partition: 4, Offset: 1 << 50}, {TopicId: make([]byte, 16), Partition: 5}},
		LastArrivalMs: s.lastArrivalMS, ImportedVersion: 3,
	}
}

func wireActions() *penchantv1.ActionHistory {
	return &penchantv1.ActionHistory{
		Recent: []*penchantv1.RecentInteraction{
			{EventId: "e", ItemId: "call", EventType: "VIEWED", TimestampMs: 7, ImportedVersion: 2},
			{EventId: "d", ItemId: "offer", EventType: "TAKEN", TimestampMs: 8},
		},
		ImportedVersion: 2,
	}
}

func TestTheCodecIsProtobuf(t *testing.T) {
	t.Parallel()
	var got penchantv1.UserState
	if err := proto.Unmarshal(fullState().encode(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(wireState(), &got, protocmp.Transform()); diff != "" {
		t.Errorf("encoding (-schema +codec):\n%s", diff)
	}
	var gotActions penchantv1.ActionHistory
	if err := proto.Unmarshal(fullState().encodeActions(), &gotActions); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(wireActions(), &gotActions, protocmp.Transform()); diff != "" {
		t.Errorf("encoding actions (-schema +codec):\n%s", diff)
	}
	encoded, err := proto.Marshal(wireState())
	if err != nil {
		t.Fatal(err)
	}
	actions, err := proto.Marshal(wireActions())
	if err != nil {
		t.Fatal(err)
	}
	decoded := &State{ID: "u", keep: bounds{200, 20, 900}}
	if err := decoded.decode(string(encoded)); err != nil {
		t.Fatal(err)
	}
	if err := decoded.decodeActions(string(actions)); err != nil {
		t.Fatal(err)
	}
	want := fullState()
	want.unite(schema.Interactions)
	want.unite(schema.ActionInteractions)
	if diff := gocmp.Diff(want, decoded, gocmp.AllowUnexported(State{}, bounds{}, history{}, linkedSession{})); diff != "" {
		t.Errorf("decoding (-schema +codec):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(fullState().encode())
	f.Add(fullState().encodeActions())
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		var s State
		s.keep = bounds{200, 20, 900}
		if s.decodeActions(string(encoded)) == nil {
			again := State{keep: s.keep}
			if err := again.decodeActions(string(s.encodeActions())); err != nil {
				t.Fatalf("actions that were decoded do not decode again: %v", err)
			}
		}
		if err := s.decode(string(encoded)); err != nil {
			return
		}
		again := State{keep: s.keep}
		if err := again.decode(string(s.encode())); err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
	})
}

func TestVectorsOfAnotherMomentAreNotUsed(t *testing.T) {
	t.Parallel()
	stored := string(encodeVector("12345678", []float32{1, -2.5}))
	if got, ok := decodeVector("12345678", stored); !ok || gocmp.Diff([]float32{1, -2.5}, got) != "" {
		t.Errorf("decoded %v, %v", got, ok)
	}
	for name, c := range map[string]struct{ rev, value string }{
		"another revision": {"87654321", stored},
		"torn":             {"12345678", stored[:len(stored)-1]},
		"shorter than rev": {"12345678", "123"},
		"no user":          {"", stored},
	} {
		if _, ok := decodeVector(c.rev, c.value); ok {
			t.Errorf("a vector is taken: %s", name)
		}
	}
}
