package sims_test

import (
	"context"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset/datasettest"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/sims"
)

func BenchmarkTrainMovieLens1M(b *testing.B) {
	ts := datasettest.MovieLens(b)
	c := sims.Config{
		PopularityDiscount: 0.5, MinCointeractions: 3,
		Users: model.Percentiles{Min: 0.005, Max: 0.995}, Items: model.Percentiles{Min: 0.01, Max: 0.9},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sims.Train(context.Background(), ts, c); err != nil {
			b.Fatal(err)
		}
	}
}
