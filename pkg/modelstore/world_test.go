package modelstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// train trains a small model of a recipe; another seed makes other data and so another model.
func train(t testing.TB, recipeName string, seed uint64) model.Model {
	t.Helper()
	r, ok := recipe.ByName(recipeName)
	if !ok {
		t.Fatalf("no recipe %s", recipeName)
	}
	random := rand.New(rand.NewPCG(seed, 1))
	b := trainingset.NewBuilder(trainingset.Options{})
	for user := range 40 {
		for event := range 8 {
			b.Add(&reco.Interaction{
				EventID: fmt.Sprintf("%d-%d", user, event), UserID: fmt.Sprintf("u%d", user),
				ItemID: fmt.Sprintf("i%d", random.IntN(30)), EventType: "click", TimestampMS: int64(event) * 1000,
			})
		}
	}
	for n := range 200 { // of which recipes for actions learn
		b.AddActionInteraction(&reco.Interaction{
			EventID: fmt.Sprintf("a%d", n), UserID: fmt.Sprintf("u%d", n%20), ItemID: fmt.Sprintf("action%d", n%3),
			EventType: "TAKEN", TimestampMS: int64(n),
		})
	}
	set, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	params, err := r.ParseParams(nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Train(t.Context(), set, params, recipe.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func scores(t testing.TB, m model.Model) []float32 {
	t.Helper()
	s := make([]float32, m.Items().Len())
	known := ""
	if m.Items().Len() > 1 { // a model of actions knows none here
		known = m.Items().ID(1)
	}
	if err := m.Score(model.Query{History: []reco.RecentInteraction{{ItemID: known}}, ItemID: known}, s); err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	recipeName = "aws-user-personalization"
	account    = "arn:aws:personalize:us-east-1:000000000000:"
	groupARN   = account + "dataset-group/shop"
	groupKey   = "shop-0001"
)

// world is a bucket with a catalog in it.
type world struct {
	*testing.T
	bucket *blob.Bucket
	store  *catalog.Store
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, bucket: embeddedtest.Bucket(t)}
	w.store = catalog.NewStore(w.bucket, nil)
	w.create(&catalog.DatasetGroup{Metadata: meta(groupARN), ShortID: "0001"})
	return w
}

func meta(arn string) catalog.Metadata {
	return catalog.Metadata{ARN: arn, Name: arn[len(arn)-4:], Status: status.Active}
}

func create[R catalog.Resource](w *world, r R) {
	w.Helper()
	if err := w.store.Create(w.Context(), r); err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(g *catalog.DatasetGroup) {
	g.Name = "shop"
	create(w, g)
}

// version trains and publishes a model and enters it into the catalog.
func (w *world) version(name string, seed uint64) *catalog.SolutionVersion {
	w.Helper()
	v := &catalog.SolutionVersion{Metadata: meta(account + "solution/taste/" + name), DatasetGroupARN: groupARN}
	var err error
	v.ManifestKey, v.ModelID, err = Publish(
		w.Context(), w.bucket, v.ARN, recipeName, train(w, recipeName, seed), Meta{Trained: time.Now()},
	)
	if err != nil {
		w.Fatal(err)
	}
	create(w, v)
	return v
}

func (w *world) campaign(name string, v *catalog.SolutionVersion) *catalog.Campaign {
	w.Helper()
	c := &catalog.Campaign{
		Metadata: meta(account + "campaign/" + name), DatasetGroupARN: groupARN, SolutionVersionARN: v.ARN,
	}
	create(w, c)
	return c
}

// point moves a campaign to another version.
func (w *world) point(c *catalog.Campaign, v *catalog.SolutionVersion) {
	w.Helper()
	_, err := w.store.Campaigns.Update(w.Context(), c.ARN, func(c *catalog.Campaign) error {
		c.SolutionVersionARN = v.ARN
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

// registry runs a registry over the bucket until the test ends, or stop is called.
func (w *world) registry(cacheDir string) (r *Registry, stop func()) {
	w.Helper()
	return w.registryOn(w.store, w.bucket, cacheDir)
}

func (w *world) registryOn(store *catalog.Store, b *blob.Bucket, cacheDir string) (r *Registry, stop func()) {
	w.Helper()
	log := zaptest.NewLogger(w)
	view := catalog.NewView(store, nil, log)
	r = NewRegistry(view, b, cacheDir, log, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- view.Run(ctx) }()
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				w.Error(err)
			}
		}
	}
	w.Cleanup(stop)
	return r, stop
}

// serves waits until the campaign answers with the version's model.
func (w *world) serves(r *Registry, c *catalog.Campaign, v *catalog.SolutionVersion) *Serving {
	w.Helper()
	var s *Serving
	eventually.True(w, "campaign "+c.Name+" answers with "+v.ModelID, func() bool {
		var err error
		s, err = r.Campaign(w.Context(), c.ARN)
		return err == nil && s.Loaded.ModelID == v.ModelID
	})
	return s
}

// damages are the ways in which an object can be spoilt.
var damages = map[string]func(*blob.Bucket, context.Context, string) error{
	"flipped bit": rewrite(func(data []byte) []byte {
		data[len(data)/2] ^= 4
		return data
	}),
	"truncated":   rewrite(func(data []byte) []byte { return data[:len(data)-1] }),
	"zero-length": rewrite(func([]byte) []byte { return nil }),
	"longer":      rewrite(func(data []byte) []byte { return append(data, 0) }),
	"missing": func(b *blob.Bucket, ctx context.Context, key string) error {
		return b.Delete(ctx, key)
	},
}

func rewrite(change func([]byte) []byte) func(*blob.Bucket, context.Context, string) error {
	return func(b *blob.Bucket, ctx context.Context, key string) error {
		data, _, err := b.Get(ctx, key)
		if err != nil {
			return err
		}
		_, err = b.Put(ctx, key, change(slices.Clone(data)), blob.PutOptions{})
		return err
	}
}
