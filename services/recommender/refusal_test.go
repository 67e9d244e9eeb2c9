package recommender

import (
	"errors"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := openTrained(t)
	pending := active("campaign/pending", "pending")
	pending.Status = status.CreatePending
	s.must(s.store.Create(t.Context(), &catalog.Campaign{Metadata: pending, DatasetGroupARN: account + "dataset-group/shop"}))

	const invalid, absent = awsapi.CodeInvalidInput, awsapi.CodeResourceNotFound
	filter, columns := account+"filter/f", map[string][]string{"ITEMS": {"GENRES"}}
	for name, c := range map[string]struct {
		req  map[string]any
		code string
	}{
		"neither campaign nor recommender": {map[string]any{"userId": "u"}, invalid},
		"both campaign and recommender":    {map[string]any{"campaignArn": campaignARN(personal), "recommenderArn": account + "recommender/r", "userId": "u"}, invalid},
		"absent recommender":               {map[string]any{"recommenderArn": account + "recommender/r", "userId": "u"}, absent},
		"recommender of another type":      {map[string]any{"recommenderArn": campaignARN(personal), "userId": "u"}, invalid},
		"absent campaign":                  {map[string]any{"campaignArn": campaignARN("none"), "userId": "u"}, absent},
		"campaign of another type":         {map[string]any{"campaignArn": account + "solution/s", "userId": "u"}, invalid},
		"campaign that is no ARN":          {map[string]any{"campaignArn": "shop", "userId": "u"}, invalid},
		"campaign not active":              {map[string]any{"campaignArn": campaignARN("pending"), "userId": "u"}, invalid},
		"ranking recipe":                   {map[string]any{"campaignArn": campaignARN(ranker), "userId": "u"}, invalid},
		"no user":                          {map[string]any{"campaignArn": campaignARN(personal)}, invalid},
		"empty user":                       {map[string]any{"campaignArn": campaignARN(personal), "userId": ""}, invalid},
		"no item":                          {map[string]any{"campaignArn": campaignARN(related), "userId": "u"}, invalid},
		"too many results":                 {map[string]any{"campaignArn": campaignARN(popularity), "numResults": 501}, invalid},
		"negative results":                 {map[string]any{"campaignArn": campaignARN(popularity), "numResults": -1}, invalid},
		"absent filter":                    {map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "filterArn": filter}, absent},
		"filter of another type":           {map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "filterArn": campaignARN(personal)}, invalid},
		"promotion by an absent filter":    {map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "promotions": []any{map[string]any{"name": "p", "percentPromotedItems": 20, "filterArn": filter}}}, absent},
		"promotion without filter":         {map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "promotions": []any{map[string]any{"name": "p"}}}, invalid},
		"metadata that is not enabled":     {map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "metadataColumns": columns}, invalid},
		"too many results with metadata":   {map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "numResults": 51, "metadataColumns": columns}, invalid},
	} {
		_, err := s.recommendations(c.req)
		checkRefusal(t, name, err, c.code)
	}

	list := []string{"red1"}
	for name, c := range map[string]struct {
		req  map[string]any
		code string
	}{
		"no campaign":     {map[string]any{"userId": "u", "inputList": list}, invalid},
		"no user":         {map[string]any{"campaignArn": campaignARN(ranker), "inputList": list}, invalid},
		"no list":         {map[string]any{"campaignArn": campaignARN(ranker), "userId": "u"}, invalid},
		"empty list":      {map[string]any{"campaignArn": campaignARN(ranker), "userId": "u", "inputList": []string{}}, invalid},
		"long list":       {map[string]any{"campaignArn": campaignARN(ranker), "userId": "u", "inputList": slices.Repeat(list, 501)}, invalid},
		"another recipe":  {map[string]any{"campaignArn": campaignARN(personal), "userId": "u", "inputList": list}, invalid},
		"absent campaign": {map[string]any{"campaignArn": campaignARN("none"), "userId": "u", "inputList": list}, absent},
		"absent filter":   {map[string]any{"campaignArn": campaignARN(ranker), "userId": "u", "inputList": list, "filterArn": filter}, absent},
		"metadata":        {map[string]any{"campaignArn": campaignARN(ranker), "userId": "u", "inputList": list, "metadataColumns": columns}, invalid},
	} {
		_, err := s.ranking(c.req)
		checkRefusal(t, "ranking: "+name, err, c.code)
	}
}

func checkRefusal(t *testing.T, name string, err error, code string) {
	t.Helper()
	var refusal *awsapi.Error
	if !errors.As(err, &refusal) || refusal.Code != code || refusal.Message == "" {
		t.Errorf("%s: %v", name, err)
	}
}
