package recommender

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	sdk "github.com/aws/aws-sdk-go/service/personalizeruntime"
	"google.golang.org/protobuf/proto"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/pkg/wire"
	penchantv1 "github.com/penchant-io/penchant/proto/penchant/v1"
)

const offersSchema = `{"type":"record","name":"Actions","namespace":"n","version":"1.0","fields":[
	{"name":"ACTION_ID","type":"string"},{"name":"LEVEL","type":["null","string"],"categorical":true},
	{"name":"ACTION_EXPIRATION_TIMESTAMP","type":["null","long"]},{"name":"REPEAT_FREQUENCY","type":["null","long"]}]}`

// propensities is a model of actions that says what it was asked.
type propensities struct {
	catalogue *model.Items
	scores    []float32
	asked     model.Query
}

func (p *propensities) Items() *model.Items          { return p.catalogue }
func (p *propensities) Parts() ([]model.Part, error) { return nil, nil }
func (p *propensities) Score(q model.Query, scores []float32) error {
	p.asked = q
	copy(scores, p.scores)
	return nil
}

// openOffers is a shop with an Actions dataset, in which actions were put.
func openOffers(t *testing.T, put ...reco.Entity) *shop {
	t.Helper()
	s := open(t)
	s.must(s.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: schema.Actions.Topic(groupKey), Compacted: true}))
	var records []bus.Record
	for k := range put {
		value, err := wire.MarshalEntity(&put[k])
		s.must(err)
		records = append(records, bus.Record{Topic: schema.Actions.Topic(groupKey), Key: []byte(put[k].ID), Value: value})
	}
	s.must(s.bus.Publish(t.Context(), records...))
	const events = `{"type":"record","name":"Action_Interactions","namespace":"n","version":"1.0","fields":[{"name":"USER_ID","type":"string"},
		{"name":"ACTION_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},{"name":"EVENT_TYPE","type":"string"}]}`
	items := strings.NewReplacer("Action_Interactions", "Interactions", "ACTION_ID", "ITEM_ID").Replace(events)
	for kind, document := range map[string]string{"ACTIONS": offersSchema, "ACTION_INTERACTIONS": events, "INTERACTIONS": items} {
		s.must(s.store.Create(t.Context(), &catalog.Schema{Metadata: active("schema/"+kind, kind), Document: document}))
		s.must(s.store.Create(t.Context(), &catalog.Dataset{
			Metadata: active("dataset/shop/"+kind, kind), DatasetGroupARN: account + "dataset-group/shop", DatasetType: kind, SchemaARN: account + "schema/" + kind,
		}))
	}
	for name, expression := range map[string]string{
		"gold":      `INCLUDE ActionID WHERE Actions.LEVEL IN ($LEVEL)`,
		"not-taken": `EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("TAKEN")`,
	} {
		s.must(s.store.Create(t.Context(), &catalog.Filter{Metadata: active("filter/"+name, name), DatasetGroupARN: account + "dataset-group/shop", Expression: expression}))
	}
	return s
}

// post signs and sends a body as it stands.
func (s *shop) post(path, body string) (*http.Response, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.endpoint+path, strings.NewReader(body))
	s.must(err)
	awsapi.Sign(req, []byte(body), credential, "us-east-1")
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	s.must(err)
	http.DefaultClient.CloseIdleConnections()
	return resp, string(answer)
}

func TestActionsAreRecommended(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := openOffers(t,
		reco.Entity{ID: "join", Properties: map[string]any{"LEVEL": "gold", "REPEAT_FREQUENCY": int64(7)}},
		reco.Entity{ID: "old", Properties: map[string]any{"LEVEL": "gold", "ACTION_EXPIRATION_TIMESTAMP": now.Unix() - 1}},
		reco.Entity{ID: "call", Properties: map[string]any{"LEVEL": "silver"}},
		reco.Entity{ID: "mail", Properties: map[string]any{"LEVEL": "gold|silver"}})
	states, err := s.users.Load(t.Context(), groupKey, []string{"ann"})
	s.must(err)
	states[0].Apply(schema.Interactions, &reco.Interaction{EventID: "1", UserID: "ann", ItemID: "item", TimestampMS: 1})
	for k, action := range []string{"join", "call"} {
		states[0].Apply(schema.ActionInteractions, &reco.Interaction{
			EventID: action, UserID: "ann", ItemID: action, EventType: []string{"VIEWED", "TAKEN"}[k], TimestampMS: now.UnixMilli() - int64(1000-k),
		})
	}
	_, err = s.users.Save(t.Context(), groupKey, states)
	s.must(err)

	m := &propensities{catalogue: model.NewItems([]string{"join", "old", "call", "mail", "more"}), scores: []float32{0.2, 0.9, 0.4, 0.75, 0}}
	serving := &modelstore.Serving{
		Campaign: &catalog.Campaign{Metadata: active("campaign/offers", "offers"), DatasetGroupARN: account + "dataset-group/shop"},
		Version:  &catalog.SolutionVersion{Metadata: active("solution/offers/00000001", "")},
		Group:    groupKey,
		Loaded:   &modelstore.Loaded{ModelID: "m", Model: m, Recipe: &recipe.Recipe{Name: "offers", Type: recipe.PersonalizedActions, Scores: recipe.Propensities, Realtime: true}},
	}
	for _, c := range []struct {
		user, filter string
		values       map[string]string
		n            int64
		want         string
	}{
		{user: "bob", want: "mail:0.75 call:0.4 join:0.2 more:0"},
		{user: "ann", want: "mail:0.75 call:0.4 more:0"},
		{user: "ann", n: 1, want: "mail:0.75"},
		{user: "ann", filter: "not-taken", want: "mail:0.75 more:0"},
		{user: "bob", filter: "gold", values: map[string]string{"LEVEL": `"gold"`}, want: "mail:0.75 join:0.2"},
		{user: "ann", filter: "gold", values: map[string]string{"LEVEL": `"gold"`}, want: "mail:0.75"},
		{user: "bob", filter: "gold", values: map[string]string{"LEVEL": `"bronze"`}},
	} {
		req := &personalizeruntime.GetActionRecommendationsRequest{CampaignArn: &serving.Campaign.ARN, UserId: &c.user, FilterValues: c.values}
		if c.n > 0 {
			req.NumResults = &c.n
		}
		if c.filter != "" {
			req.FilterArn = new(account + "filter/" + c.filter)
		}
		parsed, err := parseActions(req)
		s.must(err)
		answer, err := s.service.recommendActions(t.Context(), serving, parsed)
		s.must(err)
		var got, ids []string
		for _, a := range answer.items {
			got, ids = append(got, fmt.Sprintf("%s:%.4g", *a.ItemId, *a.Score)), append(ids, *a.ItemId)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s with filter %q gets %q, want %q", c.user, c.filter, got, c.want)
		}
		var shown penchantv1.RecommendationShown
		s.must(proto.Unmarshal(answer.record().Value, &shown))
		if !slices.Equal(shown.ActionIds, ids) || len(shown.ItemIds) != 0 || shown.UserId != c.user {
			t.Errorf("told is %v", &shown)
		}
		if c.user == "ann" && (len(m.asked.ActionHistory) != 2 || len(m.asked.History) != 1) {
			t.Errorf("the model was asked %+v", m.asked)
		}
	}
}

func TestActionRecommendationsAreRefused(t *testing.T) {
	t.Parallel()
	s := openOffers(t)
	popular, _ := recipe.ByName("aws-popularity-count")
	s.campaign(popular, trainOn(t, popular, taste))
	s.must(s.store.Create(t.Context(), &catalog.Filter{
		Metadata: active("filter/items", "items"), DatasetGroupARN: account + "dataset-group/shop", Expression: `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`,
	}))
	const campaign = account + "campaign/aws-popularity-count"
	var values []string
	for n := range 26 {
		values = append(values, fmt.Sprintf(`"V%d":"1"`, n))
	}
	for name, c := range map[string]struct {
		body, code string
		status     int
		message    string
	}{
		"no campaign":            {`{"userId":"ann"}`, "InvalidInputException", 400, "campaignArn is required"},
		"no user":                {`{"campaignArn":"` + campaign + `"}`, "InvalidInputException", 400, "userId is required"},
		"empty user":             {`{"campaignArn":"` + campaign + `","userId":""}`, "InvalidInputException", 400, "userId is required"},
		"long user":              {`{"campaignArn":"` + campaign + `","userId":"` + strings.Repeat("x", 257) + `"}`, "InvalidInputException", 400, "userId"},
		"101 results":            {`{"campaignArn":"` + campaign + `","userId":"ann","numResults":101}`, "InvalidInputException", 400, "at most 100"},
		"less than no results":   {`{"campaignArn":"` + campaign + `","userId":"ann","numResults":-1}`, "InvalidInputException", 400, "numResults"},
		"another resource":       {`{"campaignArn":"` + account + `solution/x","userId":"ann"}`, "InvalidInputException", 400, "is not the ARN of a campaign"},
		"absent campaign":        {`{"campaignArn":"` + account + `campaign/absent","userId":"ann"}`, "ResourceNotFoundException", 404, "absent"},
		"campaign of items":      {`{"campaignArn":"` + campaign + `","userId":"ann"}`, "InvalidInputException", 400, "does not recommend actions"},
		"filter that is none":    {`{"campaignArn":"` + campaign + `","userId":"ann","filterArn":"` + account + `solution/x"}`, "InvalidInputException", 400, "is not the ARN of a filter"},
		"too many filter values": {`{"campaignArn":"` + campaign + `","userId":"ann","filterValues":{` + strings.Join(values, ",") + `}}`, "InvalidInputException", 400, "filterValues"},
		"not JSON":               {`{`, "SerializationException", 400, ""},
	} {
		resp, answer := s.post("/action-recommendations", c.body)
		if resp.StatusCode != c.status || resp.Header.Get("x-amzn-ErrorType") != c.code || !strings.Contains(answer, c.message) {
			t.Errorf("%s: status %d, %s: %s", name, resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), answer)
		}
	}
	// A filter must be there, of the group, and about actions.
	serving := &modelstore.Serving{
		Campaign: &catalog.Campaign{Metadata: active("campaign/offers", "offers"), DatasetGroupARN: account + "dataset-group/shop"},
		Version:  &catalog.SolutionVersion{}, Group: groupKey,
		Loaded: &modelstore.Loaded{Model: &propensities{catalogue: model.NewItems(nil)}, Recipe: &recipe.Recipe{Type: recipe.PersonalizedActions}},
	}
	for name, want := range map[string]string{"absent": "Resource not found", "items": "it must select by ActionID", "gold": "the values for filter"} {
		parsed, err := parseActions(&personalizeruntime.GetActionRecommendationsRequest{CampaignArn: &serving.Campaign.ARN, UserId: new("ann"), FilterArn: new(account + "filter/" + name)})
		s.must(err)
		if _, err := s.service.recommendActions(t.Context(), serving, parsed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("filter %s: %v, want %q", name, err, want)
		}
	}
}

// The recipe, over the AWS SDK: seven actions, of which everybody takes the first most often.
func TestNextBestActionThroughTheSDK(t *testing.T) {
	t.Parallel()
	s := openOffers(t)
	nextBest, ok := recipe.ByName("aws-next-best-action")
	if !ok {
		t.Fatal("there is no such recipe")
	}
	s.campaign(nextBest, trainOn(t, nextBest, func(b *trainingset.Builder) {
		taste(b)
		for user := range 120 {
			for action := range 7 {
				kind := schema.ActionTaken
				if user < 10*action {
					kind = schema.ActionNotTaken
				}
				i := interaction(fmt.Sprintf("u%d", user), fmt.Sprintf("offer%d", action), action)
				i.EventType = kind
				b.AddActionInteraction(i)
			}
		}
	}))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	sess, err := session.NewSession(&aws.Config{
		Endpoint: &s.endpoint, Region: aws.String("eu-west-1"), HTTPClient: &http.Client{Transport: transport}, MaxRetries: aws.Int(0),
		Credentials: credentials.NewStaticCredentials(credential.AccessKeyID, credential.SecretKey, ""),
	})
	s.must(err)
	client := sdk.New(sess)
	campaign := aws.String(campaignARN(nextBest.Name))
	eventually.True(s, "the model is loaded", func() bool { return s.models.Ready() == nil && len(s.models.All()) == 1 })
	for n, want := range map[int64]int{0: 5, 2: 2, 100: 7} {
		got, err := client.GetActionRecommendations(&sdk.GetActionRecommendationsInput{CampaignArn: campaign, UserId: aws.String("stranger"), NumResults: &n})
		s.must(err)
		if len(got.ActionList) != want || !strings.HasPrefix(aws.StringValue(got.RecommendationId), "RID-") {
			t.Fatalf("%d results: %v", n, got)
		}
		if first := aws.StringValue(got.ActionList[0].ActionId); first != "offer0" {
			t.Errorf("first comes %s", first)
		}
		for k, a := range got.ActionList {
			if *a.Score < 0 || *a.Score > 1 || k > 0 && *a.Score > *got.ActionList[k-1].Score {
				t.Errorf("scores %v", got.ActionList)
			}
		}
	}
	_, err = client.GetRecommendations(&sdk.GetRecommendationsInput{CampaignArn: campaign, UserId: aws.String("stranger")})
	if failure := (awserr.RequestFailure)(nil); !errors.As(err, &failure) || failure.Code() != "InvalidInputException" || failure.StatusCode() != 400 {
		t.Errorf("items of a campaign that recommends actions: %v", err)
	}
}
