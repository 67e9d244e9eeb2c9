package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func (s *shop) rows(v Version) (ids []string, users []string) {
	s.Helper()
	for i, err := range Interactions(s.Context(), s.bucket, v) {
		if err != nil {
			s.Fatal(err)
		}
		ids, users = append(ids, i.EventID), append(users, i.UserID)
	}
	return ids, users
}

func TestRemovalMakesAVersionWithoutTheRows(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	parsed, err := schema.Parse(`{"type":"record","name":"Interactions","namespace":"x","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`, "")
	if err != nil {
		t.Fatal(err)
	}
	const header = "USER_ID,ITEM_ID,TIMESTAMP\n"
	s.put("a.csv", header+"ann,1,1\nben,1,2\nann,2,3\n")
	s.put("b.csv", header+"cid,1,4\n")
	s.put("c.csv", header+"ann,9,5\n")
	s.mustImport(s.request(parsed, "a.csv"))
	for _, key := range []string{"b.csv", "c.csv"} {
		more := s.request(parsed, key)
		more.Mode = Incremental
		s.mustImport(more)
	}
	before, err := Current(t.Context(), s.bucket, "g", "INTERACTIONS")
	if err != nil {
		t.Fatal(err)
	}
	ids, _ := s.rows(before)
	removal := Removal{
		Bucket: s.bucket, Group: "g", Schema: parsed, ID: "job",
		Interaction: func(i *reco.Interaction) bool { return i.UserID == "ann" },
	}
	after, removed, err := removal.Run(t.Context())
	if err != nil || removed != 3 || after.Number != 4 || after.Base != 4 || after.Rows != 2 || len(after.Parts) != 2 {
		t.Fatalf("removed %d, %v: %+v", removed, err, after)
	}
	left, users := s.rows(after)
	if diff := cmp.Diff([]string{ids[1], ids[3]}, left); diff != "" || !slices.Equal(users, []string{"ben", "cid"}) {
		t.Errorf("left %v of %v: %s", left, users, diff)
	}
	for n, p := range after.Parts {
		if p.Version != 4 || !p.Imported.Equal(before.Parts[n].Imported) {
			t.Errorf("part %+v, was %+v", p, before.Parts[n])
		}
	}
	if after.Parts[1].Key != before.Parts[1].Key || after.Parts[0].Key == before.Parts[0].Key {
		t.Errorf("parts %v, were %v", after.Parts, before.Parts)
	}
	for _, n := range []int{0, 2} {
		if _, err := s.bucket.Head(t.Context(), before.Parts[n].Key); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s is still there: %v", before.Parts[n].Key, err)
		}
	}
	// Again it does nothing, also if its process had ended before the old files were deleted.
	s.put(before.Parts[0].Key, "old")
	if again, removed, err := removal.Run(t.Context()); err != nil || removed != 0 || again.Number != 4 {
		t.Errorf("again: %d, %v, %+v", removed, err, again)
	}
	if _, err := s.bucket.Head(t.Context(), before.Parts[0].Key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the old file is still there: %v", err)
	}
	// Nobody to remove: nothing changes.
	removal.ID, removal.Interaction = "other", func(*reco.Interaction) bool { return false }
	if same, removed, err := removal.Run(t.Context()); err != nil || removed != 0 || same.Number != 4 {
		t.Errorf("nobody: %d, %v, %+v", removed, err, same)
	}
	// Everybody: no data.
	removal.ID, removal.Interaction = "all", func(*reco.Interaction) bool { return true }
	if none, removed, err := removal.Run(t.Context()); err != nil || removed != 2 || none.Number != 5 ||
		len(none.Parts) != 0 {
		t.Errorf("everybody: %d, %v, %+v", removed, err, none)
	}
}

func TestUserIDsAreReadAsAnImportReads(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.put("ids/1.csv", "NAME,USER_ID\nAnn,u1\n\"Ben, B\",\"u\"\"2\"\n")
	s.put("ids/2.csv", "USER_ID\nu3\n")
	s.put("bad.csv", "USER_ID,NAME\nu1,x\n,y\n")
	s.put("none.csv", "NAME\nx\n")
	read := func(key string) (ids []string, err error) {
		err = UserIDs(
			t.Context(), s.client, fmt.Sprintf("s3://%s/%s", s.bucket.Name(), key),
			func(id string) { ids = append(ids, id) },
		)
		return ids, err
	}
	if ids, err := read("ids/"); err != nil || !slices.Equal(ids, []string{"u1", `u"2`, "u3"}) {
		t.Errorf("read %v, %v", ids, err)
	}
	for key, want := range map[string]string{
		"bad.csv": "line 3, column USER_ID", "none.csv": "missing the following columns:[USER_ID]",
		"absent.csv": "Insufficient privileges",
	} {
		_, err := read(key)
		if reason, fault := Reason(err); !fault || !strings.Contains(reason, want) {
			t.Errorf("%s: %v, want %q", key, err, want)
		}
	}
}

func TestForgottenCountAgainAfterTheCut(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	topic := [16]byte{1}
	f := &Forgotten{Topic: topic, Cut: map[int32]int64{0: 10, 1: 0}}
	f.Add("ann")
	if err := f.Save(t.Context(), s.bucket, "g", "job"); err != nil {
		t.Fatal(err)
	}
	loaded := func(topic [16]byte, partition int32, start int64) []*Forgotten {
		all, err := LoadForgotten(t.Context(), s.bucket, "g", topic, partition, start)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if len(loaded(topic, 0, 10)) != 0 || len(loaded(topic, 1, 0)) != 0 || len(loaded([16]byte{2}, 0, 0)) != 0 {
		t.Error("it speaks of offsets that are not in the log")
	}
	all := loaded(topic, 0, 9)
	if len(all) != 1 || !all[0].Has("ann", 0, 9) || all[0].Has("ann", 0, 10) || all[0].Has("ben", 0, 9) {
		t.Errorf("loaded %+v", all)
	}
	data, _, err := s.bucket.Get(t.Context(), "deletions/g/job.json")
	if err != nil || strings.Contains(string(data), "ann") {
		t.Errorf("it names whom it forgets: %s, %v", data, err)
	}
}
