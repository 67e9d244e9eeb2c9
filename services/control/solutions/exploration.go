package solutions

import (
	"context"
	"maps"
	"slices"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

// The settings of an itemExplorationConfig: how new items are explored, and, which Amazon Personalize does not have,
// how diverse lists are.
const (
	explorationWeight = "explorationWeight"
	itemAgeCutOff     = "explorationItemAgeCutOff"
	diversityWeight   = "diversityWeight"
	diversityColumn   = "diversityColumn"
)

// validateExploration refuses an itemExplorationConfig with settings that there are none of, that are out of range, or
// that the recipe or the dataset group cannot have. Personalize takes settings of exploration for recipes that explore
// nothing, and so does this; those of diversity are refused there, as nobody can have a reason to send them.
func validateExploration(ctx context.Context, e *crud.Env, config map[string]string, recipeARN, groupARN string) error {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		if err := validateExplorationSetting(name, config[name]); err != nil {
			return err
		}
	}
	for _, name := range []string{diversityWeight, diversityColumn} {
		if _, given := config[name]; !given {
			continue
		}
		if r, known := recipe.ByARN(recipeARN); known && !r.Explores {
			return awsapi.InvalidInput(
				"itemExplorationConfig: %s is for recipes that explore items, which %s does not", name, recipeARN,
			)
		}
	}
	if column, given := config[diversityColumn]; given {
		return validateDiversityColumn(ctx, e, column, groupARN)
	}
	return nil
}

func validateExplorationSetting(name, value string) error {
	f, err := parseFinite(value)
	switch name {
	case explorationWeight, diversityWeight:
		if err != nil || f < 0 || f > 1 {
			return awsapi.InvalidInput("%s %q is not a number from 0 to 1", name, value)
		}
	case itemAgeCutOff:
		if err != nil || f <= 0 {
			return awsapi.InvalidInput("%s %q is not a number of days above 0", name, value)
		}
	case diversityColumn:
		if value == "" {
			return awsapi.InvalidInput("%s is empty: it is the name of a column of the Items dataset", name)
		}
	default:
		return awsapi.InvalidInput("itemExplorationConfig has no %q: it has %s, %s, %s and %s",
			name, explorationWeight, itemAgeCutOff, diversityWeight, diversityColumn)
	}
	return nil
}

// validateDiversityColumn refuses a column that the Items dataset does not have, or whose values are no categories.
// Without a dataset nothing can be said of it.
func validateDiversityColumn(ctx context.Context, e *crud.Env, column, groupARN string) error {
	schemas, err := crud.GroupSchemas(ctx, e, groupARN)
	if err != nil {
		return err
	}
	items, described := schemas[schema.Items.DatasetType()]
	if !described {
		return nil
	}
	field, has := items.Field(column)
	switch {
	case !has:
		return awsapi.InvalidInput("%s: the %s dataset has no column %s", diversityColumn, schema.Items, column)
	case field.Textual, items.FirstClass(column):
		return awsapi.InvalidInput(
			"%s: column %s of the %s dataset holds no categories", diversityColumn, column, schema.Items,
		)
	}
	return nil
}
