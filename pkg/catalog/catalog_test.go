package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/blob/blobtest"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The S3 server's cleaner of idle workers looks for its end only every ten seconds.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// fasthttp's clock never ends.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

func testStore(t *testing.T) *Store {
	t.Helper()
	return NewStore(embeddedtest.Bucket(t), nil)
}

func arn(kind, id string) string {
	return resource.ARN{Region: "us-east-1", Account: "000000000000", Type: kind, ID: id}.String()
}

func newGroup(name string) *DatasetGroup {
	return &DatasetGroup{Metadata: Metadata{ARN: arn(resource.DatasetGroup, name), Name: name, Status: status.Active}, ShortID: "abcd"}
}

func newSolution(group *DatasetGroup, name string) *Solution {
	return &Solution{Metadata: Metadata{ARN: arn(resource.Solution, name), Name: name, Status: status.CreatePending}, DatasetGroupARN: group.ARN}
}

func newVersion(id string) *SolutionVersion {
	return &SolutionVersion{Metadata: Metadata{ARN: arn(resource.SolutionVersion, "s/"+id), Status: status.CreatePending}}
}

func anyParent[P Resource](P) error { return nil }

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// concurrently calls f n times at once and waits.
func concurrently(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func TestARN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, kind, id, key string }{
		{"arn:aws:personalize:eu-west-1:123456789012:dataset-group/movies", resource.DatasetGroup, "movies", "catalog/dataset-group/movies.json"},
		{"arn:aws:personalize:eu-west-1:123456789012:dataset/movies/ITEMS", resource.Dataset, "movies/ITEMS", "catalog/dataset/movies/ITEMS.json"},
		{"arn:aws:personalize:eu-west-1:123456789012:solution/pantry", resource.Solution, "pantry", "catalog/solution/pantry.json"},
		{"arn:aws:personalize:eu-west-1:123456789012:solution/pantry/0b76212f", resource.SolutionVersion, "pantry/0b76212f", "catalog/solution-version/pantry/0b76212f.json"},
		{"arn:aws:personalize:::recipe/aws-sims", resource.Recipe, "aws-sims", ""},
		{"arn:aws:personalize:eu-west-1:123456789012:campaign/../x", resource.Campaign, "../x", ""},
	} {
		parsed, err := resource.ParseARN(c.text)
		if err != nil || parsed.Type != c.kind || parsed.ID != c.id || parsed.String() != c.text {
			t.Errorf("resource.ParseARN(%s) = %+v, %v", c.text, parsed, err)
		}
		if key, _ := keyOf(c.text); key != c.key {
			t.Errorf("key of %s = %q, want %q", c.text, key, c.key)
		}
	}
	for _, text := range []string{"", "arn:aws:s3:::bucket", "arn:aws:personalize:r:a:dataset-group", "arn:aws:personalize:r:a:dataset-group/"} {
		if _, err := resource.ParseARN(text); !errors.Is(err, resource.ErrBadARN) {
			t.Errorf("resource.ParseARN(%q) gives %v", text, err)
		}
	}
	latest := arn(resource.SolutionVersion, "pantry/"+resource.Latest)
	if !resource.IsLatest(latest) || resource.SolutionARN(latest) != arn(resource.Solution, "pantry") {
		t.Errorf("%s: latest %v of %s", latest, resource.IsLatest(latest), resource.SolutionARN(latest))
	}
}

func TestAResourceComesBackAsItWasStored(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	group := newGroup("movies")
	group.Tags = map[string]string{"team": "shop"}
	must(group, s.Create(t.Context(), group))(t)
	got := must(s.DatasetGroups.Get(t.Context(), group.ARN))(t)
	if got.GroupKey() != "movies-abcd" || got.Tags["team"] != "shop" || got.Revision != 1 || got.CreatedAt.IsZero() || !got.UpdatedAt.Equal(got.CreatedAt) {
		t.Errorf("got %+v", got)
	}
	for _, other := range []string{
		arn(resource.DatasetGroup, "absent"),
		"arn:aws:personalize:us-east-1:999999999999:dataset-group/movies", // another account's
	} {
		_, err := s.DatasetGroups.Get(t.Context(), other)
		wantError(t, err, ErrNotFound)
	}
	_, err := s.Solutions.Get(t.Context(), group.ARN)
	wantError(t, err, ErrNotFound)
}

func TestOneOfManyCreatorsOfANameWins(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	var won, lost atomic.Int32
	concurrently(16, func(int) {
		switch err := s.Create(t.Context(), newGroup("movies")); {
		case err == nil:
			won.Add(1)
		case errors.Is(err, ErrExists):
			lost.Add(1)
		default:
			t.Error(err)
		}
	})
	if won.Load() != 1 || lost.Load() != 15 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	dataset := &Dataset{Metadata: Metadata{ARN: arn(resource.Dataset, "movies/ITEMS"), Status: status.Active}}
	must(dataset, s.Create(t.Context(), dataset))(t)
	const writers, each = 16, 3
	concurrently(writers, func(int) {
		for range each {
			if _, err := s.Datasets.Update(t.Context(), dataset.ARN, func(d *Dataset) error { d.Version++; return nil }); err != nil {
				t.Error(err)
			}
		}
	})
	got := must(s.Datasets.Get(t.Context(), dataset.ARN))(t)
	if got.Version != writers*each || got.Revision != writers*each+1 || len(got.Nonces) != noncesKept {
		t.Errorf("version %d, revision %d, %d nonces", got.Version, got.Revision, len(got.Nonces))
	}
}

// A client library repeats a write whose answer was lost, and then sees its own object in the way.
func TestAWriterRecognisesItsOwnLostSuccess(t *testing.T) {
	t.Parallel()
	cfg, bucket := embeddedtest.S3(t)
	lossy := blobtest.NewLossy(t, cfg)
	s, other := storeAt(t, lossy.Config, bucket), storeAt(t, cfg, bucket)
	ctx := t.Context()

	lossy.Lose(1, nil)
	if err := s.Create(ctx, newGroup("movies")); err != nil {
		t.Errorf("the repeated creation was not recognised: %v", err)
	}
	books := newGroup("books")
	lossy.Lose(1, func() {
		_, err := other.DatasetGroups.Update(ctx, books.ARN, func(g *DatasetGroup) error { g.RoleARN = "r"; return nil })
		if err != nil {
			t.Error(err)
		}
	})
	if err := s.Create(ctx, books); err != nil {
		t.Errorf("the repeated creation was not recognised after another's update: %v", err)
	}
	lossy.Lose(1, nil)
	got := must(s.DatasetGroups.Update(ctx, books.ARN, func(g *DatasetGroup) error { g.Domain = "ECOMMERCE"; return nil }))(t)
	if got.RoleARN != "r" || got.Revision != 3 {
		t.Errorf("the repeated update was not recognised: revision %d, role %q", got.Revision, got.RoleARN)
	}
	wantError(t, s.Create(ctx, newGroup("movies")), ErrExists)
}

func storeAt(t *testing.T, cfg blob.Config, bucket string) *Store {
	t.Helper()
	client := must(blob.Open(cfg))(t)
	t.Cleanup(client.Close)
	return NewStore(client.Bucket(bucket), nil)
}

func TestListIsInOrderOfCreation(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.now = func() time.Time { now = now.Add(time.Minute); return now }
	for _, name := range []string{"c", "a", "b"} {
		must(0, s.Create(t.Context(), newGroup(name)))(t)
	}
	var names []string
	for _, g := range must(s.DatasetGroups.List(t.Context()))(t) {
		names = append(names, g.Name)
	}
	if fmt.Sprint(names) != "[c a b]" {
		t.Errorf("got %v", names)
	}
}

func TestLeaseIsTakenOverWhenItExpires(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.now = func() time.Time { return now }
	ctx := t.Context()
	version := newVersion("00000001")
	must(0, s.Create(ctx, version))(t)
	progress := func(to float64) func(*SolutionVersion) error {
		return func(v *SolutionVersion) error { v.Progress = to; return nil }
	}

	first, err := s.SolutionVersions.Acquire(ctx, version.ARN, "first", time.Minute)
	must(0, err)(t)
	_, err = s.SolutionVersions.Acquire(ctx, version.ARN, "second", time.Minute)
	wantError(t, err, ErrLeased)

	now = now.Add(50 * time.Second)
	must(first.Renew(ctx, time.Minute, nil))(t)
	now = now.Add(50 * time.Second)
	_, err = s.SolutionVersions.Acquire(ctx, version.ARN, "second", time.Minute)
	wantError(t, err, ErrLeased)

	now = now.Add(11 * time.Second)
	must(first.Update(ctx, progress(0.1)))(t) // expired, but nobody took it
	second, err := s.SolutionVersions.Acquire(ctx, version.ARN, "second", time.Minute)
	must(0, err)(t)
	if second.Epoch() <= first.Epoch() {
		t.Errorf("epoch %d after %d", second.Epoch(), first.Epoch())
	}
	_, err = first.Update(ctx, progress(0.9))
	wantError(t, err, ErrLeaseLost)
	_, err = first.Renew(ctx, time.Minute, nil)
	wantError(t, err, ErrLeaseLost)
	got := must(second.Update(ctx, progress(0.5)))(t)
	if got.Progress != 0.5 || !got.UpdatedAt.Equal(got.CreatedAt) {
		t.Errorf("progress %v, updated %v: progress alone is no update", got.Progress, got.UpdatedAt)
	}

	must(0, second.Release(ctx, nil))(t)
	third, err := s.SolutionVersions.Acquire(ctx, version.ARN, "second", time.Minute)
	must(0, err)(t)
	_, err = second.Update(ctx, progress(1))
	wantError(t, err, ErrLeaseLost)
	if third.Epoch() <= second.Epoch() {
		t.Errorf("epoch %d after %d", third.Epoch(), second.Epoch())
	}
}

func TestOneOfManyTakersGetsALease(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	version := newVersion("00000001")
	must(0, s.Create(t.Context(), version))(t)
	var got atomic.Int32
	concurrently(16, func(i int) {
		_, err := s.SolutionVersions.Acquire(t.Context(), version.ARN, fmt.Sprint(i), time.Minute)
		if err == nil {
			got.Add(1)
		} else if !errors.Is(err, ErrLeased) {
			t.Error(err)
		}
	})
	if got.Load() != 1 {
		t.Errorf("%d hold the lease", got.Load())
	}
}

func TestDeleteTakesTheObjectFromItsWorker(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	version := newVersion("00000001")
	must(0, s.Create(ctx, version))(t)
	worker, err := s.SolutionVersions.Acquire(ctx, version.ARN, "worker", time.Minute)
	must(0, err)(t)
	err = s.DeleteAfter(ctx, version, func(ctx context.Context, r Resource) error {
		_, err := worker.Update(ctx, func(*SolutionVersion) error { return nil })
		wantError(t, err, ErrLeaseLost)
		wantError(t, s.Delete(ctx, version), ErrLeased)
		return nil
	})
	must(0, err)(t)
	_, err = s.SolutionVersions.Get(ctx, version.ARN)
	wantError(t, err, ErrNotFound)
	must(0, s.Delete(ctx, version))(t)
}

func TestAFailedCleanupIsTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	group := newGroup("movies")
	must(0, s.Create(t.Context(), group))(t)
	broken := errors.New("broken")
	wantError(t, s.DeleteAfter(t.Context(), group, func(context.Context, Resource) error { return broken }), broken)
	if got := must(s.DatasetGroups.Get(t.Context(), group.ARN))(t); got.Status != status.DeleteInProgress {
		t.Errorf("status %s", got.Status)
	}
	must(0, s.Delete(t.Context(), group))(t)
}

// A deleter that was slow finds the name made again by somebody who had seen the resource gone. It must not touch that
// one.
func TestASlowDeleterLeavesWhatWasMadeAgain(t *testing.T) {
	t.Parallel()
	s := testStore(t)
	ctx := t.Context()
	old := newGroup("movies")
	must(0, s.Create(ctx, old))(t)
	seen := must(s.DatasetGroups.Get(ctx, old.ARN))(t)
	must(0, s.Delete(ctx, old))(t)
	must(0, s.Create(ctx, newGroup("movies")))(t)

	must(0, s.DeleteAfter(ctx, seen, func(context.Context, Resource) error {
		t.Error("the slow deleter cleans up")
		return nil
	}))(t)
	if got := must(s.DatasetGroups.Get(ctx, old.ARN))(t); got.Status == status.DeleteInProgress {
		t.Errorf("status %s", got.Status)
	}
}
