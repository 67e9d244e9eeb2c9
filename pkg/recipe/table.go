package recipe

import (
	"context"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/ials"
	"github.com/penchant-io/penchant/pkg/model/objective"
	"github.com/penchant-io/penchant/pkg/model/popularity"
	"github.com/penchant-io/penchant/pkg/model/sims"
)

// table lists the recipes. To add one: write its model in a folder under pkg/model and add a row; the shared suite in
// pkg/model/modeltest then tests it.
var table = []*Recipe{
	{
		Name: "aws-popularity-count", Type: PopularItems,
		Algorithm: "aws-popularity-count", FeatureTransformation: "sims",
		Description: "Ranks items by how many interactions they have. The same list for everybody: a baseline for the other recipes.",
		Scores:      NoScores,
		Train:       trainPopularity,
		Load:        load(popularity.Load),
	},
	{
		Name: "aws-sims", Type: RelatedItems,
		Algorithm: "aws-sims", FeatureTransformation: "sims",
		Description: "Finds items related to a given item from how often the same users interacted with both, discounting what is popular with everybody.",
		HyperParameters: []Parameter{
			{Name: "popularity_discount_factor", Default: "0.5", Kind: Continuous, Min: 0, Max: 1, Tunable: true},
			{Name: "min_cointeraction_count", Default: "3", Kind: Integer, Min: 0, Max: 10, Tunable: true},
			share("min_user_history_length_percentile", "0.005"),
			share("max_user_history_length_percentile", "0.995"),
			share("min_item_interaction_count_percentile", "0.01"),
			share("max_item_interaction_count_percentile", "0.9"),
		},
		Scores: NoScores,
		Train:  trainSIMS,
		Load:   load(sims.Load),
	},
	{
		Name: "aws-user-personalization", Type: UserPersonalization,
		Algorithm: "aws-user-personalization", FeatureTransformation: "JSON-percentile-filtering",
		Description:     "Recommends items for a user from his own and everybody's interactions by implicit matrix factorisation; new events of a user change his recommendations at once.",
		HyperParameters: factorisationParameters,
		Scores:          CatalogueScores, Realtime: true,
		Train: trainIALS,
		Load:  load(ials.Load),
	},
	{
		Name: "aws-personalized-ranking", Type: PersonalizedRanking,
		Algorithm: "aws-personalized-ranking", FeatureTransformation: "JSON-percentile-filtering",
		Description:     "Puts a given list of items into the order in which a user will like them, with the model of aws-user-personalization.",
		HyperParameters: factorisationParameters,
		Scores:          ListScores, Realtime: true,
		Train: trainIALS,
		Load:  load(ials.Load),
	},
}

// factorisationParameters are those of Personalize's recurrent networks, so that existing solution configurations are
// accepted as they are. hidden_dimension is the number of latent factors; its default suits catalogues of some thousand
// items and more, smaller ones take fewer by themselves (ials.Config). bptt and recency_mask steer the training of a
// recurrent network and have no effect on matrix factorisation.
var factorisationParameters = []Parameter{
	{Name: "hidden_dimension", Default: "149", Kind: Integer, Min: 32, Max: 256, Tunable: true},
	{Name: "bptt", Default: "32", Kind: Integer, Min: 2, Max: 32, Tunable: true},
	{Name: "recency_mask", Default: "true", Kind: Categorical, Values: []string{"true", "false"}, Tunable: true},
	share("min_user_history_length_percentile", "0.0"),
	share("max_user_history_length_percentile", "0.99"),
}

// share is a feature transformation parameter that is a quantile.
func share(name, value string) Parameter {
	return Parameter{Name: name, Default: value, Kind: Continuous, Min: 0, Max: 1, Feature: true}
}

func trainPopularity(ctx context.Context, ts *dataset.TrainingSet, _ Params, o Options) (model.Model, error) {
	return asModel(popularity.Train(ctx, ts, o.Progress))
}

func trainSIMS(ctx context.Context, ts *dataset.TrainingSet, p Params, o Options) (model.Model, error) {
	return asModel(sims.Train(ctx, ts, sims.Config{
		PopularityDiscount: p.Float("popularity_discount_factor"),
		MinCointeractions:  p.Int("min_cointeraction_count"),
		Users:              percentiles(p, "user_history_length_percentile"),
		Items:              percentiles(p, "item_interaction_count_percentile"),
		Threads:            o.Threads,
		Progress:           o.Progress,
	}))
}

func trainIALS(ctx context.Context, ts *dataset.TrainingSet, p Params, o Options) (model.Model, error) {
	c := ials.DefaultConfig()
	c.Dim = p.Int("hidden_dimension")
	c.Users = percentiles(p, "user_history_length_percentile")
	c.Seed = o.Seed
	c.Threads = o.Threads
	c.Progress = o.Progress
	return asModel(ials.Train(ctx, ts, c))
}

func percentiles(p Params, name string) model.Percentiles {
	return model.Percentiles{Min: p.Float("min_" + name), Max: p.Float("max_" + name)}
}

// load turns a package's Load, which returns its own type, into the table's, and has the model follow the objective that it
// was trained with.
func load[M model.Model](f func(map[string][]byte) (M, error)) func(map[string][]byte) (model.Model, error) {
	return func(parts map[string][]byte) (model.Model, error) {
		m, err := asModel(f(parts))
		if err != nil {
			return nil, err
		}
		return objective.Load(m, parts)
	}
}

// asModel makes an interface of a package's own type; with an error it is nil, which a nil pointer in it would not be.
func asModel[M model.Model](m M, err error) (model.Model, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}
