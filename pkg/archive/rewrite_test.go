package archive

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

func TestRewritingTakesRowsOutAndNothingElse(t *testing.T) {
	t.Parallel()
	config, name := embeddedtest.S3(t)
	client, err := blob.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b := client.Bucket(name)
	c := open(t, b, shop)
	appendEvents(t, c, 0, 9)
	appendEvents(t, c, 10, 19)
	appendEvents(t, c, 20, 20)
	names := keys(t, b)
	drop := func(i *reco.Interaction) bool {
		if i.Origin.TopicID != shop.TopicID || i.Origin.Partition != shop.Partition {
			t.Errorf("origin %v", i.Origin)
		}
		return i.Origin.Offset%2 == 0 && i.Origin.Offset < 10 || i.Origin.Offset == 20
	}
	for _, want := range []int64{6, 0} {
		if dropped, err := RewriteInteractions(t.Context(), b, shop.Group, schema.Interactions, drop); err != nil || dropped != want {
			t.Errorf("dropped %d rows, %v; want %d", dropped, err, want)
		}
	}
	var want []reco.Interaction
	for _, i := range events(0, 20) {
		if !drop(&i) {
			want = append(want, i)
		}
	}
	if diff := cmp.Diff(want, readAll(t, b, ReadOptions{})); diff != "" {
		t.Errorf("(-kept +read):\n%s", diff)
	}
	if diff := cmp.Diff(names, keys(t, b)); diff != "" {
		t.Errorf("files: %s", diff)
	}
	report := verified(t, b)
	if len(report.Problems) != 0 || report.Rows != int64(len(want)) {
		t.Errorf("verified: %+v", report)
	}
	// The chain goes on as if nothing had been.
	if again := open(t, b, shop); again.Next() != 21 {
		t.Errorf("the chain goes on at %d", again.Next())
	}
	appendEvents(t, c, 21, 22)

	rewrite(t, b, names[1], func(data []byte, _ map[string]string) []byte { data[len(data)/2] ^= 1; return data })
	var corrupt *CorruptError
	if _, err := RewriteInteractions(t.Context(), b, shop.Group, schema.Interactions, drop); !errors.As(err, &corrupt) || corrupt.Key != names[1] {
		t.Errorf("of a damaged file: %v", err)
	}
}

func TestRewritingUsers(t *testing.T) {
	t.Parallel()
	config, name := embeddedtest.S3(t)
	client, err := blob.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	b := client.Bucket(name)
	id := shop
	id.Type = schema.Users
	c := open(t, b, id)
	rows := []reco.Entity{
		{ID: "ann", Properties: map[string]any{"AGE": int64(30)}, Origin: reco.Origin{TopicID: id.TopicID, Partition: id.Partition, Offset: 3}},
		{ID: "ben", Properties: map[string]any{"AGE": 30.5, "MEMBER": true}, Origin: reco.Origin{TopicID: id.TopicID, Partition: id.Partition, Offset: 4}},
	}
	if err := c.AppendEntities(t.Context(), nil, rows, 9); err != nil {
		t.Fatal(err)
	}
	dropped, err := RewriteUsers(t.Context(), b, shop.Group, func(e *reco.Entity) bool { return e.ID == "ann" })
	if err != nil || dropped != 1 {
		t.Errorf("dropped %d, %v", dropped, err)
	}
	var left []reco.Entity
	for e, err := range ReadEntities(t.Context(), b, shop.Group, schema.Users) {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, e)
	}
	if len(left) != 1 || left[0].ID != "ben" || !cmp.Equal(left[0].Properties, rows[1].Properties) || open(t, b, id).Next() != 10 {
		t.Errorf("left %v", left)
	}
}
