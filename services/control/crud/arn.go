package crud

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
)

// SiblingARN returns the ARN of a new resource in the region and account of another.
func SiblingARN(arn, kind, id string) string {
	a, err := resource.ParseARN(arn)
	if err != nil {
		return "" // the catalog holds no such ARN
	}
	return a.With(kind, id).String()
}

// ShortID returns 8 random hexadecimal digits.
func ShortID() string {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// A recommender trains with a solution of its own, which clients never see. Its name, which no client can give, is
// _<recommender's name>-<part of the recommender's ID>.
const hiddenMark = "_"

// HiddenName returns the name of a recommender's own solution. A recommender created again under its name has another.
func HiddenName(r *catalog.Recommender) string {
	id, _, _ := strings.Cut(r.ID, "-")
	return hiddenMark + r.Name + "-" + id
}

// IsHidden reports whether an ARN names a recommender's own solution, or a version of it.
func IsHidden(arn string) bool {
	a, err := resource.ParseARN(arn)
	return err == nil && strings.HasPrefix(a.ID, hiddenMark)
}

// VisibleARN returns an ARN as clients may see it: the recommender's for what is hidden.
func VisibleARN(arn string) string {
	a, err := resource.ParseARN(arn)
	if err != nil || !IsHidden(arn) {
		return arn
	}
	solution, _, _ := strings.Cut(a.ID, "/")
	name := strings.TrimPrefix(solution[:max(strings.LastIndex(solution, "-"), 0)], hiddenMark)
	return a.With(resource.Recommender, name).String()
}

// visibleARNs returns the different VisibleARNs of a list.
func visibleARNs(arns []string) []string {
	list := make([]string, len(arns))
	for i, arn := range arns {
		list[i] = VisibleARN(arn)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
