package archive

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
)

func TestChainsSayHowFarTheyHaveCome(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	other := shop
	other.Partition = 9
	c := open(t, b, shop)
	appendEvents(t, c, 0, 4)
	appendEvents(t, c, 5, 9)
	appendEvents(t, open(t, b, other), 0, 2)

	chains, err := Chains(t.Context(), b, shop.Group)
	if err != nil {
		t.Fatal(err)
	}
	want := []ChainState{{ID: shop, Files: 2, Next: 10}, {ID: other, Files: 1, Next: 3}}
	if diff := cmp.Diff(want, chains, cmpopts.IgnoreFields(ChainState{}, "Bytes", "LastModified")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, chain := range chains {
		if chain.Bytes == 0 || chain.LastModified.IsZero() {
			t.Errorf("%+v", chain)
		}
	}

	rewrite(t, b, shop.key(5), func(data []byte, metadata map[string]string) []byte {
		delete(metadata, metadataLast)
		return data
	})
	var corrupt *CorruptError
	if _, err := Chains(t.Context(), b, shop.Group); !errors.As(err, &corrupt) {
		t.Errorf("with damaged metadata: %v, want a CorruptError", err)
	}
}

func TestASurveySeesWhatNamesAndMetadataTell(t *testing.T) {
	t.Parallel()
	b := embeddedtest.Bucket(t)
	c := open(t, b, shop)
	appendEvents(t, c, 0, 9)
	if err := c.AppendGap(t.Context(), 11, "trimmed"); err != nil {
		t.Fatal(err)
	}
	appendEvents(t, &Chain{bucket: b, id: shop, next: 14, maxBytes: MaxFileBytes}, 14, 19)
	appendEvents(t, &Chain{bucket: b, id: shop, next: 18, maxBytes: MaxFileBytes}, 18, 21)
	if _, err := b.Put(t.Context(), shop.Prefix()+"notes.txt", []byte("x"), blob.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	report, err := Survey(t.Context(), b, shop.Group)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(verified(t, b), report); diff != "" {
		t.Errorf("of sound files a survey sees what a verification does (-verification +survey)\n%s", diff)
	}
	var got []string
	for _, p := range report.Problems {
		got = append(got, strings.TrimPrefix(p.Key, shop.Prefix())+" "+string(p.What))
	}
	want := []string{"00000000000000000014.parquet hole", "00000000000000000018.parquet overlap", "notes.txt foreign object"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(report.Gaps) != 1 || report.Rows != 20 {
		t.Errorf("%+v", report)
	}
}
