// Package recipe is the one table of what Penchant can train: for each recipe its Amazon Personalize name and type, its
// hyper-parameters with defaults and ranges, and the functions that train and load its model. The control plane reads
// the table to describe recipes and to check solutions, the retrainer and the recommender to train and serve them. A
// new recipe is a folder under pkg/model and a row in table.go.
package recipe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/coldstart"
	"github.com/penchant-io/penchant/pkg/model/objective"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// The recipe types of the Personalize API.
const (
	UserPersonalization = "USER_PERSONALIZATION"
	PersonalizedRanking = "PERSONALIZED_RANKING"
	RelatedItems        = "RELATED_ITEMS"
	PopularItems        = "POPULAR_ITEMS"
	UserSegmentation    = "USER_SEGMENTATION"
	PersonalizedActions = "PERSONALIZED_ACTIONS"
)

// The domains of domain dataset groups.
const (
	Ecommerce     = "ECOMMERCE"
	VideoOnDemand = "VIDEO_ON_DEMAND"
)

// ScoreKind says which scores an answer of the recipe carries.
type ScoreKind int

const (
	// NoScores means that the answer holds item ids alone.
	NoScores ScoreKind = iota
	// CatalogueScores sum to 1 over all items of the model.
	CatalogueScores
	// ListScores sum to 1 over the list that the request gave.
	ListScores
	// Propensities are the model's scores as they are: each the probability, from 0 to 1, that the user takes the
	// action.
	Propensities
)

// Options steer a training without changing what is learned from the same data.
type Options struct {
	// Seed fixes every random choice: same data and seed, same model, byte for byte.
	Seed int64
	// Threads bounds the goroutines that train at once; 0 means one per CPU. It does not influence the result.
	Threads int
	// Progress, when set, receives the share of the work that is done, from 0 to 1, from one goroutine at a time.
	Progress func(done float64)
}

// Recipe is one row of the table. Rows are shared and read-only.
type Recipe struct {
	// Name is the last part of the ARN, such as aws-sims.
	Name string
	// Type is the API's recipe type, such as RELATED_ITEMS.
	Type string
	// Algorithm and FeatureTransformation are the last parts of the ARNs that DescribeRecipe shows.
	Algorithm, FeatureTransformation string
	Description                      string
	HyperParameters                  []Parameter
	Scores                           ScoreKind
	// Realtime is true where a user's newest events change their recommendations without a training.
	Realtime bool
	// Explores is true where answers show new items on purpose, as far as a campaign or recommender says so.
	Explores bool

	// Domain is the domain whose recommenders the recipe, a domain use case, is for; "" for recipes of solutions.
	Domain string
	// EventType is the only type of event that a use case trains on; "" for all.
	EventType string
	// MinEvents is how many events (of EventType) a use case needs at least; 0 where the general minimum holds.
	MinEvents int
	// HidesEvents are the event types whose items a use case never recommends to the user who has caused them.
	HidesEvents []string
	// NeedsItems is true where the recipe learns from an Items dataset and cannot do without.
	NeedsItems bool

	training
	// check says what the recipe misses in a training set; nil checks nothing.
	check func(ts *trainingset.Set, p Params) error
}

// training is how a recipe's model is made. Several recipes share one.
type training struct {
	train    func(ctx context.Context, ts *trainingset.Set, p Params, o Options) (model.Model, error)
	load     func(parts map[string][]byte) (model.Model, error)
	interval func(p Params) time.Duration
}

// Train learns a model from the set. It stops early with the context's error. It makes the best of any set; CheckData
// reports whether that is worth anything.
func (r *Recipe) Train(ctx context.Context, ts *trainingset.Set, p Params, o Options) (model.Model, error) {
	m, err := r.train(ctx, ts, p, o)
	if err != nil || !r.Realtime || r.Type == PersonalizedActions {
		return m, err
	}
	lifts, err := coldstart.Train(ctx, m.Items(), ts, o.Threads)
	if err != nil || lifts == nil {
		return m, err
	}
	return model.Adjust(m, lifts), nil
}

// Load decodes the parts of a trained model and the adjustments that it was stored with. Corrupt parts are an error,
// never a panic.
func (r *Recipe) Load(parts map[string][]byte) (model.Model, error) {
	m, err := r.load(parts)
	if err != nil {
		return nil, err
	}
	if data, ok := parts[coldstart.PartName]; ok {
		lifts, err := coldstart.Load(data, m.Items())
		if err != nil {
			return nil, err
		}
		m = model.Adjust(m, lifts)
	}
	if data, ok := parts[objective.PartName]; ok {
		bonus, err := objective.Load(data, m.Items().Len())
		if err != nil {
			return nil, err
		}
		m = model.Adjust(m, bonus)
	}
	return m, nil
}

// Interval is how often a model must be trained again to be current, as the parameters wish; 0 for recipes whose models
// only grow old slowly.
func (r *Recipe) Interval(p Params) time.Duration {
	if r.interval == nil {
		return 0
	}
	return r.interval(p)
}

// UnsuitableError says that a training set lacks what the recipe learns from; its text is the failure reason that
// clients see.
type UnsuitableError struct{ reason string }

// Error is the failure reason.
func (e *UnsuitableError) Error() string { return e.reason }

func unsuitable(format string, args ...any) error {
	return &UnsuitableError{fmt.Sprintf(format, args...)}
}

// CheckData says, before a training, whether the set has what this recipe needs beside interactions: an Items dataset,
// textual columns, cold items. The error is an *UnsuitableError. How many interactions there must be is for
// trainingset.Set.CheckMinimum to say, with MinEvents.
func (r *Recipe) CheckData(ts *trainingset.Set, p Params) error {
	if r.NeedsItems && len(ts.ItemRows) == 0 {
		return unsuitable("Recipe %s needs an Items dataset with data", r.Name)
	}
	if r.check == nil {
		return nil
	}
	return r.check(ts, p)
}

// ARN is arn:aws:personalize:::recipe/<name>; recipes belong to no account and no region.
func (r *Recipe) ARN() string { return arnPrefix + r.Name }

// AlgorithmARN is the ARN that DescribeAlgorithm takes.
func (r *Recipe) AlgorithmARN() string { return "arn:aws:personalize:::algorithm/" + r.Algorithm }

// FeatureTransformationARN is the ARN that DescribeFeatureTransformation takes.
func (r *Recipe) FeatureTransformationARN() string {
	return "arn:aws:personalize:::feature-transformation/" + r.FeatureTransformation
}

const arnPrefix = "arn:aws:personalize:::recipe/"

// All is the table, in the order in which recipes are listed. The slice is the caller's, the recipes are shared.
func All() []*Recipe { return append([]*Recipe(nil), table...) }

// ByARN finds the recipe of an ARN.
func ByARN(arn string) (*Recipe, bool) {
	name, ok := strings.CutPrefix(arn, arnPrefix)
	if !ok {
		return nil, false
	}
	return ByName(name)
}

// ByName finds the recipe of a name such as aws-sims.
func ByName(name string) (*Recipe, bool) {
	for _, r := range table {
		if r.Name == name {
			return r, true
		}
	}
	return nil, false
}
