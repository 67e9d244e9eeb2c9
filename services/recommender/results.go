package recommender

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// BatchResultPath is the path of GetBatchResult, an operation that Amazon Personalize does not have.
const BatchResultPath = "/batch-results"

// BatchResultRequest asks for the result of a user or an item in the newest batch inference job of a result set.
type BatchResultRequest struct {
	DatasetGroupArn *string `json:"datasetGroupArn,omitempty"` // required
	ResultSet       *string `json:"resultSet,omitempty"`       // required
	// One of these is required: the one that the job's results are for.
	UserID *string `json:"userId,omitempty"`
	ItemID *string `json:"itemId,omitempty"`
}

// Validate returns an error for the first invalid member of a request.
func (r *BatchResultRequest) Validate() error {
	switch {
	case r.DatasetGroupArn == nil || *r.DatasetGroupArn == "":
		return awsapi.InvalidInput("datasetGroupArn is missing")
	case r.ResultSet == nil || *r.ResultSet == "":
		return awsapi.InvalidInput("resultSet is missing")
	case r.UserID == nil && r.ItemID == nil:
		return awsapi.InvalidInput("userId or itemId is missing")
	case r.UserID != nil && r.ItemID != nil:
		return awsapi.InvalidInput("Only one of userId and itemId can be given")
	}
	if resource.TypeOf(*r.DatasetGroupArn) != resource.DatasetGroup {
		return awsapi.InvalidInput("datasetGroupArn is not the ARN of a dataset group: %s", *r.DatasetGroupArn)
	}
	return nil
}

// id returns the id to look up and the name of its member.
func (r *BatchResultRequest) id() (id, kind string) {
	if r.UserID != nil {
		return *r.UserID, "userId"
	}
	return *r.ItemID, "itemId"
}

// BatchResultResponse is one result of a batch inference job.
type BatchResultResponse struct {
	BatchInferenceJobArn string            `json:"batchInferenceJobArn"`
	CreationDateTime     *awsapi.Timestamp `json:"creationDateTime"` // of the job
	ExpirationDateTime   *awsapi.Timestamp `json:"expirationDateTime"`
	// Output is the output of the job's file: recommendedItems and, where the recipe shows them, scores.
	Output json.RawMessage `json:"output"`
}

// GetBatchResult looks a result up.
func (s *Service) GetBatchResult(ctx context.Context, req *BatchResultRequest) (*BatchResultResponse, error) {
	group, known := catalog.Lookup[*catalog.DatasetGroup](s.config.View, *req.DatasetGroupArn)
	if !known && !s.config.View.Ready() {
		return nil, awsapi.ServiceUnavailable("the catalog is being read")
	}
	if !known {
		return nil, awsapi.ResourceNotFound("Resource not found: %s", *req.DatasetGroupArn)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.UserStateTimeout)
	defer cancel()
	id, kind := req.id()
	value, set, err := s.config.Users.FindResult(ctx, group.GroupKey(), *req.ResultSet, id)
	switch {
	case errors.Is(err, userstate.ErrNoResultSet):
		return nil, awsapi.ResourceNotFound("There are no results under the name %s", *req.ResultSet)
	case errors.Is(err, userstate.ErrNoResult):
		return nil, awsapi.ResourceNotFound("%s has no result for this %s", set.Job, kind)
	case err != nil:
		return nil, awsapi.ServiceUnavailable("the results of batch jobs could not be reached")
	}
	return &BatchResultResponse{
		BatchInferenceJobArn: set.Job, CreationDateTime: awsapi.At(set.Created),
		ExpirationDateTime: awsapi.At(set.Expires), Output: value,
	}, nil
}
