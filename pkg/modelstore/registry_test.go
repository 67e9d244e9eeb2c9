package modelstore

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

func TestRegistryServesActiveCampaigns(t *testing.T) {
	w := newWorld(t)
	first, second := w.version("0001", 1), w.version("0002", 2)
	before := w.campaign("before", first)
	r, _ := w.registry(t.TempDir())

	if s := w.serves(r, before, first); s.Group != groupKey {
		t.Errorf("group is %q", s.Group)
	}
	after := w.campaign("after", second)
	w.serves(r, after, second)
	eventually.True(w, "everything is ready", func() bool { return r.Ready() == nil })
	if models := r.Group(groupKey); len(models) != 2 {
		t.Errorf("the group folds %d models", len(models))
	}
	if models := r.Group("other"); len(models) != 0 {
		t.Errorf("another group folds %d models", len(models))
	}

	w.point(after, first)
	shared := w.serves(r, after, first)
	if w.serves(r, before, first).Loaded != shared.Loaded {
		t.Error("two campaigns on one model hold it twice")
	}
	if models := r.Group(groupKey); len(models) != 1 {
		t.Errorf("the group folds %d models, of which one is served no longer", len(models))
	}

	if err := w.store.Delete(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	eventually.True(w, "the deleted campaign is gone", func() bool {
		_, err := r.Campaign(t.Context(), after.ARN)
		return errors.Is(err, ErrNotDeployed)
	})
	w.serves(r, before, first)
}

func TestCampaignIsLoadedOnDemandOnce(t *testing.T) {
	w := newWorld(t)
	r, _ := w.registry("")
	eventually.True(w, "the catalog is read", r.view.Ready)
	v := w.version("0001", 1)
	c := w.campaign("new", v)

	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if s, err := r.Campaign(t.Context(), c.ARN); err != nil || s.Loaded.ModelID != v.ModelID {
				t.Errorf("a campaign just created: %v", err)
			}
		})
	}
	callers.Wait()
	if loads := testutil.ToFloat64(r.metrics.loads.WithLabelValues("ok")); loads != 1 {
		t.Errorf("the model was loaded %v times", loads)
	}
}

func TestCampaignErrors(t *testing.T) {
	w := newWorld(t)
	r, _ := w.registry("")
	if _, err := r.Campaign(t.Context(), account+"campaign/none"); !errors.Is(err, ErrUnavailable) &&
		!errors.Is(err, ErrNotDeployed) {
		t.Errorf("before the catalog is read: %v", err)
	}
	eventually.True(w, "the catalog is read", r.view.Ready)
	pending := &catalog.Campaign{
		Metadata: meta(account + "campaign/pending"), DatasetGroupARN: groupARN,
		SolutionVersionARN: account + "solution/taste/0001",
	}
	pending.Status = status.CreatePending
	create(w, pending)
	orphan := w.campaign("orphan", &catalog.SolutionVersion{Metadata: meta(account + "solution/taste/none")})

	for arn, want := range map[string]error{
		account + "campaign/none":    ErrNotDeployed,
		account + "campaign/a.b":     ErrNotDeployed,
		account + "solution/taste/1": ErrNotDeployed,
		"nonsense":                   ErrNotDeployed,
		pending.ARN:                  ErrNotActive,
		orphan.ARN:                   ErrUnavailable,
	} {
		if _, err := r.Campaign(t.Context(), arn); !errors.Is(err, want) {
			t.Errorf("%s: %v", arn, err)
		}
	}
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "phan") {
		t.Errorf("readiness with a campaign that has no model: %v", err)
	}
}

// TestOneCampaignWithoutAModelLeavesTheOthersReady: else one damaged model would take every recommender out of service.
func TestOneCampaignWithoutAModelLeavesTheOthersReady(t *testing.T) {
	w := newWorld(t)
	v := w.version("0001", 1)
	good := w.campaign("good", v)
	r, _ := w.registry("")
	w.serves(r, good, v)
	eventually.True(w, "it is ready", func() bool { return r.Ready() == nil })
	orphan := w.campaign("orphan", &catalog.SolutionVersion{Metadata: meta(account + "solution/taste/none")})
	eventually.True(w, "the campaign is seen", func() bool {
		_, ok := catalog.Lookup[*catalog.Campaign](r.view, orphan.ARN)
		return ok
	})
	// Eventually: the campaign may come while the first look at the catalog is under way.
	eventually.True(w, "it is ready although one campaign has no model", func() bool { return r.Ready() == nil })
}

func TestLastGoodModelStays(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			good, bad := w.version("0001", 1), w.version("0002", 2)
			loaded, err := Load(t.Context(), w.bucket, bad.ManifestKey, "")
			if err != nil {
				t.Fatal(err)
			}
			part := loaded.Manifest.Parts[0].Key
			original, _, err := w.bucket.Get(t.Context(), part)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(w.bucket, t.Context(), part); err != nil {
				t.Fatal(err)
			}
			c := w.campaign("home", good)
			r, _ := w.registry(t.TempDir())
			w.serves(r, c, good)

			w.point(c, bad)
			eventually.True(w, "the damaged model was tried", func() bool {
				return testutil.ToFloat64(r.metrics.loads.WithLabelValues("failed")) > 0
			})
			w.serves(r, c, good)
			if err := r.Ready(); err != nil {
				t.Errorf("not ready although a good model answers: %v", err)
			}

			if _, err := w.bucket.Put(t.Context(), part, original, blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			w.serves(r, c, bad) // mended: tried again without being told
		})
	}
}

func TestSwapUnderLoad(t *testing.T) {
	w := newWorld(t)
	versions := []*catalog.SolutionVersion{w.version("0001", 1), w.version("0002", 2)}
	c := w.campaign("home", versions[0])
	r, _ := w.registry("")
	w.serves(r, c, versions[0])

	var over atomic.Bool
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for !over.Load() {
				s, err := r.Campaign(t.Context(), c.ARN)
				if err != nil {
					t.Errorf("during a swap: %v", err)
					return
				}
				scores(t, s.Loaded.Model)
			}
		})
	}
	for swap := range 6 {
		v := versions[(swap+1)%2]
		w.point(c, v)
		w.serves(r, c, v)
	}
	over.Store(true)
	callers.Wait()
}

func TestRestartWithoutTheBucket(t *testing.T) {
	w := newWorld(t)
	v, other, dir := w.version("0001", 1), w.version("0002", 2), t.TempDir()
	c := w.campaign("home", v)
	w.campaign("away", other)
	r, stop := w.registry(dir)
	w.serves(r, c, v)
	eventually.True(w, "what is served is noted", func() bool {
		pointers, err := r.readPointers()
		return err == nil && len(pointers) == 2
	})
	stop()

	// A store at which nobody listens.
	client, err := blob.Open(blob.Config{Endpoint: "http://127.0.0.1:1", AccessKey: "a", SecretKey: "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	away := client.Bucket("away")
	r, _ = w.registryOn(catalog.NewStore(away, nil), away, dir)
	for r.Ready() != nil && t.Context().Err() == nil { // without a pause: one model is there before the other
		runtime.Gosched()
	}
	if n := len(r.All()); n != 2 {
		t.Errorf("ready with %d of 2 models", n)
	}
	if s := w.serves(r, c, v); s.Group != groupKey || s.Version.ARN != v.ARN || s.Campaign.ARN != c.ARN {
		t.Errorf("restored %+v", s)
	}
	if _, err := r.Campaign(t.Context(), account+"campaign/other"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a campaign that was not served: %v", err)
	}
}

func TestModelAgeIsMeasured(t *testing.T) {
	w := newWorld(t)
	v := w.version("0001", 1)
	c := w.campaign("home", v)
	r, _ := w.registry("")
	s := w.serves(r, c, v)
	age := ageCollector{r, prometheus.NewDesc("age", "", []string{"campaign"}, nil)}
	want := time.Since(s.Loaded.Manifest.Trained).Seconds()
	if got := testutil.ToFloat64(age); got < want || got > want+60 {
		t.Errorf("age is %v s, not %v", got, want)
	}
}

func TestRecommendersAreServedWhileActive(t *testing.T) {
	w := newWorld(t)
	v, dir := w.version("0001", 1), t.TempDir()
	r, stop := w.registry(dir)
	rec := &catalog.Recommender{
		Metadata: meta(account + "recommender/picks"), DatasetGroupARN: groupARN, SolutionVersionARN: v.ARN,
	}
	create(w, rec)
	var s *Serving
	eventually.True(w, "it answers", func() bool {
		var err error
		s, err = r.Recommender(t.Context(), rec.ARN)
		return err == nil
	})
	if s.ARN() != rec.ARN || s.DatasetGroupARN() != groupARN || s.Loaded.ModelID != v.ModelID || s.Group != groupKey {
		t.Errorf("the recommender answers with %+v", s)
	}
	eventually.True(w, "it is noted", func() bool {
		noted, err := r.readPointers()
		return err == nil && len(noted) == 1 && noted[0].Recommender != nil
	})
	if _, err := w.store.Recommenders.Update(t.Context(), rec.ARN, func(r *catalog.Recommender) error {
		r.Status = status.Inactive
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	eventually.True(w, "it answers no more", func() bool {
		_, err := r.Recommender(t.Context(), rec.ARN)
		return errors.Is(err, ErrNotActive)
	})
	eventually.True(w, "its model is given up", func() bool { return len(r.All()) == 0 })
	stop()
}
