package batch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/mode"
)

// The lists of a job are as diverse as its configuration says, with the scores that the items have.
func TestBatchInferenceIsDiverse(t *testing.T) {
	t.Parallel()
	i := install(t)
	s := i.retrainer(nil)
	stop := i.Background(s.Run)
	const document = `{"type":"record","name":"Items","namespace":"x","fields":[
		{"name":"ITEM_ID","type":"string"},{"name":"COLOUR","type":["null","string"],"categorical":true},{"name":"MAKER","type":["null","string"]}],"version":"1.0"}`
	var items strings.Builder
	items.WriteString("ITEM_ID,COLOUR,MAKER\n")
	for n := range 20 {
		fmt.Fprintf(&items, "i%02d,%s,the same\n", n, []string{"red", "blue"}[n%2])
	}
	i.finished(s, i.ImportJob(i.Dataset(i.Group, "ITEMS", document), "items", mode.ImportFull, items.String()))
	i.PutEvents(40, "click")
	v := i.Ends(i.Version(i.Solution("personal", "aws-user-personalization", nil), "00000001"))
	stop()

	var lines strings.Builder
	for n := range 40 {
		fmt.Fprintf(&lines, "{\"userId\":\"u%03d\"}\n", n)
	}
	i.put("users.json", lines.String())
	all := i.filter("all", `EXCLUDE ItemID WHERE Items.COLOUR IN ("green")`)
	run := func(name string, results int64, filter string, config map[string]string) (string, []answered) {
		t.Helper()
		job := i.batch(name, v, "users.json", func(job *catalog.BatchInferenceJob) {
			job.NumResults, job.FilterARN = results, filter
			job.Config = &personalize.BatchInferenceJobConfig{ItemExplorationConfig: config}
		})
		if _, err := s.Inference.Run(t.Context(), job, func(float64) {}); err != nil {
			t.Fatal(err)
		}
		output := "out/" + name + "/users.json.out"
		return i.get(output), i.answers(output)
	}
	plain, before := run("plain", 20, "", nil)
	if off, _ := run("off", 20, "", map[string]string{"diversityWeight": "0", "diversityColumn": "COLOUR"}); off != plain {
		t.Error("without a weight the lists are others")
	}
	if same, _ := run("same", 20, "", map[string]string{"diversityWeight": "0.9", "diversityColumn": "MAKER"}); same != plain {
		t.Error("items that are all alike are not in the order of their scores")
	}
	full, _ := run("full", 20, "", map[string]string{"diversityWeight": "0.9"})
	if filtered, _ := run("filtered", 20, all, map[string]string{"diversityWeight": "0.9"}); filtered != full {
		t.Error("a filter that selects everything changes the lists")
	}

	// With this weight the first of the other colour comes second; from then on both colours are there, and relevance
	// decides.
	_, diverse := run("diverse", 5, "", map[string]string{"diversityWeight": "0.9"})
	mixed := 0
	for n, a := range diverse {
		list, scores := before[n].Output.RecommendedItems, before[n].Output.Scores
		other := slices.IndexFunc(list, func(id string) bool { return (id[2]-list[0][2])%2 == 1 })
		want := slices.Insert(slices.Delete(slices.Clone(list), other, other+1), 1, list[other])[:5]
		if !slices.Equal(a.Output.RecommendedItems, want) {
			t.Errorf("line %d: %v, want %v", n, a.Output.RecommendedItems, want)
		}
		if other > 1 {
			mixed++
		}
		for k, id := range a.Output.RecommendedItems {
			if a.Output.Scores[k] != scores[slices.Index(list, id)] {
				t.Errorf("line %d: %s has another score than without", n, id)
			}
		}
	}
	if mixed < 20 {
		t.Errorf("%d of 40 lists begin with items of one colour: the test cannot tell", mixed)
	}
}
