package eventfile

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/reco"
)

const readWithPyarrow = `
import json, sys
import pyarrow.parquet as pq
file = pq.ParquetFile(sys.argv[1])
arrival = [i for i, name in enumerate(file.schema_arrow.names) if name == "ARRIVAL_TIME"][0]
statistics = file.metadata.row_group(0).column(arrival).statistics
json.dump({
    "names": file.schema_arrow.names,
    "rows": json.loads(json.dumps(file.read().to_pylist(), default=lambda t: t.isoformat())),
    "oldest": statistics.min.isoformat(),
    "newest": statistics.max.isoformat(),
}, sys.stdout)
`

// The files are an interface to tools outside of Go: columns in order, types, and the statistics by which readers skip
// row groups.
func TestPyarrowReadsTheFile(t *testing.T) {
	t.Parallel()
	if err := exec.Command("python3", "-c", "import pyarrow.parquet").Run(); err != nil {
		t.Skip("python3 with pyarrow is not installed")
	}
	value := 2.5
	data, err := EncodeInteractions(shopSchema(), []reco.Interaction{
		{
			EventID: "e1", UserID: "u1", SessionID: "s1", ItemID: "i1", EventType: "click", EventValue: &value, TimestampMS: 1_700_000_000_123,
			Impression: []string{"i1", "i2"}, Properties: map[string]any{"DEVICE": "phone", "QUANTITY": int64(3), "GIFT": true},
			Origin: reco.Origin{Partition: 2, Offset: 41, Arrival: time.UnixMilli(1_700_000_001_000)},
		},
		{
			EventID: "e2", SessionID: "s1", ItemID: "i2", EventType: "click", TimestampMS: 1_700_000_000_999,
			Origin: reco.Origin{Partition: 2, Offset: 42, Arrival: time.UnixMilli(1_700_000_002_000)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "events.parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "-c", readWithPyarrow, path).Output()
	if err != nil {
		t.Fatalf("pyarrow: %v", err)
	}
	var got struct {
		Names          []string
		Rows           []map[string]any
		Oldest, Newest string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	names := []string{"USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE", "EVENT_VALUE", "IMPRESSION", "EVENT_ATTRIBUTION_SOURCE",
		"DEVICE", "PRICE", "QUANTITY", "GIFT", "SESSION_ID_",
		"EVENT_ID", "SESSION_ID", "RECOMMENDATION_ID", "ARRIVAL_TIME", "EVENT_TIME", "KAFKA_PARTITION", "KAFKA_OFFSET"}
	if !slices.Equal(got.Names, names) {
		t.Errorf("columns %q, want %q", got.Names, names)
	}
	for _, check := range []struct {
		row    int
		column string
		want   any
	}{
		{0, "USER_ID", "u1"}, {1, "USER_ID", nil}, {0, "TIMESTAMP", 1.7e9}, {0, "EVENT_VALUE", 2.5}, {0, "IMPRESSION", "i1|i2"},
		{0, "QUANTITY", 3.0}, {0, "GIFT", true}, {1, "DEVICE", nil}, {0, "EVENT_TIME", "2023-11-14T22:13:20.123000+00:00"},
		{0, "KAFKA_PARTITION", 2.0}, {1, "KAFKA_OFFSET", 42.0},
	} {
		if value := got.Rows[check.row][check.column]; value != check.want {
			t.Errorf("row %d, %s: %v, want %v", check.row, check.column, value, check.want)
		}
	}
	if got.Oldest != "2023-11-14T22:13:21+00:00" || got.Newest != "2023-11-14T22:13:22+00:00" {
		t.Errorf("statistics of ARRIVAL_TIME: %s to %s", got.Oldest, got.Newest)
	}
}
