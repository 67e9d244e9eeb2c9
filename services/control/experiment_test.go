package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/experiment"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/services/control/crud"
	"github.com/penchant-io/penchant/services/control/experiments"
)

// arms are pairs of a campaign and its share, named after the letters.
func arms(campaigns []string, shares ...float64) []map[string]any {
	var list []map[string]any
	for n, share := range shares {
		list = append(list, map[string]any{"name": string(rune('a' + n)), "campaignArn": campaigns[n], "share": share})
	}
	return list
}

func (i *installation) describeExperiment(arn string) experiments.Description {
	i.t.Helper()
	var out experiments.DescribeResponse
	must(0, i.client.Call(i.t.Context(), "DescribeExperiment", map[string]any{"experimentArn": arn}, &out))(i.t)
	return out.Experiment
}

func (i *installation) storedExperiment(arn string) *catalog.Experiment {
	i.t.Helper()
	return must(i.store.Experiments.Get(i.t.Context(), arn))(i.t)
}

// From its creation to its end, and what it holds meanwhile.
func TestAnExperiment(t *testing.T) {
	i := install(t, crud.Quotas{ExperimentsPerGroup: 1})
	group := i.group("movies")
	solution := i.solution(group, "home", "aws-user-personalization")
	version := i.version(solution)
	var campaigns []string
	for _, name := range []string{"old", "new", "third", "quiet"} {
		campaigns = append(campaigns, i.campaign(name, version))
	}
	var created experiments.CreateResponse
	must(0, i.client.Call(t.Context(), "CreateExperiment", map[string]any{
		"name": "layout", "arms": arms(campaigns, 0.9, 0.1), "metric": map[string]any{"eventType": "click"},
		"guardMetric": map[string]any{"eventType": "purchase", "per": "USER"}, "shadowCampaignArns": campaigns[3:],
		"tags": []map[string]string{{"tagKey": "team", "tagValue": "home"}},
	}, &created))(t)
	arn := *created.ExperimentArn
	if arn != prefix+"experiment/layout" {
		t.Errorf("got %s", arn)
	}
	reaches(t, "ACTIVE", func() (string, error) { return i.describeExperiment(arn).Status, nil })
	d := i.describeExperiment(arn)
	if d.State != "RUNNING" || len(d.Arms) != 2 || *d.Arms[1].Name != "b" || *d.Arms[1].Share != 0.1 || *d.Arms[0].CampaignArn != campaigns[0] ||
		*d.Metric.EventType != "click" || *d.Metric.Per != "IMPRESSION" || d.Metric.Worse != nil ||
		*d.GuardMetric.EventType != "purchase" || *d.GuardMetric.Per != "USER" || *d.GuardMetric.Worse != "LOWER" ||
		d.AttributionWindowSeconds != 3600 || d.ExpectedEffect != 0.1 || d.Confidence != 0.95 || d.DatasetGroupArn != group || len(d.Results.Arms) != 2 {
		t.Errorf("described as %+v", d)
	}
	if tags := must(i.ListTagsForResource(&personalize.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags; len(tags) != 1 {
		t.Errorf("tags %v", tags)
	}

	// A workflow sees it as it sees the operations of Personalize.
	s := i.states()
	execution := s.ended(s.start(s.create("look", `{"StartAt":"Look","States":{"Look":{"Type":"Task",
		"Resource":"arn:aws:states:::aws-sdk:personalize:describeExperiment","Parameters":{"ExperimentArn.$":"$.arn"},"OutputPath":"$.Experiment","End":true}}}`), fmt.Sprintf(`{"arn":%q}`, arn)))
	var seen struct {
		State       string
		GuardMetric struct{ Worse string }
		Results     struct {
			Arms []struct{ Metric struct{ Rate *float64 } }
		}
	}
	if err := json.Unmarshal([]byte(aws.StringValue(execution.Output)), &seen); err != nil || seen.State != "RUNNING" || seen.GuardMetric.Worse != "LOWER" ||
		len(seen.Results.Arms) != 2 || seen.Results.Arms[0].Metric.Rate == nil {
		t.Errorf("a workflow sees %v", execution)
	}

	// What it holds cannot go.
	for _, campaign := range []string{campaigns[0], campaigns[3]} {
		_, err := i.DeleteCampaign(&personalize.DeleteCampaignInput{CampaignArn: &campaign})
		refused(t, err, inUse, arn)
	}
	i.refuses([]refusal{
		{"CreateExperiment", fmt.Sprintf(`{"name":"layout","arms":[{"name":"a","campaignArn":%q,"share":0.5},{"name":"b","campaignArn":%[1]q,"share":0.5}],"metric":{"eventType":"click"}}`, campaigns[0]), exists, arn},
		{"CreateExperiment", fmt.Sprintf(`{"name":"more","arms":[{"name":"a","campaignArn":%q,"share":0.5},{"name":"b","campaignArn":%[1]q,"share":0.5}],"metric":{"eventType":"click"}}`, campaigns[0]), limit, "1 resources"},
	})

	// Another share, and a further arm, move as few users as can be.
	before := i.storedExperiment(arn)
	i.call("UpdateExperiment", map[string]any{"experimentArn": arn, "arms": arms(campaigns, 0.7, 0.1, 0.2), "shadowCampaignArns": []string{}})
	after := i.storedExperiment(arn)
	moved := map[string]int{}
	for u := range 20_000 {
		user := fmt.Sprint("u", u)
		if was, is := before.Answers(user).Name, after.Answers(user).Name; was != is {
			moved[was+is]++
		}
	}
	if len(moved) != 1 || moved["ac"] < 3700 || moved["ac"] > 4300 || after.Phase() != 1 {
		t.Errorf("moved %v in phase %d", moved, after.Phase())
	}
	// A shadow that it has no longer may go.
	must(i.DeleteCampaign(&personalize.DeleteCampaignInput{CampaignArn: &campaigns[3]}))(t)
	_, err := i.DeleteCampaign(&personalize.DeleteCampaignInput{CampaignArn: &campaigns[2]})
	refused(t, err, inUse, arn)

	// What retrainers have counted is described.
	tally := experiment.NewTally(after.Plan())
	for u := range 10 {
		user := fmt.Sprint("u", u)
		tally.Show(experiment.Answer{RecommendationID: user, UserID: user, Arm: after.Answers(user).Name, At: time.Now()})
		event := &reco.Interaction{EventType: "click", RecommendationID: user, ItemID: "x"}
		event.Origin.Arrival = time.Now()
		tally.Happen(event)
	}
	must(i.bucket.Put(t.Context(), after.Tally(i.bucket).Key, must(tally.Encode())(t), blob.PutOptions{}))(t)
	users, rewards := int64(0), int64(0)
	for _, arm := range i.describeExperiment(arn).Results.Arms {
		users, rewards = users+arm.Users, rewards+arm.Metric.Rewards
	}
	if users != 10 || rewards != 10 {
		t.Errorf("described are %d users and %d rewards", users, rewards)
	}

	i.call("UpdateExperiment", map[string]any{"experimentArn": arn, "stopAndServe": "b"})
	d = i.describeExperiment(arn)
	if d.State != "STOPPED" || d.ServingArm != "b" || d.StopDateTime == nil || !strings.Contains(d.StopReason, "b") {
		t.Errorf("stopped as %+v", d)
	}
	for u := range 100 {
		if got := i.storedExperiment(arn).Answers(fmt.Sprint("u", u)).CampaignARN; got != campaigns[1] {
			t.Fatalf("after the end %s answers", got)
		}
	}
	i.refuses([]refusal{{"UpdateExperiment", fmt.Sprintf(`{"experimentArn":%q,"stopAndServe":"a"}`, arn), inUse, "stopped"}})
	var listed experiments.ListResponse
	must(0, i.client.Call(t.Context(), "ListExperiments", map[string]any{"datasetGroupArn": group, "maxResults": 5}, &listed))(t)
	if len(listed.Experiments) != 1 || listed.Experiments[0].State != "STOPPED" || listed.NextToken != nil {
		t.Errorf("listed %+v", listed)
	}

	i.call("DeleteExperiment", map[string]any{"experimentArn": arn})
	eventually.Succeeds(t, "nothing of the experiment is left, and its campaign can be deleted", func() error {
		for info, err := range i.bucket.List(t.Context(), "experiments/") {
			return fmt.Errorf("left: %s, %w", info.Key, err)
		}
		_, err := i.DeleteCampaign(&personalize.DeleteCampaignInput{CampaignArn: &campaigns[0]})
		return err
	})
	eventually.Succeeds(t, "the experiment is gone", func() error {
		var refusal *awsapi.Error
		err := i.client.Call(t.Context(), "DescribeExperiment", map[string]any{"experimentArn": arn}, nil)
		if errors.As(err, &refusal) && refusal.Code == missing {
			return nil
		}
		return fmt.Errorf("still there: %w", err)
	})
}

func TestRefusedExperiments(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	version := i.version(i.solution(group, "home", "aws-user-personalization"))
	a, b := i.campaign("a", version), i.campaign("b", version)
	foreign := i.campaign("foreign", i.version(i.solution(i.group("books"), "books", "aws-user-personalization")))
	related := i.campaign("related", i.version(i.solution(group, "sims", "aws-sims")))
	create := func(rest string) string {
		return strings.NewReplacer("$A", a, "$B", b, "$FOREIGN", foreign, "$RELATED", related, "$NONE", prefix+"campaign/none").Replace(`{"name":"x",` + rest + `}`)
	}
	const good = `"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"b","campaignArn":"$B","share":0.5}]`
	const metric = `,"metric":{"eventType":"click"}`
	i.refuses([]refusal{
		{"CreateExperiment", `{}`, invalid, "'name'"},
		{"CreateExperiment", create(`"metric":{"eventType":"click"}`), invalid, "'arms'"},
		{"CreateExperiment", create(good), invalid, "'metric'"},
		{"CreateExperiment", create(good + `,"metric":{}`), invalid, "'metric.eventType'"},
		{"CreateExperiment", create(good + `,"metric":{"eventType":"click","per":"WEEK"}`), invalid, "'metric.per'"},
		{"CreateExperiment", create(good + metric + `,"guardMetric":{"eventType":"buy","worse":"SIDEWAYS"}`), invalid, "'guardMetric.worse'"},
		{"CreateExperiment", create(good + metric + `,"attributionWindowSeconds":1`), invalid, "'attributionWindowSeconds'"},
		{"CreateExperiment", create(good + metric + `,"expectedEffect":0`), invalid, "'expectedEffect'"},
		{"CreateExperiment", create(good + metric + `,"confidence":1`), invalid, "'confidence'"},
		{"CreateExperiment", create(`"arms":[{"name":"a","campaignArn":"$A","share":1}]` + metric), invalid, "'arms'"},
		{"CreateExperiment", create(`"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"b","campaignArn":"$B"}]` + metric), invalid, "'arms.2.member.share'"},
		{"CreateExperiment", create(`"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"b","campaignArn":"$B","share":2}]` + metric), invalid, "'arms.2.member.share'"},
		{"CreateExperiment", create(`"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"b","campaignArn":"$B","share":0.4}]` + metric), invalid, "add up to"},
		{"CreateExperiment", create(`"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"a","campaignArn":"$B","share":0.5}]` + metric), invalid, "named twice"},
		{"CreateExperiment", create(`"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"b","campaignArn":"$NONE","share":0.5}]` + metric), missing, "none"},
		{"CreateExperiment", create(`"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"b","campaignArn":"$FOREIGN","share":0.5}]` + metric), invalid, "dataset groups"},
		{"CreateExperiment", create(`"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"b","campaignArn":"$RELATED","share":0.5}]` + metric), invalid, "cannot answer the same requests"},
		{"CreateExperiment", create(good + metric + `,"shadowCampaignArns":["$RELATED"]`), invalid, "cannot answer the same requests"},
		{"DescribeExperiment", `{}`, invalid, "'experimentArn'"},
		{"DescribeExperiment", fmt.Sprintf(`{"experimentArn":%q}`, a), invalid, "not the ARN of a experiment"},
		{"ListExperiments", `{"maxResults":0}`, invalid, "'maxResults'"},
		{"ListExperiments", `{"nextToken":"x"}`, badToken, "nextToken"},
	})
	var created experiments.CreateResponse
	must(0, i.client.Call(t.Context(), "CreateExperiment", map[string]any{"name": "x", "arms": arms([]string{a, b}, 0.5, 0.5), "metric": map[string]any{"eventType": "click"}}, &created))(t)
	reaches(t, "ACTIVE", func() (string, error) { return i.describeExperiment(*created.ExperimentArn).Status, nil })
	update := func(rest string) string { return create(`"experimentArn":"` + *created.ExperimentArn + `",` + rest) }
	i.refuses([]refusal{
		{"UpdateExperiment", update(`"arms":[{"name":"a","campaignArn":"$A","share":0.5},{"name":"c","campaignArn":"$B","share":0.5}]`), invalid, "Arm b is missing"},
		{"UpdateExperiment", update(`"arms":[{"name":"a","campaignArn":"$B","share":0.5},{"name":"b","campaignArn":"$B","share":0.5}]`), invalid, "cannot be changed"},
		{"UpdateExperiment", update(`"stopAndServe":"z"`), invalid, "no arm z"},
		{"UpdateExperiment", update(`"stopAndServe":"a",` + good), invalid, "no other change"},
		{"UpdateExperiment", update(`"shadowCampaignArns":["$RELATED"]`), invalid, "cannot answer the same requests"},
	})
	if e := i.storedExperiment(*created.ExperimentArn); e.Stopped() || e.Phase() != 0 || len(e.Parents) != 3 {
		t.Errorf("refused updates changed it: %+v", e)
	}
}
