package batch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/retrainer/output"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

func (i *installation) filter(name, expression string) string {
	i.Helper()
	f := &catalog.Filter{Metadata: retrainertest.Active(retrainertest.Account+"filter/"+name, name), DatasetGroupARN: i.Group.ARN, Expression: expression}
	retrainertest.Create(i.Installation, f)
	return f.ARN
}

const clicksDocument = `{"type":"record","name":"Interactions","namespace":"x","fields":[
	{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"EVENT_TYPE","type":"string"},{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`

// coloured makes a group whose items i00 to i19 are red and blue by turns, with users of whom some are members.
func coloured(t *testing.T) (*installation, *retrainer) {
	i := install(t)
	s := i.retrainer(nil)
	i.Background(s.Run)
	i.Dataset(i.Group, "INTERACTIONS", clicksDocument)
	var items strings.Builder
	items.WriteString("ITEM_ID,COLOUR,PRICE\n")
	for n := range 20 {
		fmt.Fprintf(&items, "i%02d,%s,%d\n", n, []string{"red", "blue"}[n%2], n)
	}
	i.finished(s, i.ImportJob(i.Dataset(i.Group, "ITEMS", itemsDocument), "items", mode.ImportFull, items.String()))
	const users = `{"type":"record","name":"Users","namespace":"x","fields":[{"name":"USER_ID","type":"string"},{"name":"MEMBER","type":["null","string"]}],"version":"1.0"}`
	i.finished(s, i.ImportJob(i.Dataset(i.Group, "USERS", users), "users", mode.ImportFull, "USER_ID,MEMBER\nu000,yes\nu001,no\n"))
	i.PutEvents(40, "click")
	return i, s
}

func TestBatchInferenceFilters(t *testing.T) {
	t.Parallel()
	i, _ := coloured(t)
	version := func(recipe string) *catalog.SolutionVersion {
		return i.Ends(i.Version(i.Solution(recipe, recipe, nil), "00000001"))
	}
	personal, popular, ranking := version("aws-user-personalization"), version("aws-popularity-count"), version("aws-personalized-ranking")
	ofColour := i.filter("colour", `INCLUDE ItemID WHERE Items.COLOUR IN ($COLOUR)`)
	unseen := i.filter("unseen", `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`)
	members := i.filter("members", `EXCLUDE ItemID WHERE Items.PRICE > 4 IF CurrentUser.MEMBER = "no"`)
	is := func(kept func(n int) bool) (ids []string) {
		for n := range 20 {
			if kept(n) {
				ids = append(ids, fmt.Sprintf("i%02d", n))
			}
		}
		return ids
	}
	run := func(name string, v *catalog.SolutionVersion, filterARN string, lines ...string) []answered {
		i.put("in.json", strings.Join(lines, "\n"))
		i.succeeds(i.batch(name, v, "in.json", func(j *catalog.BatchInferenceJob) { j.FilterARN = filterARN }))
		return i.answers("out/" + name + "/in.json.out")
	}
	check := func(what string, a answered, want []string) {
		t.Helper()
		if a.Output == nil {
			t.Errorf("%s: %v", what, *a.Error)
			return
		}
		if got := slices.Sorted(slices.Values(a.Output.RecommendedItems)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", what, got, want)
		}
	}
	red := func(n int) bool { return n%2 == 0 }
	got := run("colour", personal, ofColour, `{"userId":"u000","filterValues":{"COLOUR":"\"red\""}}`, `{"userId":"u000","filterValues":{"COLOUR":"\"blue\""}}`,
		`{"userId":"u000"}`, `{"userId":"u000","filterValues":{"COLOR":"\"blue\""}}`, `{"userId":"nobody","filterValues":{"COLOUR":"\"red\",\"blue\""}}`)
	check("red", got[0], is(red))
	check("blue", got[1], is(func(n int) bool { return !red(n) }))
	for n, missing := range []string{"COLOUR", "COLOR"} {
		if a := got[2+n]; a.Error == nil || !strings.Contains(*a.Error, missing) {
			t.Errorf("wrong values: %v", a)
		}
	}
	check("both", got[4], is(func(int) bool { return true }))
	// Users of even number have clicked six even items.
	for name, v := range map[string]*catalog.SolutionVersion{"unseen-personal": personal, "unseen-popular": popular} {
		got = run(name, v, unseen, `{"userId":"u000"}`, `{"userId":"nobody"}`)
		check(name, got[0], is(func(n int) bool { return n%2 == 1 || n >= 12 }))
		check(name+", of nobody", got[1], is(func(int) bool { return true }))
	}
	got = run("members", popular, members, `{"userId":"u000"}`, `{"userId":"u001"}`, `{"userId":"u002"}`)
	check("of a member", got[0], is(func(int) bool { return true }))
	check("of no member", got[1], is(func(n int) bool { return n <= 4 }))
	check("of someone unknown", got[2], is(func(int) bool { return true }))
	got = run("ranking", ranking, ofColour, `{"userId":"u000","itemList":["i03","i02","i04","nowhere"],"filterValues":{"COLOUR":"\"red\""}}`)
	check("ranked", got[0], []string{"i02", "i04"})
	if a := got[0].Output; len(a.Scores) != 2 || a.Scores[0]+a.Scores[1] < 0.999 {
		t.Errorf("scores of what is left: %v", a.Scores)
	}
	for name, c := range map[string]struct{ filter, reason string }{
		"of-users":  {i.filter("users", `EXCLUDE UserID WHERE Users.MEMBER IN ("no")`), "must select by ItemID"},
		"no-column": {i.filter("gone", `EXCLUDE ItemID WHERE Items.SIZE > 1`), "SIZE"},
		"deleted":   {retrainertest.Account + "filter/absent", "no longer exists"},
	} {
		job := jobEnds(i, i.batch(name, popular, "in.json", func(j *catalog.BatchInferenceJob) { j.FilterARN = c.filter }))
		if job.Status != status.CreateFailed || !strings.Contains(job.FailureReason, c.reason) {
			t.Errorf("%s: %s %q", name, job.Status, job.FailureReason)
		}
	}
}

// crowd is a segmenter that knows u000 to u039, in this order, for one item and one colour.
type crowd struct{}

func (crowd) Segment(q model.SegmentQuery, k int) (users []model.ScoredUser, err error) {
	if q.ItemID != "i01" && !slices.Contains(q.Attributes, model.Attribute{Column: "COLOUR", Value: "red"}) {
		return nil, nil
	}
	for n := range min(k, 40) {
		users = append(users, model.ScoredUser{UserID: fmt.Sprintf("u%03d", n), Score: float32(-n)})
	}
	return users, nil
}

func TestBatchSegments(t *testing.T) {
	t.Parallel()
	i, s := coloured(t)
	i.publish(reco.Interaction{EventID: "bought", UserID: "u003", SessionID: "b", EventType: "buy", ItemID: "i01", TimestampMS: 9})
	out, err := output.Open(t.Context(), i.S3, *i.at("out").Path)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, b *segmentation, lines ...string) []answered {
		t.Helper()
		i.put("segments/"+name+".json", strings.Join(lines, "\n"))
		in, files, err := batchInput(t.Context(), i.S3, *i.at("segments/" + name + ".json").Path, segmentLimits)
		if err != nil {
			t.Fatal(err)
		}
		read, err := b.read(t.Context(), in, files)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.file(t.Context(), out.Create(t.Context(), name, blob.PutOptions{}), read[0]); err != nil {
			t.Fatal(err)
		}
		return i.answers("out/" + name)
	}
	got := run("items", &segmentation{segmenter: crowd{}, results: 3}, `{"itemId":"i01"}`, `{"itemId":"unknown"}`, `{"itemAttributes":"x"}`, `no`)
	if o := got[0].Output; !slices.Equal(o.RecommendedUsers, []string{"u000", "u001", "u002"}) || got[0].Error != nil || got[0].Input.(map[string]any)["itemId"] != "i01" {
		t.Errorf("of an item: %v", got[0])
	}
	if o := got[1].Output; o == nil || len(o.RecommendedUsers) != 0 {
		t.Errorf("of an unknown item: %v", got[1])
	}
	for n, reason := range []string{"itemId is missing", "not a JSON object"} {
		if a := got[2+n]; a.Output != nil || a.Error == nil || !strings.Contains(*a.Error, reason) {
			t.Errorf("of a bad line: %v, want %q", a, reason)
		}
	}
	const red = `ITEMS.colour = "red" AND ITEMS.COLOUR = "blue"`
	got = run("attributes", &segmentation{segmenter: crowd{}, byAttributes: true, results: 100}, fmt.Sprintf(`{"itemAttributes":%q}`, red), `{"itemAttributes":"ITEMS.colour > 1"}`)
	if a := got[0]; a.ItemAttributes != red || a.Input != nil || len(a.Output.RecommendedUsers) != 40 {
		t.Errorf("of attributes: %v", a)
	}
	if a := got[1]; a.Output != nil || a.Error == nil {
		t.Errorf("of a bad expression: %v", a)
	}

	filtered := func(name, expression string) *segmentation {
		t.Helper()
		f, err := s.openFilter(t.Context(), i.filter(name, expression), i.Group, schema.Users)
		if err != nil {
			t.Fatal(err)
		}
		source, err := s.openHistories(t.Context(), i.Group.GroupKey(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		types, err := source.eventTypes(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		return &segmentation{segmenter: crowd{}, results: 3, filter: f, subject: filter.Subject{EventTypes: types}}
	}
	for name, c := range map[string]struct{ expression, line, want string }{
		"not members": {`EXCLUDE UserID WHERE Users.MEMBER IN ($M)`, `{"itemId":"i01","filterValues":{"M":"\"yes\",\"no\""}}`, "[u002 u003 u004]"},
		"members":     {`INCLUDE UserID WHERE Users.MEMBER IN ("yes","no")`, `{"itemId":"i01"}`, "[u000 u001]"},
		"buyers":      {`INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("buy")`, `{"itemId":"i01"}`, "[u003]"},
	} {
		key := strings.ReplaceAll(name, " ", "-")
		got := run(key, filtered(key, c.expression), c.line)
		if o := got[0].Output; o == nil || fmt.Sprint(o.RecommendedUsers) != c.want {
			t.Errorf("%s: %+v, want %s", name, got[0], c.want)
		}
	}

	i.put("segments/many.json", strings.Repeat(`{"itemId":"i01"}`+"\n", segmentItems+1))
	in, files, err := batchInput(t.Context(), i.S3, *i.at("segments/many.json").Path, segmentLimits)
	if err != nil {
		t.Fatal(err)
	}
	for byAttributes, reason := range map[bool]string{false: "more than 500 items", true: "more than 10 attribute expressions"} {
		if _, err := (&segmentation{byAttributes: byAttributes}).read(t.Context(), in, files); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("too many lines: %v, want %q", err, reason)
		}
	}
	// The whole job, with the recipes' models.
	for name, line := range map[string]string{"aws-item-affinity": `{"itemId":"i02"}`, "aws-item-attribute-affinity": `{"itemAttributes":"ITEMS.COLOUR = \"red\""}`} {
		v := i.Ends(i.Version(i.Solution(name, name, nil), "00000001"))
		i.put("segments/in.json", line)
		job := &catalog.BatchSegmentJob{
			Metadata:        catalog.Metadata{ARN: retrainertest.Account + "batch-segment-job/" + name, Name: name, Status: status.CreatePending},
			DatasetGroupARN: i.Group.ARN, SolutionVersionARN: v.ARN, NumResults: 10,
			JobInput:  &personalize.BatchSegmentJobInput{S3DataSource: i.at("segments/in.json")},
			JobOutput: &personalize.BatchSegmentJobOutput{S3DataDestination: i.at("out/" + name)},
		}
		retrainertest.Create(i.Installation, job)
		i.succeeds(job)
		got := i.answers("out/" + name + "/in.json.out")
		if len(got) != 1 || got[0].Output == nil || len(got[0].Output.RecommendedUsers) != 10 {
			t.Fatalf("%s: %v", name, got)
		}
		// Users of even number have clicked even items, which are red.
		for _, id := range got[0].Output.RecommendedUsers {
			if !strings.ContainsAny(id[3:], "02468") {
				t.Errorf("%s finds %v", name, got[0].Output.RecommendedUsers)
				break
			}
		}
	}
	// A recipe that makes none is refused in words.
	v := i.Ends(i.Version(i.Solution("popular", "aws-popularity-count", nil), "00000001"))
	job := &catalog.BatchSegmentJob{
		Metadata:        catalog.Metadata{ARN: retrainertest.Account + "batch-segment-job/none", Name: "none", Status: status.CreatePending},
		DatasetGroupARN: i.Group.ARN, SolutionVersionARN: v.ARN,
		JobInput:  &personalize.BatchSegmentJobInput{S3DataSource: i.at("segments/items.json")},
		JobOutput: &personalize.BatchSegmentJobOutput{S3DataDestination: i.at("out/none")},
	}
	retrainertest.Create(i.Installation, job)
	if job := jobEnds(i, job); job.Status != status.CreateFailed || !strings.Contains(job.FailureReason, "makes no user segments") {
		t.Errorf("%s %q", job.Status, job.FailureReason)
	}
}

func TestBatchInferenceKnowsNewcomersByTheirAttributes(t *testing.T) {
	t.Parallel()
	i := install(t)
	s := i.retrainer(nil)
	i.Background(s.Run)
	i.Dataset(i.Group, "INTERACTIONS", clicksDocument)
	const document = `{"type":"record","name":"Users","namespace":"x","fields":[{"name":"USER_ID","type":"string"},{"name":"TOWN","type":"string","categorical":true}],"version":"1.0"}`
	var users strings.Builder
	users.WriteString("USER_ID,TOWN\nnew-even,Even\nnew-odd,Odd\n")
	for u := range 80 {
		fmt.Fprintf(&users, "u%03d,%s\n", u, []string{"Even", "Odd"}[u%2])
	}
	i.finished(s, i.ImportJob(i.Dataset(i.Group, "USERS", document), "users", mode.ImportFull, users.String()))
	i.PutEvents(80, "click") // users of even number like even items
	v := i.Ends(i.Version(i.Solution("personal", "aws-user-personalization", nil), "00000001"))
	i.put("in.json", `{"userId":"new-even"}`+"\n"+`{"userId":"new-odd"}`+"\n"+`{"userId":"nobody"}`)
	i.succeeds(i.batch("newcomers", v, "in.json", nil))
	odd := func(a answered) (n int) {
		for _, id := range a.Output.RecommendedItems[:5] {
			n += int(id[2]-'0') % 2
		}
		return n
	}
	got := i.answers("out/newcomers/in.json.out")
	if even, other := odd(got[0]), odd(got[1]); even != 0 || other != 5 {
		t.Errorf("of five items that newcomers from Even and Odd are recommended %d and %d are odd: %v, %v", even, other, got[0].Output.RecommendedItems, got[1].Output.RecommendedItems)
	}
	if n := odd(got[2]); n == 0 || n == 5 {
		t.Errorf("of five items that somebody unknown is recommended %d are odd", n)
	}
}
