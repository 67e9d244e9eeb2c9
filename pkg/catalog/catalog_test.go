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
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
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
	return ARN{Region: "us-east-1", Account: "000000000000", Type: kind, ID: id}.String()
}

func newGroup(name string) *DatasetGroup {
	return &DatasetGroup{Meta: Meta{ARN: arn(TypeDatasetGroup, name), Name: name, Status: StatusActive}, ShortID: "abcd"}
}

func newSolution(group *DatasetGroup, name string) *Solution {
	return &Solution{Meta: Meta{ARN: arn(TypeSolution, name), Name: name, Status: StatusCreatePending}, DatasetGroupARN: group.ARN}
}

func newVersion(id string) *SolutionVersion {
	return &SolutionVersion{Meta: Meta{ARN: arn(TypeSolutionVersion, "s/"+id), Status: StatusCreatePending}}
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
	for _, c := range []struct{ text, kind, id, key string }{
		{"arn:aws:personalize:eu-west-1:123456789012:dataset-group/movies", TypeDatasetGroup, "movies", "catalog/dataset-group/movies.json"},
		{"arn:aws:personalize:eu-west-1:123456789012:dataset/movies/ITEMS", TypeDataset, "movies/ITEMS", "catalog/dataset/movies/ITEMS.json"},
		{"arn:aws:personalize:eu-west-1:123456789012:solution/pantry", TypeSolution, "pantry", "catalog/solution/pantry.json"},
		{"arn:aws:personalize:eu-west-1:123456789012:solution/pantry/0b76212f", TypeSolutionVersion, "pantry/0b76212f", "catalog/solution-version/pantry/0b76212f.json"},
		{"arn:aws:personalize:::recipe/aws-sims", TypeRecipe, "aws-sims", ""},
		{"arn:aws:personalize:eu-west-1:123456789012:campaign/../x", TypeCampaign, "../x", ""},
	} {
		parsed, err := ParseARN(c.text)
		if err != nil || parsed.Type != c.kind || parsed.ID != c.id || parsed.String() != c.text {
			t.Errorf("ParseARN(%s) = %+v, %v", c.text, parsed, err)
		}
		if key, _ := parsed.key(); key != c.key {
			t.Errorf("key of %s = %q, want %q", c.text, key, c.key)
		}
	}
	for _, text := range []string{"", "arn:aws:s3:::bucket", "arn:aws:personalize:r:a:dataset-group", "arn:aws:personalize:r:a:dataset-group/"} {
		if _, err := ParseARN(text); !errors.Is(err, ErrBadARN) {
			t.Errorf("ParseARN(%q) gives %v", text, err)
		}
	}
	latest := arn(TypeSolutionVersion, "pantry/"+Latest)
	if !IsLatest(latest) || SolutionARN(latest) != arn(TypeSolution, "pantry") {
		t.Errorf("%s: latest %v of %s", latest, IsLatest(latest), SolutionARN(latest))
	}
}

func TestAResourceComesBackAsItWasStored(t *testing.T) {
	s := testStore(t)
	group := newGroup("movies")
	group.Tags = map[string]string{"team": "shop"}
	must(group, Create(t.Context(), s, group))(t)
	got := must(Get[*DatasetGroup](t.Context(), s, group.ARN))(t)
	if got.GroupKey() != "movies-abcd" || got.Tags["team"] != "shop" || got.Revision != 1 || got.CreatedAt.IsZero() || !got.UpdatedAt.Equal(got.CreatedAt) {
		t.Errorf("got %+v", got)
	}
	for _, other := range []string{
		arn(TypeDatasetGroup, "absent"),
		"arn:aws:personalize:us-east-1:999999999999:dataset-group/movies", // another account's
	} {
		_, err := Get[*DatasetGroup](t.Context(), s, other)
		wantError(t, err, ErrNotFound)
	}
	_, err := Get[*Solution](t.Context(), s, group.ARN)
	wantError(t, err, ErrNotFound)
}

func TestOneOfManyCreatorsOfANameWins(t *testing.T) {
	s := testStore(t)
	var won, lost atomic.Int32
	concurrently(16, func(int) {
		switch err := Create(t.Context(), s, newGroup("movies")); {
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
	s := testStore(t)
	dataset := &Dataset{Meta: Meta{ARN: arn(TypeDataset, "movies/ITEMS"), Status: StatusActive}}
	must(dataset, Create(t.Context(), s, dataset))(t)
	const writers, each = 16, 3
	concurrently(writers, func(int) {
		for range each {
			if _, err := Update(t.Context(), s, dataset.ARN, func(d *Dataset) error { d.Version++; return nil }); err != nil {
				t.Error(err)
			}
		}
	})
	got := must(Get[*Dataset](t.Context(), s, dataset.ARN))(t)
	if got.Version != writers*each || got.Revision != writers*each+1 || len(got.Nonces) != noncesKept {
		t.Errorf("version %d, revision %d, %d nonces", got.Version, got.Revision, len(got.Nonces))
	}
}

// A client library repeats a write whose answer was lost, and then sees its own object in the way.
func TestAWriterRecognisesItsOwnLostSuccess(t *testing.T) {
	s := testStore(t)
	group := newGroup("movies")
	must(group, Create(t.Context(), s, group))(t)
	key := must(keyOf(group.ARN))(t)

	if err := s.put(t.Context(), key, group, blob.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("the repeated creation was not recognised: %v", err)
	}
	must(Update(t.Context(), s, group.ARN, func(g *DatasetGroup) error { g.RoleARN = "r"; return nil }))(t)
	if err := s.put(t.Context(), key, group, blob.PutOptions{IfAbsent: true}); err != nil {
		t.Errorf("the repeated creation was not recognised after another's update: %v", err)
	}
	stranger := newGroup("movies")
	wantError(t, Create(t.Context(), s, stranger), ErrExists)
}

func TestListIsInOrderOfCreation(t *testing.T) {
	s := testStore(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.now = func() time.Time { now = now.Add(time.Minute); return now }
	for _, name := range []string{"c", "a", "b"} {
		must(0, Create(t.Context(), s, newGroup(name)))(t)
	}
	var names []string
	for _, g := range must(List[*DatasetGroup](t.Context(), s))(t) {
		names = append(names, g.Name)
	}
	if fmt.Sprint(names) != "[c a b]" {
		t.Errorf("got %v", names)
	}
}

func TestLeaseIsTakenOverWhenItExpires(t *testing.T) {
	s := testStore(t)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.now = func() time.Time { return now }
	ctx := t.Context()
	version := newVersion("00000001")
	must(0, Create(ctx, s, version))(t)
	progress := func(to float64) func(*SolutionVersion) error {
		return func(v *SolutionVersion) error { v.Progress = to; return nil }
	}

	_, first, err := Acquire[*SolutionVersion](ctx, s, version.ARN, "first", time.Minute)
	must(0, err)(t)
	_, _, err = Acquire[*SolutionVersion](ctx, s, version.ARN, "second", time.Minute)
	wantError(t, err, ErrLeased)

	now = now.Add(50 * time.Second)
	must(0, Renew(ctx, s, version.ARN, "first", first, time.Minute))(t)
	now = now.Add(50 * time.Second)
	_, _, err = Acquire[*SolutionVersion](ctx, s, version.ARN, "second", time.Minute)
	wantError(t, err, ErrLeased)

	now = now.Add(11 * time.Second)
	must(Held(ctx, s, version.ARN, "first", first, progress(0.1)))(t) // expired, but nobody took it
	_, second, err := Acquire[*SolutionVersion](ctx, s, version.ARN, "second", time.Minute)
	must(0, err)(t)
	if second <= first {
		t.Errorf("epoch %d after %d", second, first)
	}
	_, err = Held(ctx, s, version.ARN, "first", first, progress(0.9))
	wantError(t, err, ErrLeaseLost)
	wantError(t, Renew(ctx, s, version.ARN, "first", first, time.Minute), ErrLeaseLost)
	got := must(Held(ctx, s, version.ARN, "second", second, progress(0.5)))(t)
	if got.Progress != 0.5 || !got.UpdatedAt.Equal(got.CreatedAt) {
		t.Errorf("progress %v, updated %v: progress alone is no update", got.Progress, got.UpdatedAt)
	}

	must(0, Release(ctx, s, version.ARN, "second", second))(t)
	_, third, err := Acquire[*SolutionVersion](ctx, s, version.ARN, "second", time.Minute)
	must(0, err)(t)
	_, err = Held(ctx, s, version.ARN, "second", second, progress(1))
	wantError(t, err, ErrLeaseLost)
	if third <= second {
		t.Errorf("epoch %d after %d", third, second)
	}
}

func TestOneOfManyTakersGetsALease(t *testing.T) {
	s := testStore(t)
	version := newVersion("00000001")
	must(0, Create(t.Context(), s, version))(t)
	var got atomic.Int32
	concurrently(16, func(i int) {
		_, _, err := Acquire[*SolutionVersion](t.Context(), s, version.ARN, fmt.Sprint(i), time.Minute)
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
	s := testStore(t)
	ctx := t.Context()
	version := newVersion("00000001")
	must(0, Create(ctx, s, version))(t)
	_, epoch, err := Acquire[*SolutionVersion](ctx, s, version.ARN, "worker", time.Minute)
	must(0, err)(t)
	err = DeleteAfter(ctx, s, version, func(ctx context.Context, r Resource) error {
		_, err := Held(ctx, s, version.ARN, "worker", epoch, func(*SolutionVersion) error { return nil })
		wantError(t, err, ErrLeaseLost)
		wantError(t, Delete(ctx, s, version), ErrLeased)
		return nil
	})
	must(0, err)(t)
	_, err = Get[*SolutionVersion](ctx, s, version.ARN)
	wantError(t, err, ErrNotFound)
	must(0, Delete(ctx, s, version))(t)
}

func TestAFailedCleanupIsTriedAgainAtOnce(t *testing.T) {
	s := testStore(t)
	group := newGroup("movies")
	must(0, Create(t.Context(), s, group))(t)
	broken := errors.New("broken")
	wantError(t, DeleteAfter(t.Context(), s, group, func(context.Context, Resource) error { return broken }), broken)
	if got := must(Get[*DatasetGroup](t.Context(), s, group.ARN))(t); got.Status != StatusDeleteInProgress {
		t.Errorf("status %s", got.Status)
	}
	must(0, Delete(t.Context(), s, group))(t)
}

// A deleter that was slow finds the name made again by somebody who had seen the resource gone. It must not touch that one.
func TestASlowDeleterLeavesWhatWasMadeAgain(t *testing.T) {
	s := testStore(t)
	ctx := t.Context()
	old := newGroup("movies")
	must(0, Create(ctx, s, old))(t)
	seen := must(Get[*DatasetGroup](ctx, s, old.ARN))(t)
	must(0, Delete(ctx, s, old))(t)
	must(0, Create(ctx, s, newGroup("movies")))(t)

	must(0, DeleteAfter(ctx, s, seen, func(context.Context, Resource) error {
		t.Error("the slow deleter cleans up")
		return nil
	}))(t)
	if got := must(Get[*DatasetGroup](ctx, s, old.ARN))(t); got.Status == StatusDeleteInProgress {
		t.Errorf("status %s", got.Status)
	}
}
