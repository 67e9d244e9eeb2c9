package datadoctor

import (
	"fmt"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
)

// BenchmarkInteraction is the cost of a row: of a data set of 20 interactions a user.
func BenchmarkInteraction(b *testing.B) {
	rows := make([]reco.Interaction, 200_000)
	for n := range rows {
		value := float64(n % 5)
		rows[n] = reco.Interaction{
			UserID: fmt.Sprint("user", n/20), ItemID: fmt.Sprint("item", n*7919%5000), EventType: "view", EventValue: &value,
			TimestampMS: asOf.UnixMilli() - int64(n)*1000, Properties: map[string]any{"DEVICE": []string{"phone", "desk"}[n%2]},
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		e := NewExaminer(Options{AsOf: asOf})
		for n := range rows {
			e.Interaction(&rows[n])
		}
		e.Report()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/row")
}
