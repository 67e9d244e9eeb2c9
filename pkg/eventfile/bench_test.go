package eventfile

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
)

func BenchmarkInteractions(b *testing.B) {
	const n = 50_000
	r := rand.New(rand.NewPCG(1, 1))
	rows := make([]reco.Interaction, n)
	for i := range rows {
		rows[i] = randomInteraction(r, int64(i))
	}
	data, err := EncodeInteractions(shopSchema(), rows)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := EncodeInteractions(shopSchema(), rows); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(data))/n, "bytes/row")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, err := range DecodeInteractions(bytes.NewReader(data), int64(len(data))) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
	})
}
