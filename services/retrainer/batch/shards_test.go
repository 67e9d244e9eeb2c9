package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/output"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

// pieces are the contents of a plan's pieces, by shard.
func (i *installation) pieces(plan *batchPlan) (shards [][]string) {
	i.Helper()
	for _, shard := range plan.Shards {
		var contents []string
		for _, p := range shard {
			contents = append(contents, i.get(plan.Files[p.File].Key)[p.From:p.To])
		}
		shards = append(shards, contents)
	}
	return shards
}

func TestABatchIsCutAtTheEndsOfLines(t *testing.T) {
	t.Parallel()
	i := install(t)
	line := func(n int) string { return fmt.Sprintf("{\"userId\":\"u%03d\"}\n", n) }
	var lines strings.Builder
	for n := range 90 {
		lines.WriteString(line(n))
	}
	long := strings.Repeat("x", 150<<10) + "\n"
	for name, c := range map[string]struct {
		files  []string
		count  int64
		shards int
	}{
		"one file":            {[]string{lines.String()}, 4, 4},
		"no end of the last":  {[]string{strings.TrimSuffix(lines.String(), "\n")}, 3, 3},
		"several files":       {[]string{lines.String(), "", lines.String(), line(1), ""}, 3, 3},
		"small files":         {[]string{line(1), line(2), line(3), line(4)}, 2, 2},
		"one line":            {[]string{line(1)}, 4, 1},
		"long lines":          {[]string{long + long + long}, 10, 3},
		"no line":             {[]string{"", ""}, 3, 1},
		"as many cuts as can": {[]string{line(1) + line(2)}, 500, 2},
	} {
		t.Run(name, func(t *testing.T) {
			folder := strings.ReplaceAll(name, " ", "-") + "/"
			plan := &batchPlan{Bucket: i.Bucket.Name()}
			for n, content := range c.files {
				i.put(fmt.Sprintf("%s%d", folder, n), content)
			}
			_, files, err := batchInput(t.Context(), i.S3, *i.at(folder).Path, inferenceLimits)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				plan.Files = append(plan.Files, plannedFile{f.info.Key, f.info.Size, f.info.ETag})
			}
			if err := plan.cut(t.Context(), i.Bucket, c.count); err != nil {
				t.Fatal(err)
			}
			if len(plan.Shards) != c.shards {
				t.Errorf("%d shards, want %d: %v", len(plan.Shards), c.shards, plan.Shards)
			}
			whole := make([]string, len(c.files))
			for s, contents := range i.pieces(plan) {
				for k, content := range contents {
					p := plan.Shards[s][k]
					if p.To != plan.Files[p.File].Size && !strings.HasSuffix(content, "\n") {
						t.Errorf("piece %v ends within a line", p)
					}
					whole[p.File] += content
				}
			}
			for n := range whole {
				if whole[n] != c.files[n] {
					t.Errorf("file %d is not made of its pieces %v", n, plan.Shards)
				}
			}
		})
	}
}

// sharedJob trains a model, and prepares an input of two files and what one undisturbed retrainer makes of it.
func (i *installation) sharedJob(s *retrainer) (v *catalog.SolutionVersion, want map[string]string) {
	i.Helper()
	i.PutEvents(40, "click")
	v = i.Ends(i.Version(i.Solution("personal", "aws-user-personalization", nil), "00000001"))
	var lines strings.Builder
	for n := range 300 {
		fmt.Fprintf(&lines, "{\"userId\":\"u%03d\"}\n", n%45)
	}
	i.put("in/a.json", "\xef\xbb\xbf"+lines.String()+"no json\n")
	i.put("in/b.json", "")
	i.put("in/c.json", lines.String()+`{"userId":"u001"}`)
	alone := i.batch("alone", v, "in/", nil)
	if _, err := s.Inference.Run(i.Context(), alone, func(float64) {}); err != nil {
		i.Fatal(err)
	}
	want = map[string]string{}
	for _, name := range []string{"a.json.out", "b.json.out", "c.json.out"} {
		want[name] = i.get("out/alone/" + name)
	}
	return v, want
}

func (i *installation) sameOutput(job string, want map[string]string) {
	i.Helper()
	for name, content := range want {
		if got := i.get("out/" + job + "/" + name); got != content {
			i.Errorf("%s of job %s differs: %d bytes, want %d", name, job, len(got), len(content))
		}
	}
}

func (i *installation) noLeftovers() {
	i.Helper()
	eventually.Succeeds(i.T, "nothing is left behind", func() error {
		left := ""
		for _, prefix := range []string{batchRoot, "catalog/" + resource.BatchShard} {
			for info, err := range i.Bucket.List(i.Context(), prefix) {
				if err != nil {
					i.Fatal(err)
				}
				left += info.Key + " "
			}
		}
		if left != "" {
			return errors.New(left)
		}
		return nil
	})
}

// awaitReplicas waits until so many retrainers know of one another.
func (i *installation) awaitReplicas(count int) {
	i.Helper()
	eventually.True(i.T, fmt.Sprintf("there are %d retrainers", count), func() bool {
		n, err := i.Bus.GroupMembers(i.Context(), consumerGroup)
		return err == nil && n == count
	})
}

// smallShards have a job of some hundred lines shared.
func smallShards(c *config) { c.BatchShardLines = 50 }

func TestTwoRetrainersShareABatch(t *testing.T) {
	t.Parallel()
	i := install(t)
	trainer := i.retrainer(nil)
	stop := i.Background(trainer.Run)
	v, want := i.sharedJob(trainer)
	stop()
	first, second := i.retrainer(smallShards), i.retrainer(smallShards)
	i.Background(first.Run)
	i.Background(second.Run)
	i.awaitReplicas(2)
	// Neither goes on with a shard before the other has one.
	both := make(chan struct{})
	arrived := make(chan *retrainer, 100)
	for _, s := range []*retrainer{first, second} {
		answer := s.shards.Runner
		s.shards.Runner = func(ctx context.Context, shard *catalog.BatchShard, report func(float64)) (func(*catalog.BatchShard), error) {
			arrived <- s
			select {
			case <-both:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return answer(ctx, shard, report)
		}
	}
	job := i.batch("shared", v, "in/", nil)
	if one, other := <-arrived, <-arrived; one == other {
		t.Error("one retrainer took two shards at once")
	}
	close(both)
	i.succeeds(job)
	if len(arrived) < 2 {
		t.Errorf("%d shards were worked on, too few for two retrainers", len(arrived)+2)
	}
	i.sameOutput("shared", want)
	i.noLeftovers()
}

func TestAFailedShardFailsItsJob(t *testing.T) {
	t.Parallel()
	i := install(t)
	trainer := i.retrainer(nil)
	stop := i.Background(trainer.Run)
	v, _ := i.sharedJob(trainer)
	stop()
	s := i.retrainer(smallShards)
	job := i.batch("failing", v, "in/", nil)
	i.spread(s, job, 4)
	answer := s.shards.Runner
	s.shards.Runner = func(ctx context.Context, shard *catalog.BatchShard, report func(float64)) (func(*catalog.BatchShard), error) {
		if shard.Number == 2 {
			return nil, jobs.Faultf("The third shard is cursed")
		}
		return answer(ctx, shard, report)
	}
	i.Background(s.Run)
	if ended := jobEnds(i, job); ended.Status != status.CreateFailed || ended.FailureReason != "The third shard is cursed" {
		t.Errorf("%s %q", ended.Status, ended.FailureReason)
	}
	i.noLeftovers()
	for info, err := range i.Bucket.List(t.Context(), "out/failing/") {
		t.Errorf("a failed job has written %s, %v", info.Key, err)
	}
}

// spread writes a plan of so many shards down, as a coordinator among several retrainers does.
func (i *installation) spread(s *retrainer, job *catalog.BatchInferenceJob, shards int64) *batchPlan {
	i.Helper()
	plan, err := s.batchPlan(i.Context(), job)
	if err != nil {
		i.Fatal(err)
	}
	plan.Shards = nil
	if err := plan.cut(i.Context(), i.Bucket, shards); err != nil {
		i.Fatal(err)
	}
	if err := s.writePlan(i.Context(), plan); err != nil {
		i.Fatal(err)
	}
	return plan
}

// What a killed coordinator, killed workers and zombies leave behind does not change the output.
func TestASharedBatchGoesOnFromWhatIsThere(t *testing.T) {
	t.Parallel()
	i := install(t)
	s := i.retrainer(smallShards)
	stop := i.Background(s.Run)
	v, want := i.sharedJob(s)
	stop()
	job := i.batch("interrupted", v, "in/", nil)
	i.spread(s, job, 5)
	// The first shard is done, the second has its part but was not marked as done, and the third was only begun.
	if _, err := i.Store.BatchInferenceJobs.Acquire(t.Context(), job.ARN, "dead", 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		shard, err := newShard(job, n)
		if err != nil {
			t.Fatal(err)
		}
		retrainertest.Create(i.Installation, shard)
		if _, err := i.Store.BatchShards.Acquire(t.Context(), shard.ARN, "dead", 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		finish := func(shard *catalog.BatchShard) {}
		if n < 2 {
			if finish, err = s.answer.Run(t.Context(), shard, func(float64) {}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := i.Store.BatchShards.Update(t.Context(), shard.ARN, func(shard *catalog.BatchShard) error {
			if shard.Begin(); n == 0 {
				finish(shard)
				shard.Succeed()
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	again := i.retrainer(smallShards)
	i.Background(again.Run)
	i.succeeds(job)
	i.sameOutput("interrupted", want)
	i.noLeftovers()

	// A coordinator that wakes up now creates a shard, which is removed by whoever takes it.
	late, err := newShard(job, 1)
	if err != nil {
		t.Fatal(err)
	}
	retrainertest.Create(i.Installation, late)
	i.noLeftovers()
	if _, err := i.Store.BatchShards.Get(t.Context(), late.ARN); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("the late shard: %v", err)
	}
}

func TestLeftoversOfBatchesAreRemoved(t *testing.T) {
	t.Parallel()
	i := install(t)
	s := i.retrainer(smallShards)
	stop := i.Background(s.Run)
	v, _ := i.sharedJob(s)
	stop()
	running, over := i.batch("running", v, "in/", nil), i.batch("over", v, "in/", nil)
	for _, job := range []*catalog.BatchInferenceJob{running, over} {
		i.spread(s, job, 3)
		shard, err := newShard(job, 1)
		if err != nil {
			t.Fatal(err)
		}
		retrainertest.Create(i.Installation, shard)
		if _, err := s.answer.Run(t.Context(), shard, func(float64) {}); err != nil {
			t.Fatal(err)
		}
	}
	i.put(batchFolder("nobody-knows")+partName(0, 0), "the part of a zombie")
	if _, err := i.Store.BatchInferenceJobs.Update(t.Context(), over.ARN, func(job *catalog.BatchInferenceJob) error {
		job.Succeed()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the view knows the shards", func() bool { return len(catalog.All[*catalog.BatchShard](i.View)) >= 2 })
	if err := s.removeLeftoversOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	for job, left := range map[string]int{running.ID: 2, over.ID: 0, "nobody-knows": 1} {
		count := 0
		for _, err := range i.Bucket.List(t.Context(), batchFolder(job)) {
			if err != nil {
				t.Fatal(err)
			}
			count++
		}
		if count < left || left == 0 && count > 0 {
			t.Errorf("%d objects are left of %s", count, job)
		}
	}
	if late, err := s.isLeftOver(t.Context(), "nobody-knows", time.Now().Add(-2*lateWrite)); err != nil || !late {
		t.Errorf("an old part without a plan is kept: %v", err)
	}
	for job, want := range map[*catalog.BatchInferenceJob]error{running: nil, over: catalog.ErrNotFound} {
		shard, err := newShard(job, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Store.BatchShards.Get(t.Context(), shard.ARN); !errors.Is(err, want) {
			t.Errorf("the shard of %s: %v", job.Name, err)
		}
	}
}

// Of a part that is written twice the first counts.
func TestPartsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	i := install(t)
	folder := output.Folder{Bucket: i.Bucket, Prefix: "parts/"}
	for _, content := range []string{"first", "second"} {
		o := folder.Create(t.Context(), "a", blob.PutOptions{IfAbsent: true})
		if _, err := io.WriteString(o, content); err != nil {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := i.get("parts/a"); got != "first" {
		t.Errorf("the part is %q", got)
	}
}
