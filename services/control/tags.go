package control

import (
	"context"
	"maps"
	"slices"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/services/control/crud"
)

// tags has the operations on the tags of all taggable resources.
type tags struct {
	*crud.Env
	taggable []string // types
}

func newTags(env *crud.Env, rows []crud.Row) tags {
	s := tags{Env: env}
	for _, row := range rows {
		if row.Taggable {
			s.taggable = append(s.taggable, row.Type)
		}
	}
	return s
}

func (s tags) row() crud.Row {
	return crud.Row{Operations: []crud.Operation{
		crud.Handle("TagResource", s.tag),
		crud.Handle("UntagResource", s.untag),
		crud.Handle("ListTagsForResource", s.list),
	}}
}

func (s tags) find(ctx context.Context, arn string) (catalog.Resource, error) {
	kind := resource.TypeOf(arn)
	if !slices.Contains(s.taggable, kind) {
		return nil, awsapi.InvalidInput("resourceArn is not the ARN of a resource that can have tags: %s", arn)
	}
	return crud.Get[catalog.Resource](ctx, s.Env, arn)
}

func (s tags) tag(ctx context.Context, req *personalize.TagResourceRequest) (*personalize.TagResourceResponse, error) {
	tags, err := crud.ParseTags(req.Tags)
	if err != nil {
		return nil, err
	}
	return &personalize.TagResourceResponse{}, s.update(
		ctx,
		awsapi.Text(req.ResourceArn),
		func(old map[string]string) error {
			maps.Copy(old, tags)
			return s.ValidateTagCount(old)
		},
	)
}

func (s tags) untag(
	ctx context.Context, req *personalize.UntagResourceRequest,
) (*personalize.UntagResourceResponse, error) {
	if len(req.TagKeys) > s.Quotas.TagsPerResource {
		return nil, &awsapi.Error{
			Code:    awsapi.CodeTooManyTagKeys,
			Message: "A request can name as many tag keys as a resource can have tags",
		}
	}
	return &personalize.UntagResourceResponse{}, s.update(
		ctx,
		awsapi.Text(req.ResourceArn),
		func(old map[string]string) error {
			for _, key := range req.TagKeys {
				delete(old, key)
			}
			return nil
		},
	)
}

// update changes the tags of a resource.
func (s tags) update(ctx context.Context, arn string, change func(map[string]string) error) error {
	if _, err := s.find(ctx, arn); err != nil {
		return err
	}
	_, err := s.Store.Update(ctx, arn, func(r catalog.Resource) error {
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

func (s tags) list(
	ctx context.Context, req *personalize.ListTagsForResourceRequest,
) (*personalize.ListTagsForResourceResponse, error) {
	r, err := s.find(ctx, awsapi.Text(req.ResourceArn))
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
