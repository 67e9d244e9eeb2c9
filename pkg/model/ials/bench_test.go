package ials_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset/datasettest"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/ials"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

func BenchmarkTrainMovieLens1M(b *testing.B) {
	ts := datasettest.MovieLens(b)
	for _, dim := range []int{64, 149} {
		b.Run(fmt.Sprintf("dim=%d", dim), func(b *testing.B) {
			c := ials.DefaultConfig()
			c.Dim = dim
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ials.Train(context.Background(), ts, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// catalogue trains one pass over random interactions: what it has learned does not matter here, only its size.
func catalogue(b *testing.B, items, dim int) *ials.Model {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	ts := &trainingset.Set{Users: []string{"u"}, EventTypes: []string{""}}
	for i := range items {
		ts.Items, ts.Item = append(ts.Items, strconv.Itoa(i)), append(ts.Item, int32(i))
	}
	random.Shuffle(items, func(i, j int) { ts.Item[i], ts.Item[j] = ts.Item[j], ts.Item[i] })
	ts.UserStart = []int32{0, int32(items)}
	ts.TimeMS, ts.Type, ts.Value = make([]int64, items), make([]uint16, items), make([]float32, items)
	c := ials.DefaultConfig()
	c.Dim, c.Epochs = dim, 1
	m, err := ials.Train(context.Background(), ts, c)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func randomHistory(items, n int) []reco.RecentInteraction {
	random := rand.New(rand.NewPCG(3, 4))
	h := make([]reco.RecentInteraction, n)
	for k := range h {
		h[k].ItemID = strconv.Itoa(random.IntN(items))
	}
	return h
}

func BenchmarkFold(b *testing.B) {
	for _, dim := range []int{64, 152} {
		m := catalogue(b, 3416, dim)
		for _, n := range []int{50, 200} {
			b.Run(fmt.Sprintf("dim=%d/history=%d", dim, n), func(b *testing.B) {
				h, vector := randomHistory(3416, n), make([]float32, m.Dim())
				b.ReportAllocs()
				for b.Loop() {
					m.Fold(h, vector)
				}
			})
		}
	}
}

// BenchmarkRecommend scores the whole catalogue for a folded user and takes the best 25.
func BenchmarkRecommend(b *testing.B) {
	for _, items := range []int{3416, 100_000} {
		for _, dim := range []int{64, 152} {
			m := catalogue(b, items, dim)
			b.Run(fmt.Sprintf("items=%d/dim=%d", items, dim), func(b *testing.B) {
				q := model.Query{Vector: make([]float32, m.Dim())}
				m.Fold(randomHistory(items, 50), q.Vector)
				scores := make([]float32, items)
				b.ReportAllocs()
				for b.Loop() {
					if err := m.Score(q, scores); err != nil {
						b.Fatal(err)
					}
					model.TopK(scores, 25, nil)
				}
			})
		}
	}
}
