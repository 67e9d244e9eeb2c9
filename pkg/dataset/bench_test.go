package dataset

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// movieLens is the unpacked text of the ml-1m interactions that developers keep beside the repository.
func movieLens(b testing.TB) []byte {
	b.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", "ml-1m", "interactions.csv.gz")
	file, err := os.Open(path)
	if err != nil {
		b.Skipf("the ml-1m data is not there: %v", err)
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(packed)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

var movieLensSchema = &schema.Schema{Type: schema.Interactions, Fields: []schema.Field{
	field("USER_ID", schema.String), field("ITEM_ID", schema.String), field("TIMESTAMP", schema.Long),
	field("EVENT_TYPE", schema.String), nullable("EVENT_VALUE", schema.Float),
}}

func perRow(b *testing.B, rows int64) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkParse is the reading half of an import: text to checked rows.
func BenchmarkParse(b *testing.B) {
	text := movieLens(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var rows int64
	for b.Loop() {
		batch := newInteractionBatch(1)
		var err error
		if rows, err = readRows(text, movieLensSchema, batch, func() { batch.take() }); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, rows)
}

// BenchmarkImport is a whole import of ml-1m, from S3 to S3, with the store in the same process.
func BenchmarkImport(b *testing.B) {
	text := movieLens(b)
	config, name := embeddedtest.S3(b)
	client, err := blob.Open(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	bucket := client.Bucket(name)
	if err := bucket.Upload(b.Context(), "in.csv", bytes.NewReader(text), blob.PutOptions{}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var v Version
	for b.Loop() {
		v, err = Import(b.Context(), ImportRequest{
			Source: client, Location: "s3://" + name + "/in.csv", Bucket: bucket, Group: "g", Schema: movieLensSchema,
			Mode: Full, MinInteractions: 1000,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, v.Rows)
}

// BenchmarkLoad is what training does first: ml-1m from the bucket to a training set.
func BenchmarkLoad(b *testing.B) {
	text := movieLens(b)
	bucket := embeddedtest.Bucket(b)
	m := &manifest{Format: manifestFormat}
	req := &ImportRequest{Bucket: bucket, Group: "g", Schema: movieLensSchema, Mode: Full, ID: "bench"}
	w := &partsWriter[reco.Interaction]{
		bucket: bucket, key: func(int) string { return prefix("g", "INTERACTIONS") + "part.parquet" },
		open: interactionFile(movieLensSchema),
	}
	batch := newInteractionBatch(1)
	write := func() {
		if err := w.write(b.Context(), batch.take(), 0); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := readRows(text, movieLensSchema, batch, write); err != nil {
		b.Fatal(err)
	}
	write()
	parts, err := w.close()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := req.publish(b.Context(), m, parts); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var events int
	for b.Loop() {
		loaded, err := Load(b.Context(), LoadRequest{Bucket: bucket, Group: "g"})
		if err != nil {
			b.Fatal(err)
		}
		events = loaded.Events()
	}
	perRow(b, int64(events))
}
