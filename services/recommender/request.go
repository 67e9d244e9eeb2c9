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
	// maxBody has room for 500 items of 256 characters, or a context of 150 values of 1000, each character written as
	// two escapes of six bytes.
	maxBody = 2 << 20
	// maxWithMetadata bounds lists with metadata.
	maxWithMetadata = 50
)

// request is a decoded request, its members validated as far as they can be without the campaign.
//
// The context of an API request is validated by the API model and not kept: no recipe here reads it.
type request struct {
	arn         string // of the campaign, experiment or recommender; once it is assigned, of the arm's campaign
	recommender bool
	assigned    *assignment // nil where the request names no experiment
	userID      string
	itemID      string
	inputList   []string // the items to be ranked
	numResults  int
	filter      *filterRef
	promotion   *promotion
	// metadata are the columns wanted, by dataset type.
	metadata map[string][]string
}

// promotion asks for a share of the answer to be of a filter's items.
type promotion struct {
	name    *string
	percent int // 0 where the request has none
	filter  *filterRef
}

func parseRecommendations(in *personalizeruntime.GetRecommendationsRequest) (*request, error) {
	req := &request{
		userID: value(in.UserId), itemID: value(in.ItemId), numResults: defaultResults, metadata: in.MetadataColumns,
	}
	if (in.CampaignArn == nil) == (in.RecommenderArn == nil) {
		return nil, awsapi.InvalidInput("Exactly one of campaignArn and recommenderArn must be given")
	}
	var err error
	if req.recommender = in.RecommenderArn != nil; req.recommender {
		req.arn = *in.RecommenderArn
		err = validateARN("recommenderArn", req.arn, "recommender")
	} else {
		req.arn = *in.CampaignArn
		err = validateCampaignARN(req.arn)
	}
	if err != nil {
		return nil, err
	}
	if n := value(in.NumResults); n > 0 { // 0 is the default
		req.numResults = int(min(n, maxResults+1))
	}
	if limit := req.limit(maxResults); req.numResults > limit {
		return nil, awsapi.InvalidInput("numResults is %d; it must be at most %d", *in.NumResults, limit)
	}
	if req.filter, err = parseFilter(in.FilterArn, in.FilterValues); err != nil {
		return nil, err
	}
	if len(in.Promotions) > 0 {
		req.promotion, err = parsePromotion(in.Promotions[0])
	}
	return req, err
}

func parseRanking(in *personalizeruntime.GetPersonalizedRankingRequest) (*request, error) {
	req := &request{arn: *in.CampaignArn, userID: *in.UserId, inputList: in.InputList, metadata: in.MetadataColumns}
	if err := validateCampaignARN(req.arn); err != nil {
		return nil, err
	}
	if n, limit := len(in.InputList), req.limit(maxRanked); n < 1 || n > limit {
		return nil, awsapi.InvalidInput("inputList has %d items; it must have from 1 to %d", n, limit)
	}
	var err error
	req.filter, err = parseFilter(in.FilterArn, in.FilterValues)
	return req, err
}

func parseFilter(arn *string, values map[string]string) (*filterRef, error) {
	if arn == nil {
		if len(values) > 0 {
			return nil, awsapi.InvalidInput("filterValues are given without a filterArn")
		}
		return nil, nil
	}
	ref := &filterRef{member: "filterArn", target: schema.Items, arn: *arn, values: values}
	return ref, validateARN("filterArn", *arn, "filter")
}

func parsePromotion(p personalizeruntime.Promotion) (*promotion, error) {
	if p.FilterArn == nil {
		return nil, awsapi.InvalidInput("A promotion must have a filterArn")
	}
	const member = "promotions.filterArn"
	ref := &filterRef{member: member, target: schema.Items, arn: *p.FilterArn, values: p.FilterValues}
	parsed := &promotion{name: p.Name, percent: int(value(p.PercentPromotedItems)), filter: ref}
	return parsed, validateARN(member, ref.arn, "filter")
}

// limit returns the bound of a list whose bound without metadata is plain.
func (r *request) limit(plain int) int {
	if len(r.metadata) > 0 {
		return maxWithMetadata
	}
	return plain
}

// validateRecommendations checks that the recipe answers GetRecommendations and that the request has what it answers
// from.
func validateRecommendations(r *recipe.Recipe, req *request) error {
	switch {
	case r.Type == recipe.PersonalizedRanking:
		return awsapi.InvalidInput("A campaign on recipe %s ranks lists: use GetPersonalizedRanking", r.Name)
	case r.Type == recipe.PersonalizedActions:
		return awsapi.InvalidInput("A campaign on recipe %s recommends actions: use GetActionRecommendations", r.Name)
	case r.Type == recipe.UserSegmentation:
		return awsapi.InvalidInput("Recipe %s makes user segments: use CreateBatchSegmentJob", r.Name)
	case r.Type == recipe.UserPersonalization && req.userID == "":
		return awsapi.InvalidInput("userId is required for recipe %s", r.Name)
	case r.Type == recipe.RelatedItems && req.itemID == "":
		return awsapi.InvalidInput("itemId is required for recipe %s", r.Name)
	}
	return nil
}

// validateRanking checks that the recipe answers GetPersonalizedRanking.
func validateRanking(r *recipe.Recipe) error {
	if r.Type != recipe.PersonalizedRanking {
		return awsapi.InvalidInput("A campaign on recipe %s does not rank lists: use GetRecommendations", r.Name)
	}
	return nil
}

// validateARN checks that an ARN names a resource of the given type:
// arn:<partition>:personalize:<region>:<account>:<type>/….
func validateARN(member, arn, want string) error {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && strings.HasPrefix(parts[5], want+"/") {
		return nil
	}
	return awsapi.InvalidInput("%s: %s is not the ARN of a %s", member, arn, want)
}

// validateCampaignARN checks a campaignArn, which may also name an experiment.
func validateCampaignARN(arn string) error {
	if resource.TypeOf(arn) == resource.Experiment {
		return nil
	}
	return validateARN("campaignArn", arn, "campaign")
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// timed wraps a handler with the measuring of its latency.
func timed[Req, Resp any](
	s *Service, operation string, h func(context.Context, *Req) (*Resp, error),
) func(context.Context, *Req) (*Resp, error) {
	answered := s.metrics.latency.WithLabelValues(operation, "answered")
	refused := s.metrics.latency.WithLabelValues(operation, "refused")
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
