package archive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

var shop = ChainID{Group: "shop-1a2b", Type: schema.Interactions, TopicID: [16]byte{0xab, 1}, Partition: 7}

func open(t *testing.T, b *blob.Bucket, id ChainID) *Chain {
	t.Helper()
	c, err := OpenChain(t.Context(), b, id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// events are the interactions at the offsets from first to last, as they come back from the archive of shop.
func events(first, last int64) (rows []reco.Interaction) {
	for offset := first; offset <= last; offset++ {
		rows = append(rows, reco.Interaction{
			EventID: fmt.Sprintf("event-%d", offset), UserID: "user", ItemID: "item", EventType: "click", TimestampMS: 1.7e12 + offset,
			Origin: reco.Origin{TopicID: shop.TopicID, Partition: shop.Partition, Offset: offset, Arrival: time.UnixMilli(1.7e12).UTC()},
		})
	}
	return rows
}

func appendEvents(t *testing.T, c *Chain, first, last int64) {
	t.Helper()
	if err := c.AppendInteractions(t.Context(), nil, events(first, last), last); err != nil {
		t.Fatalf("appending %d to %d: %v", first, last, err)
	}
}

func readAll(t *testing.T, b *blob.Bucket, opts ReadOptions) (rows []reco.Interaction) {
	t.Helper()
	for row, err := range ReadInteractions(t.Context(), b, shop.Group, schema.Interactions, opts) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func keys(t *testing.T, b *blob.Bucket) (names []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), root) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Key)
	}
	return names
}

func verified(t *testing.T, b *blob.Bucket) Report {
	t.Helper()
	report, err := Verify(t.Context(), b, shop.Group)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestFilesAreNamedByTheOffsetAfterTheLast(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	c := open(t, b, shop)
	appendEvents(t, c, 0, 4)
	// The newest records of the next file are not worth a row: the file ends behind them nevertheless.
	if err := c.AppendInteractions(t.Context(), nil, events(5, 6), 9); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, c, 10, 10)

	const prefix = "archive/shop-1a2b/interactions/ab010000000000000000000000000000/00007/"
	want := []string{prefix + "00000000000000000000.parquet", prefix + "00000000000000000005.parquet", prefix + "00000000000000000010.parquet"}
	if got := keys(t, b); !slices.Equal(got, want) {
		t.Errorf("objects %q, want %q", got, want)
	}
	if next := open(t, b, shop).Next(); next != 11 {
		t.Errorf("opened again, the chain goes on at %d, want 11", next)
	}
	if diff := cmp.Diff(slices.Concat(events(0, 6), events(10, 10)), readAll(t, b, ReadOptions{})); diff != "" {
		t.Errorf("(-want +read)\n%s", diff)
	}
}

func TestTheSlowerOfTwoSinksIsSuperseded(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	fast, slow := open(t, b, shop), open(t, b, shop)
	appendEvents(t, fast, 0, 4)
	appendEvents(t, fast, 5, 7)

	if err := slow.AppendInteractions(t.Context(), nil, events(0, 9), 9); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("the slow sink's append: %v, want ErrSuperseded", err)
	}
	if slow.Next() != 8 {
		t.Fatalf("the slow sink goes on at %d, want 8", slow.Next())
	}
	appendEvents(t, slow, 8, 9)
	if diff := cmp.Diff(events(0, 9), readAll(t, b, ReadOptions{})); diff != "" {
		t.Errorf("(-want +read)\n%s", diff)
	}
	if report := verified(t, b); len(report.Problems) > 0 || report.Rows != 10 {
		t.Errorf("%+v", report)
	}
}

func TestAGapIsClosedByAFileThatSaysWhy(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	c := open(t, b, shop)
	appendEvents(t, c, 0, 1)
	if err := c.AppendGap(t.Context(), 99, "trimmed – zu früh"); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, c, 100, 101)

	report := verified(t, b)
	want := Report{Chains: 1, Files: 3, Rows: 4, Bytes: report.Bytes, Gaps: []Gap{{shop, 2, 99, "trimmed ? zu fr?h"}}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var covered []Gap
	opts := ReadOptions{Covered: func(first, last int64, gap string) { covered = append(covered, Gap{shop, first, last, gap}) }}
	if diff := cmp.Diff(slices.Concat(events(0, 1), events(100, 101)), readAll(t, b, opts)); diff != "" {
		t.Errorf("(-want +read)\n%s", diff)
	}
	if diff := cmp.Diff([]Gap{{shop, 0, 1, ""}, {shop, 2, 99, "trimmed ? zu fr?h"}, {shop, 100, 101, ""}}, covered); diff != "" {
		t.Errorf("(-want +covered)\n%s", diff)
	}
}

func TestAppendingWhatWouldBreakTheChainIsRefused(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	c := open(t, b, shop)
	appendEvents(t, c, 0, 4)
	for name, test := range map[string]struct {
		rows []reco.Interaction
		last int64
	}{
		"ends before it begins":   {nil, 4},
		"a row of an older file":  {events(4, 6), 6},
		"a row behind the end":    {events(5, 7), 6},
		"rows out of order":       {slices.Concat(events(6, 6), events(5, 5)), 6},
		"the same offset twice":   {slices.Concat(events(5, 5), events(5, 5)), 6},
		"a gap that is none left": {nil, -1},
	} {
		if err := c.AppendInteractions(t.Context(), nil, test.rows, test.last); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if c.Next() != 5 || len(keys(t, b)) != 1 {
		t.Errorf("the chain goes on at %d with %d files, want 5 with 1", c.Next(), len(keys(t, b)))
	}
}

func TestRowsThatAreTooManyForOneFileBecomeSeveral(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	c := open(t, b, shop)
	c.maxBytes = 5 << 10
	appendEvents(t, c, 0, 4999)
	report := verified(t, b)
	if len(report.Problems) > 0 || report.Rows != 5000 || report.Files < 2 || report.Bytes > int64(report.Files*c.maxBytes) {
		t.Errorf("%+v", report)
	}
	if next := open(t, b, shop).Next(); next != 5000 {
		t.Errorf("opened again, the chain goes on at %d, want 5000", next)
	}
}

func TestRowsThatCannotBeEncodedAreNamedAsSuch(t *testing.T) {
	t.Parallel()
	c := open(t, embeddedtest.Bucket(t), shop)
	rows := events(0, 0)
	rows[0].Properties = map[string]any{"NO,COLUMN": "x"}
	var encoding *EncodeError
	if err := c.AppendInteractions(t.Context(), nil, rows, 0); !errors.As(err, &encoding) {
		t.Errorf("%v, want an EncodeError", err)
	}
}

func TestReadingPartOfTheArchive(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	other, recreated := shop, shop
	other.Partition, recreated.TopicID = 8, [16]byte{0xcd}
	for _, id := range []ChainID{shop, other, recreated} {
		c := open(t, b, id)
		for first := int64(0); first < 30; first += 10 {
			appendEvents(t, c, first, first+9)
		}
	}
	for _, test := range []struct {
		name string
		opts ReadOptions
		want int
	}{
		{"everything", ReadOptions{}, 90},
		{"one partition", ReadOptions{Partition: &other.Partition}, 30},
		{"one topic", ReadOptions{TopicID: &recreated.TopicID}, 30},
		{"from inside a file", ReadOptions{TopicID: &shop.TopicID, Partition: &shop.Partition, FromOffset: 15}, 15},
		{"from a file's first", ReadOptions{TopicID: &shop.TopicID, Partition: &shop.Partition, FromOffset: 20}, 10},
		{"from every chain's 29", ReadOptions{FromOffset: 29}, 3},
		{"behind the end", ReadOptions{FromOffset: 30}, 0},
		{"behind all ends", ReadOptions{FromOffset: math.MaxInt64}, 0},
	} {
		if got := len(readAll(t, b, test.opts)); got != test.want {
			t.Errorf("%s: %d rows, want %d", test.name, got, test.want)
		}
	}
}

func TestEntitiesHaveChainsToo(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	id := ChainID{Group: shop.Group, Type: schema.Items, TopicID: [16]byte{1}, Partition: 2}
	c := open(t, b, id)
	want := []reco.Entity{
		{ID: "a", Properties: map[string]any{"GENRE": "drama"}, Origin: reco.Origin{TopicID: id.TopicID, Partition: 2, Offset: 3}},
		{ID: "a", Properties: map[string]any{"GENRE": "crime"}, Origin: reco.Origin{TopicID: id.TopicID, Partition: 2, Offset: 8}},
	}
	if err := c.AppendEntities(t.Context(), nil, want, 8); err != nil {
		t.Fatal(err)
	}
	var got []reco.Entity
	for row, err := range ReadEntities(t.Context(), b, id.Group, schema.Items) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}

func TestActionInteractionsHaveChainsOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	appendEvents(t, open(t, b, shop), 0, 2)
	id := shop
	id.Type = schema.ActionInteractions
	c := open(t, b, id)
	want := events(3, 5)
	for k := range want {
		want[k].EventType = "TAKEN"
		want[k].Properties = map[string]any{"EVENT_VALUE": 0.5} // a column like any other here
	}
	if err := c.AppendGap(t.Context(), 2, "a reason"); err != nil {
		t.Fatal(err)
	}
	if err := c.AppendInteractions(t.Context(), nil, want, 5); err != nil {
		t.Fatal(err)
	}
	var got []reco.Interaction
	for row, err := range ReadInteractions(t.Context(), b, shop.Group, schema.ActionInteractions, ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
	if rows := readAll(t, b, ReadOptions{}); len(rows) != 3 {
		t.Errorf("%d interactions with items, want 3", len(rows))
	}
	for ids, err := range open(t, b, id).NewestEventIDs(t.Context()) {
		if err != nil || !slices.Equal(ids, []string{"event-3", "event-4", "event-5"}) {
			t.Errorf("event ids %q, %v", ids, err)
		}
		break
	}
	if report := verified(t, b); len(report.Problems) > 0 || report.Rows != 6 || report.Chains != 2 || len(report.Gaps) != 1 {
		t.Errorf("%+v", report)
	}
}

func TestNewestEventIDsComeNewestFileFirst(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	c := open(t, b, shop)
	appendEvents(t, c, 0, 1)
	appendEvents(t, c, 2, 3)
	reopened := open(t, b, shop)
	appendEvents(t, reopened, 4, 4)
	var got [][]string
	for ids, err := range reopened.NewestEventIDs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids)
	}
	want := [][]string{{"event-4"}, {"event-2", "event-3"}, {"event-0", "event-1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDamagedFilesAreNamedAndPassedOver(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	c := open(t, b, shop)
	for first := int64(0); first < 30; first += 10 {
		appendEvents(t, c, first, first+9)
	}
	damaged := shop.key(10)
	rewrite(t, b, damaged, func(data []byte, _ map[string]string) []byte {
		data[len(data)/2] ^= 1
		return data
	})

	var rows []reco.Interaction
	var corrupt *CorruptError
	for row, err := range ReadInteractions(t.Context(), b, shop.Group, schema.Interactions, ReadOptions{}) {
		if errors.As(err, &corrupt) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if corrupt == nil || corrupt.Key != damaged {
		t.Errorf("error %v, want one that names %s", corrupt, damaged)
	}
	if diff := cmp.Diff(slices.Concat(events(0, 9), events(20, 29)), rows); diff != "" {
		t.Errorf("(-want +read)\n%s", diff)
	}
	report := verified(t, b)
	if len(report.Problems) != 1 || report.Problems[0].What != Unreadable || report.Problems[0].Key != damaged {
		t.Errorf("%+v", report)
	}
}

func TestAChainWithoutItsEndIsNotOpened(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	appendEvents(t, open(t, b, shop), 0, 4)
	rewrite(t, b, shop.key(0), func(data []byte, metadata map[string]string) []byte {
		delete(metadata, metadataLast)
		return data
	})
	var corrupt *CorruptError
	if _, err := OpenChain(t.Context(), b, shop); !errors.As(err, &corrupt) {
		t.Errorf("%v, want a CorruptError", err)
	}
}

func TestVerifyFindsWhatTheRulesExclude(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	appendEvents(t, open(t, b, shop), 0, 9)
	// Nothing in this package can write these.
	misplaced := &Chain{bucket: b, id: shop, next: 12, maxBytes: MaxFileBytes}
	appendEvents(t, misplaced, 12, 14)
	overlapping := &Chain{bucket: b, id: shop, next: 14, maxBytes: MaxFileBytes}
	appendEvents(t, overlapping, 14, 15)
	rewrite(t, b, shop.key(0), func(data []byte, metadata map[string]string) []byte {
		metadata[metadataLast] = "8"
		return data
	})
	if _, err := b.Put(t.Context(), shop.Prefix()+"notes.txt", []byte("x"), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}

	got := map[string][]ProblemKind{}
	for _, p := range verified(t, b).Problems {
		got[strings.TrimPrefix(p.Key, shop.Prefix())] = append(got[strings.TrimPrefix(p.Key, shop.Prefix())], p.What)
	}
	want := map[string][]ProblemKind{
		"00000000000000000000.parquet": {Misplaced},
		"00000000000000000012.parquet": {Hole},
		"00000000000000000014.parquet": {Overlap},
		"notes.txt":                    {Foreign},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// rewrite replaces an object, as damage or an operator would.
func rewrite(t *testing.T, b *blob.Bucket, key string, change func([]byte, map[string]string) []byte) {
	t.Helper()
	data, info, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	data = change(data, info.Metadata)
	if _, err := b.Put(t.Context(), key, data, blob.PutOptions{Metadata: info.Metadata}); err != nil {
		t.Fatal(err)
	}
}

func TestFailuresAreKeptOnce(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	f := Failure{
		Topic: "penchant.shop-1a2b.interactions", TopicID: "ab010000000000000000000000000000", Partition: 7, Offset: 42,
		Arrival: time.UnixMilli(1.7e12).UTC(), Key: []byte("user"), Value: []byte{0xff, 0}, Headers: map[string][]byte{"ce_id": []byte("e")}, Reason: "nonsense",
	}
	for range 2 {
		if err := PutFailure(t.Context(), b, shop.Group, f); err != nil {
			t.Fatal(err)
		}
	}
	var got []Failure
	for f, err := range Failures(t.Context(), b, shop.Group) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f)
	}
	if diff := cmp.Diff([]Failure{f}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestKeysRoundTrip(t *testing.T) {
	t.Parallel()
	if id, first, ok := parseKey(shop.key(123)); !ok || id != shop || first != 123 {
		t.Errorf("%+v, %d, %t", id, first, ok)
	}
	for _, key := range []string{
		"", "archive/", shop.Prefix(), shop.Prefix() + "1.parquet", shop.Prefix() + "0000000000000000000x.parquet",
		shop.key(1) + ".bak", strings.Replace(shop.key(1), "ab01", "AB01", 1), strings.Replace(shop.key(1), "/00007/", "/7/", 1),
		shop.Prefix() + "-0000000000000000001.parquet",
	} {
		if _, _, ok := parseKey(key); ok {
			t.Errorf("%q is taken for an archived file", key)
		}
	}
}

func TestReadingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	appendEvents(t, open(t, b, shop), 0, 4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	failed := false
	for _, err := range ReadInteractions(ctx, b, shop.Group, schema.Interactions, ReadOptions{}) {
		failed = failed || err != nil
	}
	if !failed {
		t.Error("no error")
	}
}
