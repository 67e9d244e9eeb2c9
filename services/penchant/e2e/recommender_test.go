package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestARecommenderFromEventsToRecommendations: in a domain dataset group nobody trains anything, and is recommended to
// all the same.
func TestARecommenderFromEventsToRecommendations(t *testing.T) {
	t.Parallel()
	api := penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_MIN_INTERACTIONS=100", "PENCHANT_MIN_USERS=10").API()
	call := func(operation string, in, out any) {
		t.Helper()
		if err := api.Call(t.Context(), operation, in, out); err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
	}
	var group personalize.CreateDatasetGroupResponse
	call("CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: new("shop"), Domain: new("ECOMMERCE")},
		&group)
	var schema personalize.CreateSchemaResponse
	call("CreateSchema", &personalize.CreateSchemaRequest{Name: new("shop"), Domain: new("ECOMMERCE"), Schema: new(
		`{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[{"name":"USER_ID","type":"string"},
		{"name":"ITEM_ID","type":"string"},{"name":"EVENT_TYPE","type":"string"},{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`)}, &schema)
	eventually := func(what string, check func() error) {
		t.Helper()
		eventually.Succeeds(t, what, check)
	}
	var dataset personalize.CreateDatasetResponse
	eventually("a dataset is created", func() error {
		return api.Call(t.Context(), "CreateDataset", &personalize.CreateDatasetRequest{
			Name: new("shop"), DatasetGroupArn: group.DatasetGroupArn, DatasetType: new("Interactions"),
			SchemaArn: schema.SchemaArn}, &dataset)
	})
	var tracker personalize.CreateEventTrackerResponse
	call("CreateEventTracker", &personalize.CreateEventTrackerRequest{Name: new("web"),
		DatasetGroupArn: group.DatasetGroupArn}, &tracker)
	for user := range 40 {
		request := &personalizeevents.PutEventsRequest{TrackingId: tracker.TrackingId,
			SessionId: new(fmt.Sprint("s", user)), UserId: new(fmt.Sprint("u", user))}
		for n := range 10 {
			request.EventList = append(request.EventList, personalizeevents.Event{
				EventType: new("View"), ItemId: new(fmt.Sprint("i", user%2+2*((user/2+n)%10))),
				EventId: new(fmt.Sprint(user, "-", n)), SentAt: awsapi.At(time.Now())})
		}
		eventually("events are taken", func() error { return api.Post(t.Context(), "/events", request, nil) })
	}

	var created personalize.CreateRecommenderResponse
	call("CreateRecommender", &personalize.CreateRecommenderRequest{
		Name: new("home"), DatasetGroupArn: group.DatasetGroupArn,
		RecipeArn: new(recipeARN + "aws-ecomm-popular-items-by-views")}, &created)
	var described personalize.DescribeRecommenderResponse
	eventually("the recommender is ACTIVE", func() error {
		call("DescribeRecommender", &personalize.DescribeRecommenderRequest{RecommenderArn: created.RecommenderArn},
			&described)
		if *described.Recommender.Status != "ACTIVE" {
			return errors.New(*described.Recommender.Status)
		}
		return nil
	})
	if described.Recommender.ModelMetrics["precision_at_25"] <= 0 {
		t.Errorf("metrics %v", described.Recommender.ModelMetrics)
	}
	var answer personalizeruntime.GetRecommendationsResponse
	eventually("it recommends", func() error {
		return api.Post(t.Context(), "/recommendations", &personalizeruntime.GetRecommendationsRequest{
			RecommenderArn: created.RecommenderArn, UserId: new("u1"), NumResults: new(int64(5))}, &answer)
	})
	if len(answer.ItemList) != 5 {
		t.Errorf("recommended %v", answer.ItemList)
	}
	var solutions personalize.ListSolutionsResponse
	call("ListSolutions", &personalize.ListSolutionsRequest{}, &solutions)
	if len(solutions.Solutions) != 0 {
		t.Errorf("solutions %v", solutions.Solutions)
	}
}
