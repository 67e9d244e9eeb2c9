package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// boutique is an installation whose items i0 to i19 are red and blue by turns: users of even number like red ones.
type boutique struct {
	*testing.T
	api    *awsapi.Client
	store  *catalog.Store
	bucket *blob.Bucket
	group  string
}

// create calls an operation until its parents are ACTIVE, and returns the ARN in its answer.
func (b *boutique) create(operation string, in map[string]any) string {
	b.Helper()
	arn := ""
	eventually.Succeeds(b.T, operation, func() error {
		var answer map[string]string
		err := b.api.Call(b.Context(), operation, in, &answer)
		for member, value := range answer {
			if strings.HasSuffix(member, "Arn") {
				arn = value
			}
		}
		return err
	})
	return arn
}

func (b *boutique) dataset(kind, fields string) string {
	b.Helper()
	document := `{"type":"record","name":"` + kind + `","namespace":"com.amazonaws.personalize.schema",` +
		`"version":"1.0","fields":[` + fields + `]}`
	schema := b.create("CreateSchema", map[string]any{"name": kind, "schema": document})
	arn := b.create("CreateDataset", map[string]any{
		"name": kind, "datasetGroupArn": b.group, "datasetType": kind, "schemaArn": schema,
	})
	penchanttest.WaitActive[*catalog.Dataset](b.T, b.store, arn)
	return arn
}

// put calls an operation of the events API until it is taken.
func (b *boutique) put(path string, in map[string]any) {
	b.Helper()
	eventually.Succeeds(b.T, path, func() error { return b.api.Post(b.Context(), path, in, nil) })
}

func (b *boutique) items(dataset, prefix string, count int, colours ...string) {
	b.Helper()
	var items []map[string]any
	for n := range count {
		properties := fmt.Sprintf(`{"colour":%q,"price":%d,"creationTimestamp":%d}`,
			colours[n%len(colours)], n, 1_600_000_000+n)
		items = append(items, map[string]any{"itemId": fmt.Sprint(prefix, n), "properties": properties})
	}
	for from := 0; from < len(items); from += 10 {
		b.put("/items", map[string]any{"datasetArn": dataset, "items": items[from:min(from+10, len(items))]})
	}
}

// listed is one item of a list. The recommender gives no score to an item that the model does not know, batch a 0.
type listed struct {
	ID    string
	Score float32
}

// live asks the recommender.
func (b *boutique) live(campaign, filter string, line map[string]any) ([]listed, error) {
	req := map[string]any{"campaignArn": campaign}
	maps.Copy(req, line)
	if filter != "" {
		req["filterArn"] = filter
	}
	path := "/recommendations"
	if list, ranks := line["itemList"]; ranks {
		path = "/personalize-ranking"
		req["inputList"] = list
		delete(req, "itemList")
	} else {
		req["numResults"] = 15
	}
	var answer struct {
		ItemList, PersonalizedRanking []personalizeruntime.PredictedItem
	}
	if err := b.api.Post(b.Context(), path, req, &answer); err != nil {
		return nil, err
	}
	list := []listed{}
	for _, item := range append(answer.ItemList, answer.PersonalizedRanking...) {
		entry := listed{ID: *item.ItemId}
		if item.Score != nil {
			entry.Score = float32(*item.Score)
		}
		list = append(list, entry)
	}
	return list, nil
}

// batch runs a job over the lines.
func (b *boutique) batch(name, version, filter string, config map[string]any, lines []map[string]any) [][]listed {
	b.Helper()
	var input strings.Builder
	for _, line := range lines {
		text, err := json.Marshal(line)
		if err != nil {
			b.Fatal(err)
		}
		input.Write(append(text, '\n'))
	}
	if _, err := b.bucket.Put(b.Context(), name+".json", []byte(input.String()), blob.PutOptions{}); err != nil {
		b.Fatal(err)
	}
	at := func(path string) map[string]any {
		return map[string]any{"path": "s3://" + b.bucket.Name() + "/" + path}
	}
	req := map[string]any{
		"jobName": name, "solutionVersionArn": version, "roleArn": roleARN, "numResults": 15,
		"jobInput":  map[string]any{"s3DataSource": at(name + ".json")},
		"jobOutput": map[string]any{"s3DataDestination": at("out/" + name)},
	}
	if filter != "" {
		req["filterArn"] = filter
	}
	if config != nil {
		req["batchInferenceJobConfig"] = map[string]any{"itemExplorationConfig": config}
	}
	arn := b.create("CreateBatchInferenceJob", req)
	penchanttest.WaitActive[*catalog.BatchInferenceJob](b.T, b.store, arn)
	output, _, err := b.bucket.Get(b.Context(), "out/"+name+"/"+name+".json.out")
	if err != nil {
		b.Fatal(err)
	}
	var lists [][]listed
	for text := range strings.Lines(string(output)) {
		var answer struct {
			Output struct {
				RecommendedItems []string
				Scores           []float32
			}
			Error *string
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Error != nil {
			b.Fatalf("%s: %s, %v", name, text, err)
		}
		list := make([]listed, len(answer.Output.RecommendedItems))
		for n, id := range answer.Output.RecommendedItems {
			list[n].ID = id
			if answer.Output.Scores != nil {
				list[n].Score = answer.Output.Scores[n]
			}
		}
		lists = append(lists, list)
	}
	return lists
}

// openBoutique starts an installation with events, and trains a version and a campaign for each recipe.
func openBoutique(t *testing.T, recipes ...string) (b *boutique, versions, campaigns, filters map[string]string) {
	t.Helper()
	process := penchanttest.Start(t, "all", t.TempDir(),
		"PENCHANT_MIN_INTERACTIONS=100", "PENCHANT_MIN_USERS=10", "PENCHANT_EXPLORATION=false")
	b = &boutique{
		T: t, api: process.API(), store: catalog.NewStore(process.Bucket("penchant"), nil),
		bucket: process.Bucket("boutique"),
	}
	b.group = b.create("CreateDatasetGroup", map[string]any{"name": "boutique"})
	penchanttest.WaitActive[*catalog.DatasetGroup](t, b.store, b.group)
	b.dataset("Interactions", `{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},
		{"name":"EVENT_TYPE","type":"string"},{"name":"TIMESTAMP","type":"long"}`)
	items := b.dataset("Items", `{"name":"ITEM_ID","type":"string"},{"name":"COLOUR","type":"string","categorical":true},
		{"name":"PRICE","type":["null","int"]},{"name":"CREATION_TIMESTAMP","type":"long"}`)
	users := b.dataset("Users", `{"name":"USER_ID","type":"string"},{"name":"MEMBER","type":"string","categorical":true}`)
	b.items(items, "i", 20, "red", "blue")
	b.put("/users", map[string]any{"datasetArn": users, "users": []map[string]any{
		{"userId": "u0", "properties": `{"member":"yes"}`}, {"userId": "u1", "properties": `{"member":"no"}`},
	}})
	var tracker struct{ TrackingID, EventTrackerArn string }
	web := map[string]any{"name": "web", "datasetGroupArn": b.group}
	if err := b.api.Call(t.Context(), "CreateEventTracker", web, &tracker); err != nil {
		t.Fatal(err)
	}
	penchanttest.WaitActive[*catalog.EventTracker](t, b.store, tracker.EventTrackerArn)
	started := time.Now().Add(-time.Hour)
	for user := range 40 {
		var events []map[string]any
		for n := range 6 {
			events = append(events, map[string]any{
				"eventType": "click", "eventId": fmt.Sprint(user, "-", n),
				"itemId": fmt.Sprint("i", user%2+2*((user/2+n)%10)),
				"sentAt": started.Add(time.Duration(n) * time.Minute).Unix(),
			})
		}
		b.put("/events", map[string]any{
			"trackingId": tracker.TrackingID, "sessionId": fmt.Sprint("s", user), "userId": fmt.Sprint("u", user),
			"eventList": events,
		})
	}
	versions, campaigns = map[string]string{}, map[string]string{}
	for _, recipe := range recipes {
		solution := b.create("CreateSolution", map[string]any{
			"name": recipe, "datasetGroupArn": b.group, "recipeArn": recipeARN + recipe, "performAutoTraining": false,
		})
		versions[recipe] = b.create("CreateSolutionVersion", map[string]any{"solutionArn": solution})
	}
	for _, recipe := range recipes {
		penchanttest.WaitActive[*catalog.SolutionVersion](t, b.store, versions[recipe])
		campaigns[recipe] = b.create("CreateCampaign", map[string]any{
			"name": recipe, "solutionVersionArn": versions[recipe],
		})
	}
	b.items(items, "new", 3, "green", "red") // the models do not know them
	filters = map[string]string{"": ""}
	for name, expression := range map[string]string{
		"colour":  `INCLUDE ItemID WHERE Items.COLOUR IN ($COLOUR)`,
		"not-red": `EXCLUDE ItemID WHERE Items.COLOUR IN ("red")`,
		"unseen":  `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`,
		"members": `EXCLUDE ItemID WHERE Items.PRICE > 4 IF CurrentUser.MEMBER NOT IN ("yes")`,
		"alike":   `INCLUDE ItemID WHERE Items.COLOUR IN CurrentItem.COLOUR`,
	} {
		filters[name] = b.create("CreateFilter", map[string]any{
			"name": name, "datasetGroupArn": b.group, "filterExpression": expression,
		})
	}
	return b, versions, campaigns, filters
}

// The recommender and a batch job list the same items with the same scores for the same users.
func TestBatchListsWhatTheRecommenderLists(t *testing.T) {
	t.Parallel()
	const (
		personal, ranking = "aws-user-personalization", "aws-personalized-ranking"
		related, popular  = "aws-sims", "aws-popularity-count"
	)
	b, versions, campaigns, filters := openBoutique(t, personal, ranking, related, popular)
	diverse := map[string]any{"explorationWeight": "0", "diversityWeight": "0.9"}
	campaigns["diverse"] = b.create("CreateCampaign", map[string]any{
		"name": "diverse", "solutionVersionArn": versions[personal],
		"campaignConfig": map[string]any{"itemExplorationConfig": diverse},
	})
	var users, coloured, ofItems, rankings []map[string]any
	for _, user := range []string{"u0", "u1", "u2", "u7", "nobody"} {
		users = append(users, map[string]any{"userId": user})
		coloured = append(coloured, map[string]any{
			"userId": user, "filterValues": map[string]string{"COLOUR": `"green","blue"`},
		})
		rankings = append(rankings, map[string]any{
			"userId": user, "itemList": []string{"i3", "nowhere", "i4", "new0", "i8", "i3", "new1", "i5"},
		})
	}
	for _, item := range []string{"i0", "i1", "new0", "nowhere"} {
		ofItems = append(ofItems, map[string]any{"itemId": item})
	}
	for name, c := range map[string]struct {
		recipe, campaign, filter string
		config                   map[string]any
		lines                    []map[string]any
	}{
		"personal":         {recipe: personal, lines: users},
		"personal-colour":  {recipe: personal, filter: "colour", lines: coloured},
		"personal-unseen":  {recipe: personal, filter: "unseen", lines: users},
		"personal-members": {recipe: personal, filter: "members", lines: users},
		"diverse":          {recipe: personal, campaign: "diverse", config: diverse, lines: users},
		"diverse-filtered": {recipe: personal, campaign: "diverse", filter: "unseen", config: diverse, lines: users},
		"popular":          {recipe: popular, lines: users},
		"popular-unseen":   {recipe: popular, filter: "unseen", lines: users},
		"popular-members":  {recipe: popular, filter: "members", lines: users},
		"popular-not-red":  {recipe: popular, filter: "not-red", lines: users},
		"related":          {recipe: related, lines: ofItems},
		"related-alike":    {recipe: related, filter: "alike", lines: ofItems},
		"ranking":          {recipe: ranking, lines: rankings},
		"ranking-not-red":  {recipe: ranking, filter: "not-red", lines: rankings},
		"ranking-unseen":   {recipe: ranking, filter: "unseen", lines: rankings},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &boutique{T: t, api: b.api, store: b.store, bucket: b.bucket, group: b.group}
			if c.campaign == "" {
				c.campaign = c.recipe
			}
			// The recommender hears of campaigns and attributes a moment after the catalog has them.
			eventually.Succeeds(t, "the recommender knows what the job knows", func() error {
				list, err := b.live(campaigns[popular], filters["not-red"], users[0])
				if err == nil && len(list) != 12 {
					err = fmt.Errorf("it lists %v", list)
				}
				return err
			})
			batch := b.batch(name, versions[c.recipe], filters[c.filter], c.config, c.lines)
			for n, line := range c.lines {
				eventually.Succeeds(t, fmt.Sprintf("%v is listed the same", line), func() error {
					live, err := b.live(campaigns[c.campaign], filters[c.filter], line)
					if diff := cmp.Diff(live, batch[n]); err == nil && diff != "" {
						err = errors.New("-live +batch:\n" + diff)
					}
					return err
				})
			}
		})
	}
}
