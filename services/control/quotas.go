package control

import "github.com/penchant-io/penchant/pkg/awsapi"

// Quotas bound what clients may create. Zero values stand for the defaults, which are Amazon Personalize's but for dataset groups.
type Quotas struct {
	DatasetGroups, Schemas               int // 500, 500
	SolutionsPerGroup, CampaignsPerGroup int // 10, 5
	RecommendersPerGroup                 int // 5
	MetricAttributionsPerGroup           int // 1
	FiltersPerGroup                      int // 10
	FilterFieldsPerGroup                 int // 10: different fields over all filters of a group
	RunningImports, RunningTrainings     int // 5, 20: pending or in progress, in the account
	RunningExports, RunningDeletions     int // 5, 5: likewise
	TagsPerResource                      int // 50

	RunningBatchInferences, RunningBatchSegments int // 5, 5: likewise
}

func (q Quotas) withDefaults() Quotas {
	for _, d := range []struct {
		quota *int
		value int
	}{
		{&q.DatasetGroups, 500}, {&q.Schemas, 500},
		{&q.SolutionsPerGroup, 10}, {&q.CampaignsPerGroup, 5},
		{&q.RecommendersPerGroup, 5}, {&q.MetricAttributionsPerGroup, 1},
		{&q.FiltersPerGroup, 10}, {&q.FilterFieldsPerGroup, 10},
		{&q.RunningImports, 5}, {&q.RunningTrainings, 20},
		{&q.RunningExports, 5}, {&q.RunningDeletions, 5},
		{&q.RunningBatchInferences, 5}, {&q.RunningBatchSegments, 5},
		{&q.TagsPerResource, 50},
	} {
		if *d.quota == 0 {
			*d.quota = d.value
		}
	}
	return q
}

// within refuses one more than limit resources in a state.
func within(existing, limit int, state string) error {
	if existing < limit {
		return nil
	}
	return awsapi.LimitExceeded("More than %d resources %s. Please delete some and try again", limit, state)
}

const (
	inAnyState = "in ACTIVE state"
	unfinished = "with PENDING or IN_PROGRESS status"
)
