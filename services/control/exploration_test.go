package control

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/penchant-io/penchant/services/control/crud"
)

// explorationOf is a configuration's member with these settings.
func explorationOf(settings string) string { return `{"itemExplorationConfig":{` + settings + `}}` }

func TestSettingsOfDiversityAreKept(t *testing.T) {
	i := install(t, crud.Quotas{})
	group, _, version, _ := jobWorld(i)
	i.typed(group, "Items", itemsSchema)
	for _, settings := range []string{
		`"diversityWeight":"0.25"`, `"diversityWeight":"0","diversityColumn":"GENRES"`, `"diversityWeight":"1","diversityColumn":"YEAR","explorationWeight":"0"`,
	} {
		var config map[string]any
		must(0, json.Unmarshal([]byte(explorationOf(settings)), &config))(t)
		campaign := members{"name": "home", "campaignConfig": config, "solutionVersionArn": version}
		var created struct{ CampaignArn string }
		must(0, i.client.Call(t.Context(), "CreateCampaign", campaign, &created))(t)
		if got := i.echo("DescribeCampaign", "campaignArn", created.CampaignArn, "campaign", campaign); !reflect.DeepEqual(got, map[string]any(campaign)) {
			t.Errorf("got %v\nwant %v", got, campaign)
		}
		reaches(t, "ACTIVE", func() (string, error) { return *i.describeCampaign(created.CampaignArn).Status, nil })
		must(0, i.client.Call(t.Context(), "UpdateCampaign", members{"campaignArn": created.CampaignArn, "campaignConfig": config}, nil))(t)
		reaches(t, "ACTIVE", func() (string, error) {
			return *i.describeCampaign(created.CampaignArn).LatestCampaignUpdate.Status, nil
		})
		must(0, i.client.Call(t.Context(), "DeleteCampaign", members{"campaignArn": created.CampaignArn}, nil))(t)
		reaches(t, "gone", func() (string, error) {
			if i.client.Call(t.Context(), "DescribeCampaign", members{"campaignArn": created.CampaignArn}, nil) != nil {
				return "gone", nil
			}
			return "there", nil
		})
	}
}

func TestSettingsOfDiversityAreRefused(t *testing.T) {
	i := install(t, crud.Quotas{})
	group, _, personal, _ := jobWorld(i)
	i.typed(group, "Items", withColumns(itemsSchema, `{"name":"STORY","type":["null","string"],"textual":true}`))
	sims := i.versionOf(group, "related", "aws-sims")
	bare := i.group("bare") // without an Items dataset
	network := i.versionOf(group, "network", "aws-hrnn")
	home := i.campaign("home", personal)
	recommender := i.activeRecommender(i.shop("shop"), "home")

	campaign := func(version, settings string) string {
		return `{"name":"new","solutionVersionArn":"` + version + `","campaignConfig":` + explorationOf(settings) + `}`
	}
	update := func(settings string) string {
		return `{"campaignArn":"` + home + `","campaignConfig":` + explorationOf(settings) + `}`
	}
	batch := func(version, settings string) string {
		return `{"jobName":"new","solutionVersionArn":"` + version + `","roleArn":"` + jobRole + `","jobInput":{"s3DataSource":{"path":"s3://data/in.json"}},` +
			`"jobOutput":{"s3DataDestination":{"path":"s3://data/out/"}},"batchInferenceJobConfig":` + explorationOf(settings) + `}`
	}
	newRecommender := func(recipe, settings string) string {
		return `{"name":"new","datasetGroupArn":"` + prefix + `dataset-group/shop","recipeArn":"arn:aws:personalize:::recipe/` + recipe + `","recommenderConfig":` + explorationOf(settings) + `}`
	}
	i.refuses([]refusal{
		{"CreateCampaign", campaign(personal, `"diversityWeight":"1.5"`), invalid, `diversityWeight "1.5" is not a number from 0 to 1`},
		{"CreateCampaign", campaign(personal, `"diversityWeight":"-0.1"`), invalid, `"-0.1"`},
		{"CreateCampaign", campaign(personal, `"diversityWeight":"NaN"`), invalid, `"NaN"`},
		{"CreateCampaign", campaign(personal, `"diversityWeight":"much"`), invalid, `"much"`},
		{"CreateCampaign", campaign(personal, `"diversityWeight":""`), invalid, "diversityWeight"},
		{"CreateCampaign", campaign(personal, `"diversityWeights":"0.1"`), invalid, `no "diversityWeights": it has explorationWeight, explorationItemAgeCutOff, diversityWeight and diversityColumn`},
		{"CreateCampaign", campaign(personal, `"diversityColumn":""`), invalid, "diversityColumn is empty"},
		{"CreateCampaign", campaign(personal, `"diversityColumn":"GENRE"`), invalid, "diversityColumn: the Items dataset has no column GENRE"},
		{"CreateCampaign", campaign(personal, `"diversityColumn":"genres"`), invalid, "no column genres"},
		{"CreateCampaign", campaign(personal, `"diversityColumn":"STORY"`), invalid, "column STORY of the Items dataset holds no categories"},
		{"CreateCampaign", campaign(personal, `"diversityColumn":"ITEM_ID"`), invalid, "column ITEM_ID of the Items dataset holds no categories"},
		{"CreateCampaign", campaign(sims, `"diversityWeight":"0.5"`), invalid, "diversityWeight is for recipes that explore items, which arn:aws:personalize:::recipe/aws-sims does not"},
		{"CreateCampaign", campaign(sims, `"diversityColumn":"GENRES"`), invalid, "diversityColumn is for recipes"},
		{"UpdateCampaign", update(`"diversityWeight":"2"`), invalid, "diversityWeight"},
		{"UpdateCampaign", update(`"diversityColumn":"GENRE"`), invalid, "GENRE"},
		{"CreateRecommender", newRecommender("aws-ecomm-recommended-for-you", `"diversityWeight":"2"`), invalid, "diversityWeight"},
		{"CreateRecommender", newRecommender("aws-ecomm-popular-items-by-views", `"diversityWeight":"0.2"`), invalid, "aws-ecomm-popular-items-by-views does not"},
		{"UpdateRecommender", `{"recommenderArn":"` + recommender + `","recommenderConfig":` + explorationOf(`"diversityWeight":"2"`) + `}`, invalid, "diversityWeight"},
		{"CreateBatchInferenceJob", batch(personal, `"diversityWeight":"2"`), invalid, "diversityWeight"},
		{"CreateBatchInferenceJob", batch(personal, `"diversityColumn":"GENRE"`), invalid, "GENRE"},
		{"CreateBatchInferenceJob", batch(network, `"diversityWeight":"0.5"`), invalid, "aws-hrnn does not"},
		{"CreateBatchInferenceJob", batch(sims, `"diversityWeight":"0.5"`), invalid, "USER_PERSONALIZATION"},
	})

	// Nobody knows the columns of a dataset that does not exist yet.
	must(0, i.client.Call(t.Context(), "CreateCampaign", json.RawMessage(
		campaign(i.versionOf(bare, "later", "aws-user-personalization"), `"diversityWeight":"0.5","diversityColumn":"LATER"`)), nil))(t)
	must(0, i.client.Call(t.Context(), "CreateBatchInferenceJob", json.RawMessage(batch(personal, `"diversityWeight":"0.5","diversityColumn":"YEAR"`)), nil))(t)
}
