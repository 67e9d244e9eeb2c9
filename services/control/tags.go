package control

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
)

// parseTags checks the tags of one request.
func parseTags(list []personalize.Tag) (map[string]string, error) {
	tags := make(map[string]string, len(list))
	for _, tag := range list {
		key := awsapi.Text(tag.TagKey)
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return nil, awsapi.InvalidInput("Tag keys must not begin with aws:")
		}
		if _, twice := tags[key]; twice {
			return nil, awsapi.InvalidInput("Tag keys must be unique in a request")
		}
		tags[key] = awsapi.Text(tag.TagValue)
	}
	return tags, nil
}

func (s *Service) mustBeFewTags(tags map[string]string) error {
	if len(tags) > s.quotas.TagsPerResource {
		return awsapi.TooManyTags("A resource can have at most %d tags", s.quotas.TagsPerResource)
	}
	return nil
}

// taggable are the types that can have tags.
var taggable = []string{
	resource.DatasetGroup, resource.Dataset, resource.DatasetImportJob, resource.EventTracker,
	resource.DatasetExportJob, resource.DataDeletionJob, resource.BatchInferenceJob, resource.BatchSegmentJob,
	resource.Solution, resource.SolutionVersion, resource.Campaign, resource.Recommender, resource.Filter, resource.Experiment,
}

func (s *Service) findTaggable(ctx context.Context, arn string) (catalog.Resource, error) {
	kind := resource.TypeOf(arn)
	if !slices.Contains(taggable, kind) {
		return nil, awsapi.InvalidInput("resourceArn is not the ARN of a resource that can have tags: %s", arn)
	}
	return find[catalog.Resource](ctx, s, "resourceArn", arn, kind)
}

func (s *Service) tagResource(ctx context.Context, req *personalize.TagResourceRequest) (*personalize.TagResourceResponse, error) {
	tags, err := parseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	return &personalize.TagResourceResponse{}, s.retag(ctx, awsapi.Text(req.ResourceArn), func(old map[string]string) error {
		maps.Copy(old, tags)
		return s.mustBeFewTags(old)
	})
}

func (s *Service) untagResource(ctx context.Context, req *personalize.UntagResourceRequest) (*personalize.UntagResourceResponse, error) {
	if len(req.TagKeys) > s.quotas.TagsPerResource {
		return nil, &awsapi.Error{Code: awsapi.CodeTooManyTagKeys, Message: "A request can name as many tag keys as a resource can have tags"}
	}
	return &personalize.UntagResourceResponse{}, s.retag(ctx, awsapi.Text(req.ResourceArn), func(old map[string]string) error {
		for _, key := range req.TagKeys {
			delete(old, key)
		}
		return nil
	})
}

// retag changes the tags of a resource.
func (s *Service) retag(ctx context.Context, arn string, change func(map[string]string) error) error {
	if _, err := s.findTaggable(ctx, arn); err != nil {
		return err
	}
	_, err := s.store.Update(ctx, arn, func(r catalog.Resource) error {
		m := r.Meta()
		if m.Tags == nil {
			m.Tags = map[string]string{}
		}
		if err := change(m.Tags); err != nil {
			return err
		}
		if m.Deleting() {
			return awsapi.ResourceInUse("Resource %s is %s", m.ARN, m.Status)
		}
		return nil
	})
	return err
}

func (s *Service) listTagsForResource(ctx context.Context, req *personalize.ListTagsForResourceRequest) (*personalize.ListTagsForResourceResponse, error) {
	r, err := s.findTaggable(ctx, awsapi.Text(req.ResourceArn))
	if err != nil {
		return nil, err
	}
	tags := []personalize.Tag{}
	for _, key := range slices.Sorted(maps.Keys(r.Meta().Tags)) {
		value := r.Meta().Tags[key]
		tags = append(tags, personalize.Tag{TagKey: &key, TagValue: &value})
	}
	return &personalize.ListTagsForResourceResponse{Tags: tags}, nil
}
