package operator

import (
	"context"

	"github.com/penchant-io/penchant/pkg/datadoctor"
)

// ExamineData has the data doctor look at the data of a dataset group, at the first rows of each dataset, or at all for
// 0.
func (i *Installation) ExamineData(ctx context.Context, datasetGroup string, rows int64,
	o datadoctor.Options) (*datadoctor.Report, error) {
	if err := i.need(ctx, s3); err != nil {
		return nil, err
	}
	groups, err := i.groups(ctx, datasetGroup)
	if err != nil {
		return nil, err
	}
	return datadoctor.Group{Catalog: i.catalog, Bucket: i.bucket, Group: groups[0], Rows: rows}.Examine(ctx, o)
}
