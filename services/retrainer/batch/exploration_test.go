package batch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
)

// A new item is lifted to the top for as many users as at runtime, and for the same whenever the job is done.
func TestBatchInferenceExplores(t *testing.T) {
	t.Parallel()
	i := install(t)
	s := i.retrainer(func(c *config) { c.Explore = true })
	stop := i.Background(s.Run)
	const document = `{"type":"record","name":"Items","namespace":"x","fields":[
		{"name":"ITEM_ID","type":"string"},{"name":"CREATION_TIMESTAMP","type":"long"},{"name":"COLOUR","type":["null","string"]}],"version":"1.0"}`
	var items strings.Builder
	items.WriteString("ITEM_ID,CREATION_TIMESTAMP,COLOUR\n")
	for n := range 20 {
		fmt.Fprintf(&items, "i%02d,1000,red\n", n)
	}
	fmt.Fprintf(&items, "fresh,%d,red\n", time.Now().Add(-48*time.Hour).Unix())
	i.finished(s, i.ImportJob(i.Dataset(i.Group, "ITEMS", document), "items", mode.ImportFull, items.String()))
	const users = 300 // who like even items
	i.PutEvents(2*users, "click")
	// Not in the Items dataset: as old as its first interaction.
	i.Interact(&reco.Interaction{EventID: "undated", UserID: "u001", EventType: "click", ItemID: "undated", TimestampMS: 5000})
	v := i.Ends(i.Version(i.Solution("personal", "aws-user-personalization", nil), "00000001"))
	related := i.Ends(i.Version(i.Solution("related", "aws-sims", nil), "00000001"))
	stop()

	var lines strings.Builder
	for n := range users {
		fmt.Fprintf(&lines, "{\"userId\":\"u%03d\",\"itemId\":\"i00\"}\n", 2*n)
	}
	i.put("users.json", lines.String())
	onTop := map[string]int{} // in the last run
	run := func(name string, v *catalog.SolutionVersion, weight, cutOff string) (*catalog.BatchInferenceJob, string, int) {
		t.Helper()
		job := i.batch(name, v, "users.json", func(job *catalog.BatchInferenceJob) {
			config := map[string]string{"explorationItemAgeCutOff": cutOff}
			if weight != "" {
				config["explorationWeight"] = weight
			}
			job.Config = &personalize.BatchInferenceJobConfig{ItemExplorationConfig: config}
		})
		if _, err := s.Inference.Run(t.Context(), job, func(float64) {}); err != nil {
			t.Fatal(err)
		}
		output := "out/" + name + "/users.json.out"
		clear(onTop)
		for _, a := range i.answers(output) {
			for _, id := range a.Output.RecommendedItems[:2] { // lifted to the score of the best, which wins the tie
				onTop[id]++
			}
		}
		return job, i.get(output), onTop["fresh"]
	}
	_, exploiting, top := run("exploiting", v, "0", "30")
	if top != 0 {
		t.Fatal("the new item is on top without exploration: the test cannot tell")
	}
	job, exploring, top := run("exploring", v, "1", "30")
	if top < users*27/100 || top > users*47/100 { // e^-1 of them
		t.Errorf("the new item is on top for %d of %d users", top, users)
	}
	if _, err := s.Inference.Run(t.Context(), job, func(float64) {}); err != nil {
		t.Fatal(err)
	}
	if i.get("out/exploring/users.json.out") != exploring {
		t.Error("the job done again explores otherwise")
	}
	if _, other, _ := run("another", v, "1", "30"); other == exploring {
		t.Error("two jobs explore the same")
	}
	if _, byDefault, top := run("default", v, "", "30"); byDefault == exploiting || top > users/10 {
		t.Errorf("with the default weight the new item is on top for %d of %d users", top, users)
	}
	if onTop["undated"] > 0 {
		t.Error("an item older than the cut-off is explored")
	}
	if run("undated", v, "1", "40000"); onTop["undated"] < users/10 {
		t.Errorf("an item without CREATION_TIMESTAMP is on top for %d of %d users", onTop["undated"], users)
	}
	if _, old, _ := run("old", v, "1", "1"); old != exploiting {
		t.Error("an item older than the cut-off is explored")
	}
	if _, of, _ := run("related", related, "1", "30"); of == "" {
		t.Error("no answer")
	} else if _, again, _ := run("related-again", related, "1", "30"); again != of {
		t.Error("a recipe that does not explore explores")
	}
	s.Explore = false
	if _, off, _ := run("off", v, "1", "30"); off != exploiting {
		t.Error("a retrainer without exploration explores")
	}
}
