package dataset

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// streamed is an event as the archive gives it.
func streamed(id, user, session, item string, second int64) reco.Interaction {
	return reco.Interaction{
		EventID: id, UserID: user, SessionID: session, ItemID: item, EventType: "view", TimestampMS: 1000 * second,
		Origin: reco.Origin{TopicID: [16]byte{1}, Offset: second},
	}
}

// imported is an event as an import gives it: the n-th row.
func imported(n int64, user, item string, second int64) reco.Interaction {
	return reco.Interaction{
		EventID: importedEventID(1, n), UserID: user, ItemID: item, EventType: "view", TimestampMS: 1000 * second,
	}
}

// histories writes a set as user: items, one line a user.
func histories(set *trainingset.Set) string {
	var lines []string
	for u, user := range set.Users {
		var items []string
		for _, r := range set.History(u) {
			items = append(items, r.ItemID)
		}
		lines = append(lines, user+": "+strings.Join(items, " "))
	}
	return strings.Join(lines, "\n")
}

// archived writes one file of interactions to partition 0.
func (s *shop) archived(rows ...reco.Interaction) {
	s.Helper()
	chain, err := archive.OpenChain(
		s.Context(), s.bucket, archive.ChainID{Group: "g", Type: schema.Interactions, TopicID: [16]byte{1}},
	)
	if err != nil {
		s.Fatal(err)
	}
	first := chain.Next()
	for i := range rows {
		rows[i].Origin.Offset = first + int64(i)
	}
	if err := chain.AppendInteractions(s.Context(), nil, rows, first+int64(len(rows))-1); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) archivedItems(rows ...reco.Entity) {
	s.Helper()
	chain, err := archive.OpenChain(
		s.Context(), s.bucket, archive.ChainID{Group: "g", Type: schema.Items, TopicID: [16]byte{2}},
	)
	if err != nil {
		s.Fatal(err)
	}
	for i := range rows {
		rows[i].Origin.Offset = int64(i)
	}
	if err := chain.AppendEntities(s.Context(), items, rows, int64(len(rows))-1); err != nil {
		s.Fatal(err)
	}
}

func arrived(i reco.Interaction, at time.Time) reco.Interaction {
	i.Origin.Arrival = at
	return i
}

func (s *shop) load(req LoadRequest) *Loaded {
	s.Helper()
	req.Bucket, req.Group = s.bucket, "g"
	loaded, err := Load(s.Context(), req)
	if err != nil {
		s.Fatal(err)
	}
	return loaded
}

func TestLoadJoinsImportsArchiveAndMore(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	if set := s.load(LoadRequest{}); set.Events() != 0 || len(set.Imported) != 0 {
		t.Errorf("an empty group: %+v", set)
	}
	s.put("in.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,imported,1\n")
	s.mustImport(s.request(smallInteractions, "in.csv"))
	now := time.Now()
	s.archived(
		arrived(streamed("1", "u", "", "archived", 2), now),
		arrived(streamed("2", "v", "", "late", 3), now.Add(time.Hour)),
	)
	tail := arrived(streamed("3", "u", "", "tail", 4), now)
	repeat := arrived(streamed("1", "u", "", "archived", 2), now)
	set := s.load(LoadRequest{Until: now.Add(time.Minute), More: func(b *trainingset.Builder) error {
		b.Add(&tail)
		b.Add(&repeat)
		return nil
	}})
	if diff := cmp.Diff("u: imported archived tail", histories(set.Set)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int64{"INTERACTIONS": 1}, set.Imported); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("u: imported archived\nv: late", histories(s.load(LoadRequest{}).Set)); diff != "" {
		t.Error(diff)
	}
}

func TestLoadTakesTheNewestRowOfAnItem(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put(
		"items.csv",
		"ITEM_ID,GENRES,PRICE,NEW,CREATION_TIMESTAMP,TEXT\na,twice,,,,\na,import,,,,\nb,import,,,,\nc,import,,,,\n",
	)
	s.mustImport(s.request(items, "items.csv"))
	before, after := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	row := func(id, genres string, at time.Time) reco.Entity {
		return reco.Entity{
			ID: id, Properties: map[string]any{"GENRES": genres},
			Origin: reco.Origin{TopicID: [16]byte{2}, Arrival: at},
		}
	}
	s.archivedItems(
		row("b", "put before", before), row("c", "put after", after), row("c", "put again", after),
		row("d", "put only", before),
	)
	set := s.load(LoadRequest{More: func(b *trainingset.Builder) error {
		older := row("c", "tail, but older", before)
		b.AddItem(older)
		return nil
	}})
	got := map[string]any{}
	for i, e := range set.ItemRows {
		got[set.Items[i]] = e.Properties["GENRES"]
	}
	want := map[string]any{"a": "import", "b": "import", "c": "put again", "d": "put only"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadJoinsActions(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("actions.csv", "ACTION_ID,VALUE,LEVEL,ACTION_EXPIRATION_TIMESTAMP,REPEAT_FREQUENCY\njoin,1,,,\ncall,1,,,\n")
	s.mustImport(s.request(someActions, "actions.csv"))
	s.put(
		"acted.csv",
		"USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE,IMPRESSION,RECOMMENDATION_ID,EVENT_VALUE\nu,join,1,VIEWED,,,\n",
	)
	s.mustImport(s.request(someActionInteractions, "acted.csv"))
	now := time.Now().Add(time.Minute)
	chain, err := archive.OpenChain(
		t.Context(), s.bucket, archive.ChainID{Group: "g", Type: schema.ActionInteractions, TopicID: [16]byte{3}},
	)
	if err != nil {
		t.Fatal(err)
	}
	act := func(id, action, kind string, second int64, at time.Time) reco.Interaction {
		i := arrived(streamed(id, "u", "", action, second), at)
		i.EventType, i.Origin.Offset = kind, 0
		return i
	}
	late := act("2", "call", "TAKEN", 3, now.Add(time.Hour))
	late.Origin.Offset = 1
	if err := chain.AppendInteractions(
		t.Context(), nil, []reco.Interaction{act("1", "join", "TAKEN", 2, now), late}, 1,
	); err != nil {
		t.Fatal(err)
	}
	entities, err := archive.OpenChain(
		t.Context(), s.bucket, archive.ChainID{Group: "g", Type: schema.Actions, TopicID: [16]byte{4}},
	)
	if err != nil {
		t.Fatal(err)
	}
	put := reco.Entity{ID: "call", Properties: map[string]any{"VALUE": int64(2)}, Origin: reco.Origin{Arrival: now}}
	if err := entities.AppendEntities(t.Context(), nil, []reco.Entity{put}, 0); err != nil {
		t.Fatal(err)
	}
	tail := act("3", "mail", "NOT_TAKEN", 4, now)
	set := s.load(LoadRequest{Until: now.Add(time.Minute), More: func(b *trainingset.Builder) error {
		b.AddActionInteraction(&tail)
		b.AddAction(reco.Entity{ID: "mail"})
		return nil
	}})
	if diff := cmp.Diff([]string{"call", "join", "mail"}, set.Actions.IDs); diff != "" {
		t.Error(diff)
	}
	want := []trainingset.ActionEvent{
		{UserID: "u", Action: 1, TimeMS: 1000, Type: "VIEWED"},
		{UserID: "u", Action: 1, TimeMS: 2000, Type: "TAKEN"},
		{UserID: "u", Action: 2, TimeMS: 4000, Type: "NOT_TAKEN"},
	}
	if diff := cmp.Diff(want, set.Actions.Events); diff != "" {
		t.Error(diff)
	}
	if got := set.Actions.Rows[0].Properties["VALUE"]; got != int64(2) {
		t.Errorf("the newest record of an action has the value %v", got)
	}
	if diff := cmp.Diff(map[string]int64{"ACTIONS": 1, "ACTION_INTERACTIONS": 1}, set.Imported); diff != "" {
		t.Error(diff)
	}
	if set.Events() != 0 || len(set.Items) != 0 {
		t.Errorf("%d interactions with items %q", set.Events(), set.Items)
	}
}

func TestLoadNamesDamagedArchiveFiles(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.archived(streamed("1", "u", "", "a", 1))
	s.archived(streamed("2", "u", "", "b", 2))
	s.archived(streamed("3", "u", "", "c", 3))
	var keys []string
	for info, err := range s.bucket.List(t.Context(), archive.GroupPrefix("g")) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	_, info, err := s.bucket.Get(t.Context(), keys[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.bucket.Put(
		t.Context(), keys[1], []byte("damaged"), blob.PutOptions{Metadata: info.Metadata},
	); err != nil {
		t.Fatal(err)
	}
	set := s.load(LoadRequest{})
	if diff := cmp.Diff("u: a c", histories(set.Set)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{keys[1]}, set.Damaged); diff != "" {
		t.Error(diff)
	}
}
