package batch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

// answered is a line of a batch job's output.
type answered struct {
	Input          any
	ItemAttributes string
	Output         *struct {
		RecommendedItems []string
		Scores           []float64
		RecommendedUsers []string
	}
	Error *string
}

func (i *installation) put(key, content string) {
	i.Helper()
	if _, err := i.Bucket.Put(i.Context(), key, []byte(content), blob.PutOptions{}); err != nil {
		i.Fatal(err)
	}
}

func (i *installation) get(key string) string {
	i.Helper()
	data, _, err := i.Bucket.Get(i.Context(), key)
	if err != nil {
		i.Fatal(err)
	}
	return string(data)
}

func (i *installation) at(key string) *personalize.S3DataConfig {
	path := "s3://" + i.Bucket.Name() + "/" + key
	return &personalize.S3DataConfig{Path: &path}
}

func (i *installation) answers(key string) []answered {
	i.Helper()
	var all []answered
	for line := range strings.Lines(i.get(key)) {
		var a answered
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			i.Fatalf("%v in %s", err, line)
		}
		all = append(all, a)
	}
	return all
}

// batch creates a batch inference job on what stands at a key.
func (i *installation) batch(name string, v *catalog.SolutionVersion, input string, change func(*catalog.BatchInferenceJob)) *catalog.BatchInferenceJob {
	i.Helper()
	job := &catalog.BatchInferenceJob{
		Metadata:        catalog.Metadata{ARN: retrainertest.Account + "batch-inference-job/" + name, Name: name, Status: status.CreatePending},
		DatasetGroupARN: i.Group.ARN, SolutionVersionARN: v.ARN, Mode: "BATCH_INFERENCE",
		JobInput:  &personalize.BatchInferenceJobInput{S3DataSource: i.at(input)},
		JobOutput: &personalize.BatchInferenceJobOutput{S3DataDestination: i.at("out/" + name)},
	}
	if change != nil {
		change(job)
	}
	retrainertest.Create(i.Installation, job)
	return job
}

// jobEnds waits until a job has come to its end and returns it.
func jobEnds[R catalog.Resource](i *installation, job R) R {
	i.Helper()
	return jobEndsWithin(i, job, 2*time.Minute)
}

func jobEndsWithin[R catalog.Resource](i *installation, job R, limit time.Duration) R {
	i.Helper()
	var now R
	eventually.SucceedsWithin(i.T, limit, job.Meta().ARN+" ends", func() (err error) {
		if now, err = catalog.Of[R](i.Store).Get(i.Context(), job.Meta().ARN); err != nil {
			i.Fatal(err)
		}
		if !now.Meta().Finished() {
			return fmt.Errorf("it is %s", now.Meta().Status)
		}
		return nil
	})
	return now
}

func (i *installation) succeeds(job catalog.Resource) {
	i.Helper()
	if m := jobEnds(i, job).Meta(); m.Status != status.Active && m.Status != status.Completed {
		i.Fatalf("%s: %s %q", m.ARN, m.Status, m.FailureReason)
	}
}

func (i *installation) publish(interactions ...reco.Interaction) {
	i.Helper()
	var records []bus.Record
	for k := range interactions {
		value, err := wire.MarshalInteraction(&interactions[k])
		if err != nil {
			i.Fatal(err)
		}
		records = append(records, bus.Record{Topic: schema.Interactions.Topic(i.Group.GroupKey()), Key: []byte(interactions[k].Key()), Value: value})
	}
	if err := i.Bus.Publish(i.Context(), records...); err != nil {
		i.Fatal(err)
	}
}

// expected is what a trained version recommends to the users of the data that it was trained on.
func (i *installation) expected(s *retrainer, v *catalog.SolutionVersion, k int) func(userID string) []string {
	i.Helper()
	loaded, err := modelstore.Load(i.Context(), i.Bucket, v.ManifestKey, "")
	if err != nil {
		i.Fatal(err)
	}
	set, err := s.trainer.Load(i.Context(), v)
	if err != nil {
		i.Fatal(err)
	}
	return func(userID string) []string {
		var q model.Query
		if u, known := slices.BinarySearch(set.Users, userID); known {
			q.History = set.History(u)
		}
		scores := make([]float32, loaded.Model.Items().Len())
		if err := loaded.Model.Score(q, scores); err != nil {
			i.Fatal(err)
		}
		var ids []string
		for _, item := range model.TopK(scores, k, nil) {
			ids = append(ids, loaded.Model.Items().ID(int(item)))
		}
		return ids
	}
}

func TestBatchInference(t *testing.T) {
	t.Parallel()
	i := install(t)
	d := i.InteractionsDataset()
	s := i.retrainer(nil)
	i.Background(s.Run)
	i.finished(s, i.ImportJob(d, "full", mode.ImportFull, retrainertest.InteractionsCSV(200)))
	i.PutEvents(40, "click")
	// A visitor who was a stranger at first, and one who was never more.
	i.publish(
		reco.Interaction{EventID: "a1", SessionID: "visit", EventType: "click", ItemID: "i01", TimestampMS: 1},
		reco.Interaction{EventID: "a2", SessionID: "visit", UserID: "ann", EventType: "click", ItemID: "i03", TimestampMS: 2},
		reco.Interaction{EventID: "a3", SessionID: "passing", EventType: "click", ItemID: "i05", TimestampMS: 3},
	)
	version := func(recipe string) *catalog.SolutionVersion {
		v := i.Ends(i.Version(i.Solution(recipe, recipe, nil), "00000001"))
		if v.Status != status.Active {
			t.Fatalf("%s: %s", recipe, v.FailureReason)
		}
		return v
	}
	personal, ranking, related, popular := version("aws-user-personalization"), version("aws-personalized-ranking"), version("aws-sims"), version("aws-popularity-count")
	want := i.expected(s, personal, 25)
	users := []string{"u000", "u1", "u039", "ann", "passing", "nobody"}
	lists := map[string][]string{}
	for _, id := range users {
		lists[id] = want(id)
	}
	// What comes after the training does not count.
	i.publish(reco.Interaction{EventID: "late", UserID: "u000", SessionID: "l", EventType: "click", ItemID: "i07", TimestampMS: time.Now().UnixMilli()})

	var lines strings.Builder
	for _, id := range users {
		fmt.Fprintf(&lines, "{\"userId\": %q, \"context\":{\"DEVICE\":\"phone\"}}\r\n", id)
	}
	i.put("batch/users.json", lines.String()+"no json\n{\"userId\":7}\n\n{\"itemId\":\"i01\"}")
	for name, change := range map[string]func(*config){"at-once": nil, "in-passes": func(c *config) { c.BatchRows = 30 }} {
		t.Run(name, func(t *testing.T) {
			worker := i.retrainer(change)
			job := i.batch(name, personal, "batch/users.json", nil)
			// The background's worker may take it as well; so it is run here, on the side.
			if _, err := worker.Inference.Run(t.Context(), job, func(float64) {}); err != nil {
				t.Fatal(err)
			}
			got := i.answers("out/" + name + "/users.json.out")
			if len(got) != len(users)+4 {
				t.Fatalf("%d answers", len(got))
			}
			for n, id := range users {
				a := got[n]
				if a.Error != nil || a.Output == nil {
					t.Fatalf("%s: %v", id, a)
				}
				if diff := cmp.Diff(lists[id], a.Output.RecommendedItems); diff != "" {
					t.Errorf("%s is not recommended what the model recommends: %s", id, diff)
				}
				if len(a.Output.Scores) != len(a.Output.RecommendedItems) || !slices.IsSortedFunc(a.Output.Scores, func(x, y float64) int { return int((y - x) * 1e9) }) || a.Output.Scores[0] > 1 {
					t.Errorf("%s: scores %v", id, a.Output.Scores)
				}
				if diff := cmp.Diff(map[string]any{"userId": id, "context": map[string]any{"DEVICE": "phone"}}, a.Input); diff != "" {
					t.Errorf("%s: the input comes back otherwise: %s", id, diff)
				}
			}
			for n, reason := range []string{"not a JSON object", "userId has a value of the wrong type", "empty", "userId is missing"} {
				if a := got[len(users)+n]; a.Output != nil || a.Error == nil || !strings.Contains(*a.Error, reason) {
					t.Errorf("a bad line was answered by %v, want %q", a, reason)
				}
			}
			i.succeeds(job)
		})
	}

	i.put("folder/a.json", `{"itemId":"i01"}`+"\n"+`{"itemId":"no-such"}`+"\n")
	i.put("folder/b.json", `{"itemId":"i02"}`+"\n")
	i.put("folder/empty.json", "")
	i.put("folder/below/c.json", `{"itemId":"i03"}`+"\n")
	i.succeeds(i.batch("related", related, "folder/", func(j *catalog.BatchInferenceJob) { j.NumResults = 3 }))
	a, b := i.answers("out/related/a.json.out"), i.answers("out/related/b.json.out")
	if len(a) != 2 || len(b) != 1 || i.get("out/related/empty.json.out") != "" {
		t.Fatalf("answers %v %v", a, b)
	}
	if o := a[0].Output; len(o.RecommendedItems) != 3 || o.Scores != nil || slices.Contains(o.RecommendedItems, "i01") {
		t.Errorf("related to i01: %v", o)
	}
	if _, _, err := i.Bucket.Get(t.Context(), "out/related/c.json.out"); err == nil {
		t.Error("a folder's folder was answered")
	}

	i.put("one.json", `{"userId":"u000","itemList":["i04","nowhere","i03","i04"]}`+"\n"+`{"userId":"u000"}`)
	i.succeeds(i.batch("ranking", ranking, "one.json", nil))
	r := i.answers("out/ranking/one.json.out")
	if o := r[0].Output; len(o.RecommendedItems) != 3 || o.RecommendedItems[2] != "nowhere" || len(o.Scores) != 3 || o.Scores[0]+o.Scores[1] < 0.999 || o.Scores[2] != 0 {
		t.Errorf("ranked %v", o)
	}
	if r[1].Error == nil || !strings.Contains(*r[1].Error, "itemList") {
		t.Errorf("without a list: %v", r[1])
	}

	i.put("one.json", `{"userId":"u000"}`)
	i.succeeds(i.batch("popular", popular, "one.json", nil))
	if o := i.answers("out/popular/one.json.out")[0].Output; len(o.RecommendedItems) != 25 || o.Scores != nil {
		t.Errorf("popular: %v", o)
	}

	elsewhere := "s3://no-such-bucket/x/"
	for name, c := range map[string]struct {
		input, reason string
		change        func(*catalog.BatchInferenceJob)
	}{
		"absent file":   {"absent.json", "Invalid S3 input path", nil},
		"empty folder":  {"nothing/", "Invalid S3 input path", nil},
		"absent bucket": {"one.json", "Invalid S3 output path", func(j *catalog.BatchInferenceJob) { j.JobOutput.S3DataDestination.Path = &elsewhere }},
	} {
		job := jobEnds(i, i.batch(strings.ReplaceAll(name, " ", "-"), popular, c.input, c.change))
		if job.Status != status.CreateFailed || job.FailureReason != c.reason {
			t.Errorf("%s: %s %q", name, job.Status, job.FailureReason)
		}
	}
}

func TestBatchInputIsBounded(t *testing.T) {
	t.Parallel()
	i := install(t)
	for n := range 4 {
		i.put(fmt.Sprintf("many/%d.json", n), "{}\n")
	}
	for name, limits := range map[string]batchLimits{"more than 3 files": {files: 3, bytes: 100}, "12 bytes, more than the 11": {files: 4, bytes: 11}} {
		_, _, err := batchInput(t.Context(), i.S3, *i.at("many/").Path, limits)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
	long := strings.Repeat("x", maxBatchLine)
	var got []batchLine
	r := newLineReader(strings.NewReader("\xef\xbb\xbfone\r\n" + long + "\n" + long + "y\n\nlast"))
	r.skipMark()
	for {
		line, err := r.next()
		if err != nil {
			break
		}
		got = append(got, line)
	}
	if len(got) != 5 || string(got[0].text) != "one" || got[1].cut || len(got[1].text) != maxBatchLine || !got[2].cut || len(got[2].text) != maxBatchLine ||
		len(got[3].text) != 0 || string(got[4].text) != "last" {
		for _, line := range got {
			t.Errorf("%d bytes, cut: %v", len(line.text), line.cut)
		}
	}
}

// Histories are those of the training set, whatever part of the data they stand in.
func TestHistoriesAreThoseOfTheTraining(t *testing.T) {
	t.Parallel()
	i := install(t)
	d := i.InteractionsDataset()
	s := i.retrainer(nil)
	stop := i.Background(s.Run)
	i.finished(s, i.ImportJob(d, "full", mode.ImportFull, retrainertest.InteractionsCSV(700)))
	stop()
	i.PutEvents(20, "click")
	i.publish(
		reco.Interaction{EventID: "s1", SessionID: "both", EventType: "click", ItemID: "i1", TimestampMS: 5},
		reco.Interaction{EventID: "s2", SessionID: "both", UserID: "u001", EventType: "click", ItemID: "i2", TimestampMS: 6},
		reco.Interaction{EventID: "s3", SessionID: "both", UserID: "stranger", EventType: "click", ItemID: "i2", TimestampMS: 7},
		reco.Interaction{EventID: "s4", SessionID: "own", EventType: "look", ItemID: "i1", TimestampMS: 8},
		reco.Interaction{EventID: "s5", SessionID: "own", UserID: "u002", EventType: "click", ItemID: "i2", TimestampMS: 9},
		reco.Interaction{EventID: "s5", SessionID: "own", UserID: "u002", EventType: "click", ItemID: "i2", TimestampMS: 9},
	)
	loaded, err := dataset.Load(t.Context(), dataset.LoadRequest{Bucket: i.Bucket, Group: i.Group.GroupKey(), More: func(b *trainingset.Builder) error {
		tail, err := s.Data.OpenTail(t.Context(), i.Group.GroupKey())
		if err != nil {
			return err
		}
		return tail.Read(t.Context(), b)
	}})
	if err != nil {
		t.Fatal(err)
	}
	source, err := s.openHistories(t.Context(), i.Group.GroupKey(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	users := []string{"u0", "u1", "u001", "u002", "u003", "both", "nobody"}
	h := newHistories(model.NewItems(loaded.Items), users, 200, 1000)
	if err := h.gather(t.Context(), source, 2); err != nil {
		t.Fatal(err)
	}
	for _, id := range users {
		var want []reco.RecentInteraction
		if u, known := slices.BinarySearch(loaded.Users, id); known {
			want = loaded.History(u)
		}
		if diff := cmp.Diff(want, h.of(id, new(historyScratch))); diff != "" {
			t.Errorf("%s (-training +batch):\n%s", id, diff)
		}
	}
	// Only the newest count, and users of whom there is no room are left for later.
	few := newHistories(model.NewItems(loaded.Items), users, 10, 30)
	if err := few.gather(t.Context(), source, 2); err != nil {
		t.Fatal(err)
	}
	if kept := few.kept.Load(); kept < 1 || kept >= int32(len(users)) || few.count.Load() > 30 && kept > 1 {
		t.Errorf("%d users kept with %d rows", kept, few.count.Load())
	}
	if got, all := few.of("u0", new(historyScratch)), h.of("u0", new(historyScratch)); len(got) != 10 || !cmp.Equal(got, all[len(all)-10:]) {
		t.Errorf("the newest of u0: %v", got)
	}
}
