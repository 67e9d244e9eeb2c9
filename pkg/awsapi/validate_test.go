package awsapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
)

type validated interface{ Validate() error }

func events(list string) string {
	return `{"trackingId":"t","sessionId":"s","eventList":[` + list + `]}`
}

func event(more string) string {
	return `{"eventType":"click","itemId":"i","sentAt":1` + more + `}`
}

func repeat(s string, n int) string {
	return strings.TrimSuffix(strings.Repeat(s+",", n), ",")
}

// The constraints of the API models as clients meet them.
func TestValidate(t *testing.T) {
	t.Parallel()
	putEvents := func() validated { return new(personalizeevents.PutEventsRequest) }
	createCampaign := func() validated { return new(personalize.CreateCampaignRequest) }
	createSolution := func() validated { return new(personalize.CreateSolutionRequest) }
	recommend := func() validated { return new(personalizeruntime.GetRecommendationsRequest) }
	const arn = `"arn:aws:personalize:us-east-1:000000000000:x/y"`
	for _, c := range []struct {
		of   func() validated
		body string
		want string // part of the message, "" if valid
	}{
		{putEvents, events(event(``)), ""},
		{putEvents, events(repeat(event(``), 10)), ""},
		{putEvents, events(repeat(event(``), 11)), "at 'eventList'"},
		{putEvents, events(``), "at 'eventList'"},
		{putEvents, `{"trackingId":"t","sessionId":"s"}`, "Value null at 'eventList'"},
		{putEvents, `{"trackingId":"t","sessionId":"s","eventList":null}`, "Value null at 'eventList'"},
		{putEvents, `{"sessionId":"s","eventList":[` + event(``) + `]}`, "Value null at 'trackingId'"},
		{putEvents, `{"trackingId":"t","eventList":[` + event(``) + `]}`, "Value null at 'sessionId'"},
		{putEvents, `{"trackingId":"t","sessionId":"","eventList":[` + event(``) + `]}`, "at 'sessionId'"},
		{putEvents, `{"trackingId":"t","userId":"","sessionId":"s","eventList":[` + event(``) + `]}`, "at 'userId'"},
		{putEvents, `{"trackingId":"t","userId":"` + strings.Repeat("u", 257) + `","sessionId":"s","eventList":[` + event(``) + `]}`, "at 'userId'"},
		{putEvents, events(event(``) + `,{"itemId":"i","sentAt":1}`), "Value null at 'eventList.2.member.eventType'"},
		{putEvents, events(`{"eventType":"e","itemId":"i"}`), "Value null at 'eventList.1.member.sentAt'"},
		{putEvents, events(`null`), "Value null at 'eventList.1.member.eventType'"},
		{putEvents, events(event(`,"itemId":"` + strings.Repeat("ü", 256) + `"`)), ""},
		{putEvents, events(event(`,"itemId":"` + strings.Repeat("ü", 257) + `"`)), "at 'eventList.1.member.itemId'"},
		{putEvents, events(event(`,"eventId":""`)), "at 'eventList.1.member.eventId'"},
		{putEvents, events(event(`,"recommendationId":"` + strings.Repeat("r", 41) + `"`)), "recommendationId"},
		{putEvents, events(event(`,"impression":[` + repeat(`"i"`, 25) + `]`)), ""},
		{putEvents, events(event(`,"impression":[` + repeat(`"i"`, 26) + `]`)), "at 'eventList.1.member.impression'"},
		{putEvents, events(event(`,"impression":[]`)), "at 'eventList.1.member.impression'"},
		{putEvents, events(event(`,"impression":["i",""]`)), "at 'eventList.1.member.impression.2.member'"},
		{putEvents, events(event(`,"properties":""`)), "at 'eventList.1.member.properties'"},
		{putEvents, events(event(`,"properties":"` + strings.Repeat("p", 1025) + `"`)), "at 'eventList.1.member.properties'"},
		{putEvents, events(event(`,"metricAttribution":{}`)), "Value null at 'eventList.1.member.metricAttribution.eventAttributionSource'"},
		{putEvents, events(event(`,"metricAttribution":{"eventAttributionSource":"  "}`)), "regular expression"},
		{putEvents, events(event(`,"metricAttribution":{"eventAttributionSource":"a b"}`)), ""},
		{createCampaign, `{"name":"c","solutionVersionArn":` + arn + `}`, ""},
		{createCampaign, `{"name":"c d","solutionVersionArn":` + arn + `}`, "Value 'c d' at 'name'"},
		{createCampaign, `{"name":"` + strings.Repeat("c", 64) + `","solutionVersionArn":` + arn + `}`, "length less than or equal to 63"},
		{createCampaign, `{"name":"c","solutionVersionArn":"nonsense"}`, "at 'solutionVersionArn'"},
		{createCampaign, `{"name":"c","solutionVersionArn":` + arn + `,"minProvisionedTPS":0}`, "Value '0' at 'minProvisionedTPS'"},
		{createCampaign, `{"name":"c","solutionVersionArn":` + arn + `,"tags":[{"tagKey":"k"}]}`, "Value null at 'tags.1.member.tagValue'"},
		{createCampaign, `{"name":"c","solutionVersionArn":` + arn + `,"campaignConfig":{"itemExplorationConfig":{"` + strings.Repeat("k", 257) + `":"1"}}}`, "campaignConfig.itemExplorationConfig"},
		{createSolution, `{"name":"s","datasetGroupArn":` + arn + `,"solutionConfig":{"autoTrainingConfig":{"schedulingExpression":"rate(3 days)"}}}`, ""},
		{createSolution, `{"name":"s","datasetGroupArn":` + arn + `,"solutionConfig":{"autoTrainingConfig":{"schedulingExpression":"rate(3 hours)"}}}`, "schedulingExpression"},
		{createSolution, `{"name":"s","datasetGroupArn":` + arn + `,"solutionConfig":{"eventsConfig":{"eventParametersList":[{"weight":2}]}}}`, "at 'solutionConfig.eventsConfig.eventParametersList.1.member.weight'"},
		{createSolution, `{"name":"s","datasetGroupArn":` + arn + `,"solutionConfig":{"trainingDataConfig":{"excludedDatasetColumns":{"ITEMS":["ok","1bad"]}}}}`, "excludedDatasetColumns.ITEMS.member.2.member"},
		{recommend, `{"numResults":-1}`, "at 'numResults'"},
		{recommend, `{"campaignArn":` + arn + `,"filterValues":{"a b":"x"}}`, "at 'filterValues.key'"},
		{recommend, `{"campaignArn":` + arn + `,"promotions":[{"percentPromotedItems":0}]}`, "percentPromotedItems"},
	} {
		req := c.of()
		if err := json.Unmarshal([]byte(c.body), req); err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		err := req.Validate()
		var refusal *awsapi.Error
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s\nis refused: %v", c.body, err)
		case c.want != "" && (!errors.As(err, &refusal) || refusal.Code != awsapi.CodeInvalidInput || !strings.Contains(refusal.Message, c.want)):
			t.Errorf("%s\ngives %v, want %q", c.body, err, c.want)
		}
	}
}

// A paging token that breaks its constraints is left to the handler, which answers InvalidNextTokenException.
func TestValidateLeavesTokensAlone(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("ü", 2000)
	if err := (&personalize.ListSolutionsRequest{NextToken: &token}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	for service, c := range map[string]struct {
		operations []awsapi.Operation
		n          int
		has        string
	}{
		"control": {personalize.Operations, 71, "{ListFilters / [InvalidInputException InvalidNextTokenException]}"},
		"events":  {personalizeevents.Operations, 5, "{PutEvents /events [InvalidInputException]}"},
		"runtime": {personalizeruntime.Operations, 3, "{GetPersonalizedRanking /personalize-ranking [InvalidInputException ResourceNotFoundException]}"},
	} {
		if len(c.operations) != c.n || !strings.Contains(fmt.Sprint(c.operations), c.has) {
			t.Errorf("%s: %d operations %v", service, len(c.operations), c.operations)
		}
	}
	if got, _ := json.Marshal(personalize.ListFiltersResponse{Filters: []personalize.FilterSummary{}}); string(got) != `{"Filters":[]}` {
		t.Errorf("ListFilters answers %s", got)
	}
}

// Generated files say so, in the form that tools look for.
func TestGeneratedFilesAreMarked(t *testing.T) {
	t.Parallel()
	marked := regexp.MustCompile(`^// Code generated .* DO NOT EDIT\.\n`)
	for _, pkg := range []string{"personalize", "personalizeevents", "personalizeruntime"} {
		source, err := os.ReadFile(pkg + "/api.gen.go")
		if err != nil || !marked.Match(source) {
			t.Errorf("%s is not marked as generated: %v", pkg, err)
		}
	}
}
