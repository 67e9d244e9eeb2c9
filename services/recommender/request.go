package recommender

import (
	"context"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Bounds of the API.
const (
	defaultResults = 25
	maxResults     = 500
	maxRanked      = 500
	// maxBody has room for 500 items of 256 characters, or a context of 150 values of 1000, each character written as two
	// escapes of six bytes.
	maxBody = 2 << 20
	// With metadata, lists are shorter.
	maxWithMetadata = 50
)

// question is what a request asks for, its members checked as far as they can be without the campaign.
//
// The request's context is checked by the API model and not kept: no recipe here reads it.
type question struct {
	arn         string // of the campaign, experiment or recommender; once it is assigned, of the arm's campaign
	recommender bool
	assigned    *assignment // nil where no experiment is asked
	userID      string
	itemID      string
	numResults  int
	filter      *filterUse
	promotion   *promotion
	// metadata are the columns wanted, by dataset type.
	metadata map[string][]string
}

func readRecommendations(req *personalizeruntime.GetRecommendationsRequest) (question, error) {
	q := question{userID: value(req.UserId), itemID: value(req.ItemId), numResults: defaultResults, metadata: req.MetadataColumns}
	if (req.CampaignArn == nil) == (req.RecommenderArn == nil) {
		return q, awsapi.InvalidInput("Exactly one of campaignArn and recommenderArn must be given")
	}
	var err error
	if q.recommender = req.RecommenderArn != nil; q.recommender {
		q.arn = *req.RecommenderArn
		err = resourceType("recommenderArn", q.arn, "recommender")
	} else {
		q.arn = *req.CampaignArn
		err = campaignOrExperiment(q.arn)
	}
	if err != nil {
		return q, err
	}
	if n := value(req.NumResults); n > 0 { // 0 is the default
		q.numResults = int(min(n, maxResults+1))
	}
	if limit := q.limit(maxResults); q.numResults > limit {
		return q, awsapi.InvalidInput("numResults is %d; it must be at most %d", *req.NumResults, limit)
	}
	if q.filter, err = readFilter(req.FilterArn, req.FilterValues); err != nil {
		return q, err
	}
	if len(req.Promotions) > 0 {
		q.promotion, err = readPromotion(req.Promotions[0])
	}
	return q, err
}

func readRanking(req *personalizeruntime.GetPersonalizedRankingRequest) (q question, err error) {
	q = question{arn: *req.CampaignArn, userID: *req.UserId, metadata: req.MetadataColumns}
	if err := campaignOrExperiment(q.arn); err != nil {
		return q, err
	}
	if n, limit := len(req.InputList), q.limit(maxRanked); n < 1 || n > limit {
		return q, awsapi.InvalidInput("inputList has %d items; it must have from 1 to %d", n, limit)
	}
	q.filter, err = readFilter(req.FilterArn, req.FilterValues)
	return q, err
}

func readFilter(arn *string, values map[string]string) (*filterUse, error) {
	if arn == nil {
		if len(values) > 0 {
			return nil, awsapi.InvalidInput("filterValues are given without a filterArn")
		}
		return nil, nil
	}
	return &filterUse{member: "filterArn", target: schema.Items, arn: *arn, values: values}, resourceType("filterArn", *arn, "filter")
}

func readPromotion(p personalizeruntime.Promotion) (*promotion, error) {
	if p.FilterArn == nil {
		return nil, awsapi.InvalidInput("A promotion must have a filterArn")
	}
	const member = "promotions.filterArn"
	use := filterUse{member: member, target: schema.Items, arn: *p.FilterArn, values: p.FilterValues}
	return &promotion{name: p.Name, percent: int(value(p.PercentPromotedItems)), filter: use}, resourceType(member, use.arn, "filter")
}

func (q question) limit(plain int) int {
	if len(q.metadata) > 0 {
		return maxWithMetadata
	}
	return plain
}

// suitsRecommendations checks that the recipe answers GetRecommendations and that the request has what it answers from.
func suitsRecommendations(r *recipe.Recipe, q question) error {
	switch {
	case r.Type == recipe.PersonalizedRanking:
		return awsapi.InvalidInput("A campaign on recipe %s ranks lists: use GetPersonalizedRanking", r.Name)
	case r.Type == recipe.PersonalizedActions:
		return awsapi.InvalidInput("A campaign on recipe %s recommends actions: use GetActionRecommendations", r.Name)
	case r.Type == recipe.UserSegmentation:
		return awsapi.InvalidInput("Recipe %s makes user segments: use CreateBatchSegmentJob", r.Name)
	case r.Type == recipe.UserPersonalization && q.userID == "":
		return awsapi.InvalidInput("userId is required for recipe %s", r.Name)
	case r.Type == recipe.RelatedItems && q.itemID == "":
		return awsapi.InvalidInput("itemId is required for recipe %s", r.Name)
	}
	return nil
}

// suitsRanking checks that the recipe answers GetPersonalizedRanking.
func suitsRanking(r *recipe.Recipe) error {
	if r.Type != recipe.PersonalizedRanking {
		return awsapi.InvalidInput("A campaign on recipe %s does not rank lists: use GetRecommendations", r.Name)
	}
	return nil
}

// resourceType checks that an ARN names a resource of the given type: arn:<partition>:personalize:<region>:<account>:<type>/….
func resourceType(member, arn, want string) error {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && strings.HasPrefix(parts[5], want+"/") {
		return nil
	}
	return awsapi.InvalidInput("%s: %s is not the ARN of a %s", member, arn, want)
}

// campaignOrExperiment checks what stands in campaignArn: an experiment is called as a campaign is.
func campaignOrExperiment(arn string) error {
	if resource.TypeOf(arn) == resource.Experiment {
		return nil
	}
	return resourceType("campaignArn", arn, "campaign")
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// timed wraps a handler with the measuring of its latency.
func timed[Req, Resp any](s *Service, operation string, h func(context.Context, *Req) (*Resp, error)) func(context.Context, *Req) (*Resp, error) {
	answered, refused := s.metrics.latency.WithLabelValues(operation, "answered"), s.metrics.latency.WithLabelValues(operation, "refused")
	return func(ctx context.Context, req *Req) (*Resp, error) {
		started := s.config.Now()
		resp, err := h(ctx, req)
		took := s.config.Now().Sub(started).Seconds()
		if err != nil {
			refused.Observe(took)
		} else {
			answered.Observe(took)
		}
		return resp, err
	}
}
