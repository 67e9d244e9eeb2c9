package dataset

import (
	"fmt"
	"testing"

	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/reco"
)

// A part ends by the length of its rows' text even where that compresses to nearly nothing.
func TestPartsEndByTheirText(t *testing.T) {
	t.Parallel()
	w := &partsWriter[reco.Interaction]{
		bucket: embeddedtest.Bucket(t), open: interactionFile(movieLensSchema),
		key: func(n int) string { return fmt.Sprintf("part-%d.parquet", n) },
	}
	for n := range int64(5) {
		if err := w.write(t.Context(), []reco.Interaction{imported(n, "u", "i", n)}, partTextBytes/2); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := w.close()
	if err != nil {
		t.Fatal(err)
	}
	rows := []int64{}
	for _, p := range parts {
		rows = append(rows, p.Rows)
	}
	if fmt.Sprint(rows) != "[2 2 1]" {
		t.Errorf("the parts have %v rows", rows)
	}
}
