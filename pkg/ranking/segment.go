package ranking

import (
	"slices"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
)

// SegmentRequest asks for the users with the most affinity to items.
type SegmentRequest struct {
	Segmenter model.Segmenter
	Query     model.SegmentQuery
	Results   int
	// Filter selects users; nil: every user may be in the segment. Table holds their attributes.
	Filter  *filter.Bound
	Table   *filter.Table
	Subject filter.Subject
}

// ListUsers lists the users of a segment that the filter selects, by descending affinity. The segmenter is asked for
// more and more users until the segment is full or there are no others.
func ListUsers(req *SegmentRequest) ([]string, error) {
	var ids []string
	for wanted := req.Results; ; wanted *= 4 {
		scored, err := req.Segmenter.Segment(req.Query, wanted)
		if err != nil {
			return nil, err
		}
		ids = ids[:0]
		for _, user := range scored {
			ids = append(ids, user.UserID)
		}
		if req.Filter == nil {
			return ids, nil
		}
		req.Table.Add(ids...) // a user may have no attributes
		selection := req.Filter.Select(req.Table, req.Subject)
		ids = slices.DeleteFunc(ids, func(id string) bool {
			row, _ := req.Table.Row(id)
			return !selection.Has(row)
		})
		if len(ids) >= req.Results || len(scored) < wanted {
			return ids[:min(len(ids), req.Results)], nil
		}
	}
}
