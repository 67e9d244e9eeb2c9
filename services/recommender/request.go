package recommender

import (
	"context"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
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
type question struct {
	campaignARN string
	userID      string
	itemID      string
	numResults  int
	// metadata is true where the request names metadata columns.
	metadata bool
}

func (s *Service) readRecommendations(req *personalizeruntime.GetRecommendationsRequest) (question, error) {
	q := question{userID: value(req.UserId), itemID: value(req.ItemId), numResults: defaultResults, metadata: len(req.MetadataColumns) > 0}
	if (req.CampaignArn == nil) == (req.RecommenderArn == nil) {
		return q, awsapi.InvalidInput("Exactly one of campaignArn and recommenderArn must be given")
	}
	if req.RecommenderArn != nil {
		if err := resourceType("recommenderArn", *req.RecommenderArn, "recommender"); err != nil {
			return q, err
		}
		// Recommenders belong to domain dataset groups, which do not exist here: none can be found.
		return q, awsapi.ResourceNotFound("Resource not found: %s", *req.RecommenderArn)
	}
	q.campaignARN = *req.CampaignArn
	if err := resourceType("campaignArn", q.campaignARN, "campaign"); err != nil {
		return q, err
	}
	if n := value(req.NumResults); n > 0 { // 0 is the default
		q.numResults = int(min(n, maxResults+1))
	}
	if limit := q.limit(maxResults); q.numResults > limit {
		return q, awsapi.InvalidInput("numResults is %d; it must be at most %d", *req.NumResults, limit)
	}
	if err := noSuchFilter("filterArn", req.FilterArn); err != nil {
		return q, err
	}
	for _, p := range req.Promotions {
		if p.FilterArn == nil {
			return q, awsapi.InvalidInput("A promotion must have a filterArn")
		}
		if err := noSuchFilter("promotions.filterArn", p.FilterArn); err != nil {
			return q, err
		}
	}
	return q, nil
}

func (s *Service) readRanking(req *personalizeruntime.GetPersonalizedRankingRequest) (question, error) {
	q := question{campaignARN: *req.CampaignArn, userID: *req.UserId, metadata: len(req.MetadataColumns) > 0}
	if err := resourceType("campaignArn", q.campaignARN, "campaign"); err != nil {
		return q, err
	}
	if n, limit := len(req.InputList), q.limit(maxRanked); n < 1 || n > limit {
		return q, awsapi.InvalidInput("inputList has %d items; it must have from 1 to %d", n, limit)
	}
	return q, noSuchFilter("filterArn", req.FilterArn)
}

func (q question) limit(plain int) int {
	if q.metadata {
		return maxWithMetadata
	}
	return plain
}

// suitsRecommendations checks that the recipe answers GetRecommendations and that the request has what it answers from.
func suitsRecommendations(r *recipe.Recipe, q question) error {
	switch {
	case r.Type == recipe.PersonalizedRanking:
		return awsapi.InvalidInput("A campaign on recipe %s ranks lists: use GetPersonalizedRanking", r.Name)
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

// checkMetadata refuses metadata columns: campaigns that were not told to return metadata have none to give, and the
// others cannot yet.
func (s *Service) checkMetadata(serving *modelstore.Serving, q question) error {
	if !q.metadata {
		return nil
	}
	if c := serving.Campaign.Config; c == nil || !value(c.EnableMetadataWithRecommendations) {
		return awsapi.InvalidInput("metadataColumns: campaign %s was not created with enableMetadataWithRecommendations", serving.Campaign.Name)
	}
	return awsapi.InvalidInput("metadataColumns: metadata in answers is not supported by this version")
}

// noSuchFilter refuses a filter: as long as filters cannot be created, none can be found.
func noSuchFilter(member string, arn *string) error {
	if arn == nil {
		return nil
	}
	if err := resourceType(member, *arn, "filter"); err != nil {
		return err
	}
	return awsapi.ResourceNotFound("Resource not found: %s", *arn)
}

// resourceType checks that an ARN names a resource of the given type: arn:<partition>:personalize:<region>:<account>:<type>/….
func resourceType(member, arn, want string) error {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && strings.HasPrefix(parts[5], want+"/") {
		return nil
	}
	return awsapi.InvalidInput("%s: %s is not the ARN of a %s", member, arn, want)
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
