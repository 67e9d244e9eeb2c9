package crud

import (
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
)

// ParseTags validates and returns the tags of one request.
func ParseTags(list []personalize.Tag) (map[string]string, error) {
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

// ValidateTagCount refuses more tags than a resource can have.
func (e *Env) ValidateTagCount(tags map[string]string) error {
	if len(tags) > e.Quotas.TagsPerResource {
		return awsapi.TooManyTags("A resource can have at most %d tags", e.Quotas.TagsPerResource)
	}
	return nil
}
