package solutions

import (
	"context"
	"errors"
	"strings"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

// batchCreation is what the creations of batch inference jobs and of batch segment jobs have in common. A job holds the
// solution whose version it uses, and its filter, until it has finished.
type batchCreation struct {
	env           *crud.Env
	kind          string // of the job
	name          string
	versionARN    string
	filterARN     *string
	target        schema.Type // of the filter
	input, output string      // S3 paths
	numResults    *int64
	maxResults    int64

	// Found by resolve.
	version  *catalog.SolutionVersion
	solution *catalog.Solution
	filter   *catalog.Filter // nil: none
}

func (b *batchCreation) resolve(ctx context.Context) (err error) {
	if b.version, err = findVersion(ctx, b.env, b.versionARN); err != nil {
		return err
	}
	b.solution, err = crud.Find[*catalog.Solution](ctx, b.env, "solutionVersionArn", b.version.SolutionARN)
	if err != nil || b.filterARN == nil {
		return err
	}
	b.filter, err = crud.Find[*catalog.Filter](ctx, b.env, "filterArn", *b.filterARN)
	return err
}

func (b *batchCreation) arn() string { return crud.SiblingARN(b.version.ARN, b.kind, b.name) }

func (b *batchCreation) parents(string) []crud.Parent {
	versionActive := func(*catalog.Solution) error { return crud.ValidateActive(b.version) }
	parents := []crud.Parent{crud.Under(b.solution, versionActive, crud.ValidateActive)}
	if b.filter != nil {
		parents = append(parents, crud.Under(b.filter, crud.ValidateActive))
	}
	return parents
}

// validate returns the recipe that the version was trained with.
func (b *batchCreation) validate(ctx context.Context) (*recipe.Recipe, error) {
	if err := crud.CheckNotDeleting(ctx, b.env, b.version.DatasetGroupARN); err != nil {
		return nil, err
	}
	if b.filter != nil {
		if err := b.validateFilter(); err != nil {
			return nil, err
		}
	}
	if n := b.numResults; n != nil && (*n < 1 || *n > b.maxResults) {
		return nil, awsapi.InvalidInput("numResults is %d, it must be from 1 to %d", *n, b.maxResults)
	}
	if err := validatePaths(b.input, b.output); err != nil {
		return nil, err
	}
	return crud.FindRecipe("recipeArn", b.version.RecipeARN)
}

// validateFilter refuses a filter that the job cannot use.
func (b *batchCreation) validateFilter() error {
	filters := attributes.NewFilters(attributes.Source{View: b.env.View})
	compiled, err := filters.Resolve(b.filter, b.version.DatasetGroupARN, b.target)
	if unfit := new(attributes.FilterError); errors.As(err, &unfit) {
		return awsapi.InvalidInput("The %v", unfit)
	}
	if err != nil {
		return err
	}
	if b.version.RecipeARN == attributeAffinity && compiled.Uses(schema.Interactions.DatasetType()) {
		return awsapi.InvalidInput("Filter %s asks for interactions, which is not possible with recipe %s",
			b.filter.ARN, b.version.RecipeARN)
	}
	return nil
}

const attributeAffinity = "arn:aws:personalize:::recipe/aws-item-attribute-affinity"

// validatePaths refuses an input or an output that is not in S3, and an output that is the input.
func validatePaths(input, output string) error {
	if _, _, err := dataset.ParseLocation(input); err != nil {
		return awsapi.InvalidInput("Invalid S3 input path. It is s3://<bucket>/<file> or s3://<bucket>/<folder>/")
	}
	if err := crud.ValidateOutputPath(output); err != nil {
		return err
	}
	if strings.TrimSuffix(input, "/") == strings.TrimSuffix(output, "/") {
		return awsapi.InvalidInput("Invalid S3 output path. It must differ from the input path")
	}
	return nil
}

func s3Path(config *personalize.S3DataConfig) string { return awsapi.Text(config.Path) }

// nonZero returns nil for a number that a request left out.
func nonZero(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func flag(member *bool) bool { return member != nil && *member }

func orZero(member *int64) int64 {
	if member == nil {
		return 0
	}
	return *member
}
