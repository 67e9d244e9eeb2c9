package control

import (
	"context"
	"strings"

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/schema"
)

// batchRequest is what requests for batch inference and for batch segments have in common.
type batchRequest struct {
	kind          string // of the job
	name          string
	versionARN    string
	filterARN     *string
	filters       schema.Type // what a filter must be for
	input, output string      // S3 paths
	numResults    *int64
	mostResults   int64
	running       int // quota
	tags          []personalize.Tag
}

// batchPlace is where a new batch job goes.
type batchPlace struct {
	meta    catalog.Metadata
	version *catalog.SolutionVersion
	recipe  *recipe.Recipe
	parents []catalog.Place
}

// placeBatch asks everything of a request that does not depend on whether it is for inference or for segments. A job holds the
// solution whose version it uses, and its filter, until it has finished.
func (s *Service) placeBatch(ctx context.Context, req batchRequest) (*batchPlace, error) {
	tags, err := parseTags(req.tags)
	if err != nil {
		return nil, err
	}
	version, err := findVersion(ctx, s, req.versionARN)
	if err != nil {
		return nil, err
	}
	solution, err := find[*catalog.Solution](ctx, s, "solutionVersionArn", version.SolutionARN, resource.Solution)
	if err != nil {
		return nil, err
	}
	var chosen *catalog.Filter
	if req.filterARN != nil {
		if chosen, err = find[*catalog.Filter](ctx, s, "filterArn", *req.filterARN, resource.Filter); err != nil {
			return nil, err
		}
	}
	arn := beside(version.ARN, req.kind, req.name)
	if err := mustBeFree(ctx, s, arn); err != nil {
		return nil, err
	}
	if err := s.mustBeFewTags(tags); err != nil {
		return nil, err
	}
	underAccount, err := s.placeJob(ctx, arn, req.running)
	if err != nil {
		return nil, err
	}
	if err := mustBeActive(version); err != nil {
		return nil, err
	}
	underSolution, err := place(ctx, s, solution, mustBeActiveSolution)
	if err != nil {
		return nil, err
	}
	placed := &batchPlace{
		meta: pending(arn, req.name, tags), version: version, parents: []catalog.Place{underAccount, underSolution},
	}
	if chosen != nil {
		underFilter, err := place(ctx, s, chosen, func(f *catalog.Filter) error { return mustBeActive(f) })
		if err != nil {
			return nil, err
		}
		placed.parents = append(placed.parents, underFilter)
	}
	if err := s.mustNotDeleteUsers(ctx, version.DatasetGroupARN); err != nil {
		return nil, err
	}
	if chosen != nil && chosen.DatasetGroupARN != version.DatasetGroupARN {
		return nil, awsapi.InvalidInput("filterArn %s and solutionVersionArn %s belong to different dataset groups", chosen.ARN, version.ARN)
	}
	if chosen != nil {
		if err := s.checkBatchFilter(chosen, req.filters, version); err != nil {
			return nil, err
		}
	}
	if n := req.numResults; n != nil && (*n < 1 || *n > req.mostResults) {
		return nil, awsapi.InvalidInput("numResults is %d, it must be from 1 to %d", *n, req.mostResults)
	}
	if err := checkPaths(req.input, req.output); err != nil {
		return nil, err
	}
	if placed.recipe, err = findRecipe("recipeArn", version.RecipeARN); err != nil {
		return nil, err
	}
	return placed, nil
}

// checkBatchFilter refuses a filter that the job could do nothing with.
func (s *Service) checkBatchFilter(f *catalog.Filter, target schema.Type, version *catalog.SolutionVersion) error {
	schemas, err := attributes.Source{View: s.view}.Schemas(f.DatasetGroupARN)
	if err != nil {
		return err
	}
	compiled, err := filter.Compile(f.Expression, schemas)
	switch {
	case err != nil:
		return awsapi.InvalidInput("Filter %s: %v", f.ARN, err)
	case compiled.Target() != target:
		return awsapi.InvalidInput("Filter %s is for %s, this job needs one for %s", f.ARN, filter.TargetName(compiled.Target()), filter.TargetName(target))
	case version.RecipeARN == attributeAffinity && compiled.Uses(schema.Interactions.DatasetType()):
		return awsapi.InvalidInput("Filter %s asks for interactions, which is not possible with recipe %s", f.ARN, version.RecipeARN)
	}
	return nil
}

const attributeAffinity = "arn:aws:personalize:::recipe/aws-item-attribute-affinity"

// checkPaths refuses an input or an output that is no place in S3, and an output that is the input.
func checkPaths(input, output string) error {
	if _, _, err := dataset.ParseLocation(input); err != nil {
		return awsapi.InvalidInput("Invalid S3 input path. It is s3://<bucket>/<file> or s3://<bucket>/<folder>/")
	}
	if err := checkOutput(output); err != nil {
		return err
	}
	if strings.TrimSuffix(input, "/") == strings.TrimSuffix(output, "/") {
		return awsapi.InvalidInput("Invalid S3 output path. It must differ from the input path")
	}
	return nil
}

func checkOutput(output string) error {
	if _, _, err := dataset.ParseLocation(strings.TrimSuffix(output, "/") + "/"); err != nil {
		return awsapi.InvalidInput("Invalid S3 output path. It is s3://<bucket>/<folder>/")
	}
	return nil
}

// mustNotDeleteUsers refuses to begin a job on data from which users are being deleted.
func (s *Service) mustNotDeleteUsers(ctx context.Context, groupARN string) error {
	group, err := s.store.DatasetGroups.Get(ctx, groupARN)
	if err != nil {
		return err
	}
	if err := s.store.Sweep(ctx, group); err != nil {
		return err
	}
	for _, child := range group.Children {
		if resource.TypeOf(child.ARN) == resource.DataDeletionJob {
			return awsapi.ResourceInUse("Dataset group %s is in use by %s", groupARN, child.ARN)
		}
	}
	return nil
}

func location(config *personalize.S3DataConfig) string { return awsapi.Text(config.Path) }

// given is a number that a request may leave out.
func given(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func orZero(member *int64) int64 {
	if member == nil {
		return 0
	}
	return *member
}
