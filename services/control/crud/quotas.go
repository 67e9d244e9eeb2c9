package crud

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
)

// Quotas bound what clients may create. Zero values stand for the defaults in the table below, which are Amazon
// Personalize's but for dataset groups.
type Quotas struct {
	DatasetGroups, Schemas               int
	SolutionsPerGroup, CampaignsPerGroup int
	RecommendersPerGroup                 int
	MetricAttributionsPerGroup           int
	ExperimentsPerGroup                  int
	FiltersPerGroup                      int
	FilterFieldsPerGroup                 int // different fields over all filters of a group
	TagsPerResource                      int
	// Pending or in progress, in the account.
	RunningImports, RunningExports, RunningDeletions               int
	RunningTrainings, RunningBatchInferences, RunningBatchSegments int
}

// named is a quota with its name in the settings.
type named struct {
	name         string
	quota        *int
	defaultValue int
}

func (q *Quotas) all() []named {
	return []named{
		{"dataset-groups", &q.DatasetGroups, 500},
		{"schemas", &q.Schemas, 500},
		{"solutions-per-group", &q.SolutionsPerGroup, 10},
		{"campaigns-per-group", &q.CampaignsPerGroup, 5},
		{"recommenders-per-group", &q.RecommendersPerGroup, 5},
		{"metric-attributions-per-group", &q.MetricAttributionsPerGroup, 1},
		{"experiments-per-group", &q.ExperimentsPerGroup, 20},
		{"filters-per-group", &q.FiltersPerGroup, 10},
		{"filter-fields-per-group", &q.FilterFieldsPerGroup, 10},
		{"running-imports", &q.RunningImports, 5},
		{"running-trainings", &q.RunningTrainings, 20},
		{"running-exports", &q.RunningExports, 5},
		{"running-deletions", &q.RunningDeletions, 5},
		{"running-batch-inferences", &q.RunningBatchInferences, 5},
		{"running-batch-segments", &q.RunningBatchSegments, 5},
		{"tags-per-resource", &q.TagsPerResource, 50},
	}
}

// ParseQuotas makes quotas of values by name, such as filters-per-group: 50. Those that are not named keep their
// defaults. An unknown name or a value below 1 is an error.
func ParseQuotas(values map[string]int) (Quotas, error) {
	var q Quotas
	all := q.all()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(all, func(n named) bool { return n.name == name })
		switch {
		case i < 0:
			known := make([]string, len(all))
			for k, n := range all {
				known[k] = n.name
			}
			return Quotas{}, fmt.Errorf("quota %q is unknown; there are %s", name, strings.Join(known, ", "))
		case values[name] < 1:
			return Quotas{}, fmt.Errorf("quota %s=%d: it is at least 1", name, values[name])
		}
		*all[i].quota = values[name]
	}
	return q, nil
}

// UnmarshalText reads quotas as a setting has them: filters-per-group=50,schemas=3. Those that q has already and the
// text does not name stay.
func (q *Quotas) UnmarshalText(text []byte) error {
	values := map[string]int{}
	for pair := range strings.SplitSeq(string(text), ",") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("quota %q: want name=number", pair)
		}
		values[name] = n
	}
	parsed, err := ParseQuotas(values)
	if err != nil {
		return err
	}
	for i, n := range parsed.all() {
		if *n.quota != 0 {
			*q.all()[i].quota = *n.quota
		}
	}
	return nil
}

// WithDefaults returns the quotas with the default values of those that are zero.
func (q Quotas) WithDefaults() Quotas {
	for _, n := range q.all() {
		if *n.quota == 0 {
			*n.quota = n.defaultValue
		}
	}
	return q
}

const (
	inAnyState = "in ACTIVE state"
	unfinished = "with PENDING or IN_PROGRESS status"
)

// CheckQuota refuses one more than limit resources.
func CheckQuota(existing, limit int) error { return checkQuota(existing, limit, inAnyState) }

func checkQuota(existing, limit int, state string) error {
	if existing < limit {
		return nil
	}
	return awsapi.LimitExceeded("More than %d resources %s. Please delete some and try again", limit, state)
}
