package catalog

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/resource"
)

// NewTrackingID returns a new tracking id and its ARN id, the first eight hexadecimal digits, so that a tracker is
// found by either with one read.
func NewTrackingID() (arnID, trackingID string) {
	trackingID = uuid.NewString()
	return trackerID(trackingID), trackingID
}

func trackerID(trackingID string) string {
	id, _, _ := strings.Cut(trackingID, "-")
	return id
}

const root = "catalog/"

// idPattern keeps ids harmless as object keys: the characters of names, and at most one folder.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?$`)

// keyOf returns where a resource is stored in the bucket. Region and account are not part of the key: a bucket is one
// namespace.
func keyOf(arn string) (string, error) {
	a, err := resource.ParseARN(arn)
	if err != nil {
		return "", err
	}
	return keyFor(a.Type, a.ID)
}

func keyFor(kind, id string) (string, error) {
	if prototypes[kind] == nil || !idPattern.MatchString(id) {
		return "", fmt.Errorf("%w: not a resource of the catalog: %s/%s", ErrNotFound, kind, id)
	}
	return root + kind + "/" + id + ".json", nil
}
