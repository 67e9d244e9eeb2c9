package recommender

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/userstate"
)

func TestBatchResultsAreLookedUp(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.must(s.view.WaitReady(t.Context()))
	set := &userstate.ResultSet{Job: account + "batch-inference-job/daily", Load: "1", Created: time.UnixMilli(1_700_000_000_500), Expires: time.Now().Add(time.Hour), Results: 2}
	s.must(s.users.PutResults(t.Context(), groupKey, set, []userstate.Result{
		{ID: "ada", Value: []byte(`{"recommendedItems":["a","b"],"scores":[0.5,0.25]}`)}, {ID: "i1", Value: []byte(`{"recommendedItems":["c"]}`)},
	}))
	_, err := s.users.PublishResults(t.Context(), groupKey, "home", set)
	s.must(err)
	group := account + "dataset-group/shop"

	var got BatchResultResponse
	s.must(s.client.Post(t.Context(), BatchResultPath, map[string]any{"datasetGroupArn": group, "resultSet": "home", "userId": "ada"}, &got))
	if got.BatchInferenceJobArn != set.Job || !got.CreationDateTime.Time().Equal(set.Created) || string(got.Output) != `{"recommendedItems":["a","b"],"scores":[0.5,0.25]}` {
		t.Errorf("ada is looked up as %+v with %s", got, got.Output)
	}
	s.must(s.client.Post(t.Context(), BatchResultPath, map[string]any{"datasetGroupArn": group, "resultSet": "home", "itemId": "i1"}, &got))
	if string(got.Output) != `{"recommendedItems":["c"]}` {
		t.Errorf("i1 is looked up as %s", got.Output)
	}

	refused := func(s *shop, request map[string]any, code string, status int) {
		t.Helper()
		var refusal *awsapi.Error
		if err := s.client.Post(t.Context(), BatchResultPath, request, nil); !errors.As(err, &refusal) || refusal.Code != code || refusal.Status != status {
			t.Errorf("%v: got %v, want %s", request, err, code)
		}
	}
	for _, request := range []map[string]any{
		{"resultSet": "home", "userId": "ada"},
		{"datasetGroupArn": group, "userId": "ada"},
		{"datasetGroupArn": group, "resultSet": "home"},
		{"datasetGroupArn": group, "resultSet": "home", "userId": "ada", "itemId": "i1"},
		{"datasetGroupArn": account + "campaign/shop", "resultSet": "home", "userId": "ada"},
	} {
		refused(s, request, awsapi.CodeInvalidInput, http.StatusBadRequest)
	}
	for _, request := range []map[string]any{
		{"datasetGroupArn": account + "dataset-group/other", "resultSet": "home", "userId": "ada"},
		{"datasetGroupArn": group, "resultSet": "other", "userId": "ada"},
		{"datasetGroupArn": group, "resultSet": "home", "userId": "bob"},
	} {
		refused(s, request, "ResourceNotFoundException", http.StatusNotFound)
	}
	hasty := openWith(t, func(c *Config) { c.UserStateTimeout = time.Nanosecond })
	s.must(hasty.view.WaitReady(t.Context()))
	refused(hasty, map[string]any{"datasetGroupArn": group, "resultSet": "home", "userId": "ada"}, "ServiceUnavailable", http.StatusServiceUnavailable)
}
