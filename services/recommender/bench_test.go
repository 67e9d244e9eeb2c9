package recommender

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// BenchmarkGetRecommendations measures one request after the other through the router (signature, JSON), Redis and the
// model, with the user's vector stored.
func BenchmarkGetRecommendations(b *testing.B) {
	for _, items := range []int{3_400, 100_000} {
		b.Run(fmt.Sprintf("items=%d", items), func(b *testing.B) {
			s := open(b)
			r, _ := recipe.ByName(personal)
			s.campaign(r, trainOn(b, r, func(set *trainingset.Builder) { catalogueOf(set, items) }))
			eventually.True(s, "the model is loaded", func() bool { return s.models.Ready() == nil && len(s.models.All()) == 1 })
			s.sees("u1", true, "item1", "item2", "item3", "item5", "item8")
			body, err := json.Marshal(map[string]any{"campaignArn": campaignARN(personal), "userId": "u1"})
			s.must(err)
			s.measure(b, body)
		})
	}
}

// BenchmarkFilteredRecommendations measures requests for popular items, to which a filter that keeps 1 % of 100,000
// items is applied, and the same without filter.
func BenchmarkFilteredRecommendations(b *testing.B) {
	const items = 100_000
	s := open(b)
	r, _ := recipe.ByName(popularity)
	s.campaign(r, trainOn(b, r, func(set *trainingset.Builder) { catalogueOf(set, items) }))
	s.datasets()
	var records []reco.Entity
	for n := range items {
		records = append(records, reco.Entity{ID: fmt.Sprintf("item%d", n), Properties: map[string]any{
			"COLOUR": fmt.Sprintf("c%d", n%100), "PRICE": float64(n % 1000), "CREATION_TIMESTAMP": int64(n),
		}})
	}
	for part := range slices.Chunk(records, 10_000) {
		s.put(schema.Items.Topic(groupKey), part...)
	}
	filters := map[string]string{
		"none":     "",
		"category": s.filter("colour", `INCLUDE ItemID WHERE Items.COLOUR IN ("c7")`),
		"number":   s.filter("price", `INCLUDE ItemID WHERE Items.PRICE < 10`),
		"most":     s.filter("most", `EXCLUDE ItemID WHERE Items.COLOUR IN ("c7")`),
	}
	for _, name := range []string{"none", "category", "number", "most"} {
		for _, results := range []int{25, 500} {
			req := map[string]any{"campaignArn": campaignARN(popularity), "numResults": results}
			if name != "none" {
				req["filterArn"] = filters[name]
			}
			eventually.True(s, "the page is full", func() bool {
				resp, err := s.recommendations(req)
				return err == nil && len(resp.ItemList) == results
			})
			body, err := json.Marshal(req)
			s.must(err)
			b.Run(fmt.Sprintf("filter=%s/results=%d", name, results), func(b *testing.B) { s.measure(b, body) })
		}
	}
}

// measure sends one request after the other.
func (s *shop) measure(b *testing.B, body []byte) {
	signed := httptest.NewRequest(http.MethodPost, "/recommendations", nil)
	awsapi.Sign(signed, body, credential, "us-east-1")
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest(http.MethodPost, "/recommendations", bytes.NewReader(body))
		req.Header = signed.Header
		w := httptest.NewRecorder()
		s.router.ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body.String())
		}
	}
}

// catalogueOf is a history that touches every item of a catalogue once, by users of ten events.
func catalogueOf(b *trainingset.Builder, items int) {
	for n := range items {
		b.Add(interaction(fmt.Sprintf("u%d", n/10), fmt.Sprintf("item%d", n), n))
	}
}
