package recipe

import (
	"github.com/penchant-io/penchant/pkg/model/content"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// table lists the recipes: those of solutions first, then the domain use cases. To add one: write its model in a folder
// under pkg/model, its training in train.go, and add a row; the shared suite in pkg/model/modeltest then tests it.
//
// Algorithms and feature transformations that several rows name are described by the first of them.
var table = []*Recipe{
	{
		Name: "aws-popularity-count", Type: PopularItems,
		Algorithm: "aws-popularity-count", FeatureTransformation: "sims",
		Description: "Ranks items by how many interactions they have. The same list for everybody: a baseline for " +
			"the other recipes.",
		Scores:   NoScores,
		training: popularityCount,
	},
	{
		Name: "aws-trending-now", Type: PopularItems,
		Algorithm: "aws-trending-now-custom", FeatureTransformation: "trending-now",
		Description: "Ranks items by how much their interactions in the newest interval (trend_discovery_frequency) " +
			"exceed what the intervals before it had. The same list for everybody, as fresh as its training.",
		HyperParameters: []Parameter{
			{Name: trendFrequency, Default: "3h", Kind: Categorical, Values: trendFrequencies, Feature: true},
		},
		Scores:   NoScores,
		training: trendingNow,
	},
	{
		Name: "aws-sims", Type: RelatedItems,
		Algorithm: "aws-sims", FeatureTransformation: "sims",
		Description: "Finds items related to a given item from how often the same users interacted with both, " +
			"discounting what is popular with everybody.",
		HyperParameters: []Parameter{
			{Name: "popularity_discount_factor", Default: "0.5", Kind: Continuous, Min: 0, Max: 1, Tunable: true},
			{Name: "min_cointeraction_count", Default: "3", Kind: Integer, Min: 0, Max: 10, Tunable: true},
			share("min_user_history_length_percentile", "0.005"),
			share("max_user_history_length_percentile", "0.995"),
			share("min_item_interaction_count_percentile", "0.01"),
			share("max_item_interaction_count_percentile", "0.9"),
		},
		Scores:   NoScores,
		training: similarInteractions,
	},
	{
		Name: "aws-similar-items", Type: RelatedItems,
		Algorithm: "aws-similar-items", FeatureTransformation: "similar-items",
		Description: "Finds items similar to a given item from what users choose shortly before and after it, and " +
			"from the categories and numbers of the Items dataset, which alone decide for items without interactions.",
		// Both of Personalize's parameters say how much of an item its vector keeps. The vectors here are sparse: so
		// many items that are chosen near it, and so many terms of metadata.
		HyperParameters: []Parameter{
			{Name: "item_id_hidden_dim", Default: "100", Kind: Integer, Min: 30, Max: 200, Tunable: true},
			{Name: "item_metadata_hidden_dim", Default: "100", Kind: Integer, Min: 30, Max: 200, Tunable: true},
		},
		Scores:   NoScores,
		training: similarItems(0.1),
	},
	{
		Name: "aws-semantic-similarity", Type: RelatedItems,
		Algorithm: "aws-semantic-similarity", FeatureTransformation: "semantic-similarity",
		Description: "Finds items whose descriptions (textual columns of the Items dataset) share distinctive words " +
			"and pieces of words with those of a given item. Needs no interactions of the items. It knows no synonyms.",
		Scores:     NoScores,
		NeedsItems: true,
		check:      needsText,
		training:   semanticSimilarity,
	},
	{
		Name: "aws-user-personalization", Type: UserPersonalization,
		Algorithm: "aws-user-personalization", FeatureTransformation: "JSON-percentile-filtering",
		Description: "Recommends items for a user by several models together (a recurrent network, matrix " +
			"factorisation, regressions, rules and neighbours, the Items dataset's categories and numbers), whose " +
			"weights are learned from interactions that none of them has seen; new events of a user change his " +
			"recommendations at once.",
		HyperParameters: networkParameters("149"),
		Scores:          CatalogueScores, Realtime: true, Explores: true,
		training: ensemble,
	},
	{
		Name: "aws-user-personalization-v2", Type: UserPersonalization,
		Algorithm: "aws-user-personalization-v2", FeatureTransformation: "user-personalization-v2",
		Description: "Recommends items for a user with the models of aws-user-personalization; new events of a " +
			"user change his recommendations at once.",
		HyperParameters: secondGeneration,
		Scores:          CatalogueScores, Realtime: true, Explores: true,
		training: ensemble,
	},
	{
		Name: "aws-hrnn", Type: UserPersonalization,
		Algorithm: "aws-hrnn", FeatureTransformation: "JSON-percentile-filtering",
		Description: "Recommends items for a user by a recurrent network with a state that moves with each " +
			"interaction of a session and one that moves from session to session; new events of a user change his " +
			"recommendations at once.",
		HyperParameters: networkParameters("43"),
		Scores:          CatalogueScores, Realtime: true,
		training: recurrentNetwork(false),
	},
	{
		Name: "aws-hrnn-metadata", Type: UserPersonalization,
		Algorithm: "aws-hrnn-metadata", FeatureTransformation: "featurize_metadata",
		Description: "The network of aws-hrnn, in which items share what is learned about the categories and " +
			"numbers of the Items dataset, which places items with few interactions among their like.",
		HyperParameters: networkParameters("43"),
		Scores:          CatalogueScores, Realtime: true,
		training: recurrentNetwork(true),
	},
	{
		Name: "aws-hrnn-coldstart", Type: UserPersonalization,
		Algorithm: "aws-hrnn-coldstart", FeatureTransformation: "featurize_coldstart",
		Description: "The network of aws-hrnn-metadata, in which cold items, new ones with few interactions, " +
			"compete with the others by their metadata, as if they were as popular as a typical item. Needs from " +
			"100 to 80000 cold items.",
		HyperParameters: append(networkParameters("149"),
			Parameter{
				Name: "cold_start_max_interactions", Default: "15", Kind: Integer, Min: 1, Max: 1e9, Feature: true,
			},
			Parameter{
				Name: "cold_start_max_duration", Default: "5.0", Kind: Continuous, Min: smallestPositive, Max: 1e6,
				Feature: true,
			},
			Parameter{
				Name: "cold_start_relative_from", Default: latestItem, Kind: Categorical,
				Values: []string{latestItem, currentTime}, Feature: true,
			},
		),
		Scores: CatalogueScores, Realtime: true, NeedsItems: true,
		check:    needsColdItems,
		training: coldStart,
	},
	{
		Name: "aws-personalized-ranking", Type: PersonalizedRanking,
		Algorithm: "aws-personalized-ranking", FeatureTransformation: "JSON-percentile-filtering",
		Description: "Puts a given list of items into the order in which a user will like them, with the model " +
			"of aws-user-personalization.",
		HyperParameters: networkParameters("149"),
		Scores:          ListScores, Realtime: true,
		training: ensemble,
	},
	{
		Name: "aws-personalized-ranking-v2", Type: PersonalizedRanking,
		Algorithm: "aws-personalized-ranking-v2", FeatureTransformation: "personalized-ranking-v2",
		Description: "Puts a given list of items into the order in which a user will like them, with the model " +
			"of aws-user-personalization-v2.",
		HyperParameters: secondGeneration,
		Scores:          ListScores, Realtime: true,
		training: ensemble,
	},
	{
		Name: "aws-next-best-action", Type: PersonalizedActions,
		Algorithm: "aws-next-best-action", FeatureTransformation: "next-best-action",
		Description: "Predicts how probably a user takes each action if it is offered to him now, from his answers " +
			"to actions so far and his interactions with items. An action has the propensity 0 until it has been " +
			"taken 50 times.",
		HyperParameters: []Parameter{
			{Name: "action_optimization_period", Default: "14", Kind: Integer, Min: 7, Max: 28},
		},
		Scores: Propensities, Realtime: true,
		training: nextBestAction,
	},
	{
		Name: "aws-item-affinity", Type: UserSegmentation,
		Algorithm: "aws-item-affinity", FeatureTransformation: "item-affinity",
		Description: "Finds the users with the greatest affinity for a given item, by implicit matrix " +
			"factorisation.",
		HyperParameters: segmentationParameters,
		Scores:          NoScores,
		training:        userSegments,
	},
	{
		Name: "aws-item-attribute-affinity", Type: UserSegmentation,
		Algorithm: "aws-item-attribute-affinity", FeatureTransformation: "item-attribute-affinity",
		Description: "Finds the users with the greatest affinity for the items that have given attributes, by " +
			"implicit matrix factorisation.",
		HyperParameters: segmentationParameters,
		Scores:          NoScores, NeedsItems: true,
		check:    needsAttributes,
		training: userSegments,
	},

	{
		Name: "aws-ecomm-popular-items-by-views", Domain: Ecommerce, Type: PopularItems, EventType: "View",
		MinEvents: minEvents,
		Algorithm: "aws-popularity-count", FeatureTransformation: "sims",
		Description: "The items with the most View events.",
		training:    popularityCount,
	},
	{
		Name: "aws-ecomm-popular-items-by-purchases", Domain: Ecommerce, Type: PopularItems, EventType: "Purchase",
		MinEvents: minEvents,
		Algorithm: "aws-popularity-count", FeatureTransformation: "sims",
		Description: "The items with the most Purchase events.",
		training:    popularityCount,
	},
	{
		Name: "aws-ecomm-frequently-bought-together", Domain: Ecommerce, Type: RelatedItems, EventType: "Purchase",
		MinEvents: minEvents,
		Algorithm: "aws-similar-items", FeatureTransformation: "similar-items",
		Description: "Items that customers purchase shortly before or after a given item.",
		training:    similarItems(0),
	},
	{
		Name: "aws-ecomm-customers-who-viewed-x-also-viewed", Domain: Ecommerce, Type: RelatedItems, EventType: "View",
		MinEvents: minEvents,
		Algorithm: "aws-similar-items", FeatureTransformation: "similar-items",
		Description: "Items that customers view shortly before or after a given item, but for those that the user " +
			"has purchased.",
		HidesEvents: []string{"Purchase"},
		training:    similarItems(0),
	},
	{
		Name: "aws-ecomm-recommended-for-you", Domain: Ecommerce, Type: UserPersonalization, MinEvents: minEvents,
		Algorithm: "aws-user-personalization", FeatureTransformation: "JSON-percentile-filtering",
		Description: "Items for a user with the models of aws-user-personalization, but for those that he has " +
			"purchased; new events of a user change his recommendations at once.",
		Scores: CatalogueScores, Realtime: true, Explores: true,
		HidesEvents: []string{"Purchase"},
		training:    ensemble,
	},
	{
		Name: "aws-vod-because-you-watched-x", Domain: VideoOnDemand, Type: RelatedItems, EventType: "Watch",
		MinEvents: minEvents,
		Algorithm: "aws-similar-items", FeatureTransformation: "similar-items",
		Description: "Items that users watch shortly before or after a given item, but for those that the user has " +
			"watched.",
		HidesEvents: []string{"Watch"},
		training:    similarItems(0),
	},
	{
		Name: "aws-vod-more-like-x", Domain: VideoOnDemand, Type: RelatedItems, MinEvents: minEvents,
		Algorithm: "aws-similar-items", FeatureTransformation: "similar-items",
		Description: "Items that are like a given item by their metadata and by what users choose shortly before or " +
			"after it, in equal parts, but for those that the user has watched.",
		HidesEvents: []string{"Watch"}, NeedsItems: true,
		training: similarItems(0.5),
	},
	{
		Name: "aws-vod-most-popular", Domain: VideoOnDemand, Type: PopularItems, EventType: "Watch",
		MinEvents: minEvents,
		Algorithm: "aws-popularity-count", FeatureTransformation: "sims",
		Description: "The items with the most Watch events.",
		training:    popularityCount,
	},
	{
		Name: "aws-vod-trending-now", Domain: VideoOnDemand, Type: PopularItems, MinEvents: minEvents,
		Algorithm: "aws-trending-now-custom", FeatureTransformation: "trending-now",
		Description: "Items that are chosen in the newest three hours more often than before.",
		training:    trendingNow,
	},
	{
		Name: "aws-vod-top-picks", Domain: VideoOnDemand, Type: UserPersonalization, MinEvents: minEvents,
		Algorithm: "aws-user-personalization-v2", FeatureTransformation: "user-personalization-v2",
		Description: "Items for a user with the models of aws-user-personalization, but for those that he has " +
			"watched; new events of a user change his recommendations at once.",
		Scores: CatalogueScores, Realtime: true, Explores: true,
		HidesEvents: []string{"Watch"}, NeedsItems: true,
		training: ensemble,
	},
}

const (
	// minEvents is how many events (of the right type) every use case needs.
	minEvents = 1000
	// smallestPositive stands in for "more than zero" in a range that includes its bounds.
	smallestPositive = 1e-6
)

// networkParameters are those of Personalize's recurrent networks, with the default of hidden_dimension: the length of
// item vectors in a network, and of the factors in a stack, which takes no more of them than it has use for. Small
// catalogues take fewer by themselves. bptt and recency_mask steer the training of a network, also of one that is part
// of a stack.
func networkParameters(hidden string) []Parameter {
	return []Parameter{
		{Name: "hidden_dimension", Default: hidden, Kind: Integer, Min: 32, Max: 256, Tunable: true},
		{Name: "bptt", Default: "32", Kind: Integer, Min: 2, Max: 32, Tunable: true},
		{Name: "recency_mask", Default: "true", Kind: Categorical, Values: []string{"true", "false"}, Tunable: true},
		share("min_user_history_length_percentile", "0.0"),
		share("max_user_history_length_percentile", "0.99"),
	}
}

var secondGeneration = []Parameter{
	{Name: "apply_recency_bias", Default: "true", Kind: Categorical, Values: []string{"true", "false"}},
}

var segmentationParameters = []Parameter{
	{Name: "hidden_dimension", Default: "149", Kind: Integer, Min: 32, Max: 256},
}

// share is a feature transformation parameter that is a quantile.
func share(name, value string) Parameter {
	return Parameter{Name: name, Default: value, Kind: Continuous, Min: 0, Max: 1, Feature: true}
}

func needsText(ts *trainingset.Set, _ Params) error {
	if content.Has(ts, content.Prose) {
		return nil
	}
	return unsuitable("The Items dataset has no textual column with data")
}

func needsAttributes(ts *trainingset.Set, _ Params) error {
	if len(content.Attributes(ts, itemsOf(ts))) > 0 {
		return nil
	}
	return unsuitable("The Items dataset has no column with data that is neither textual nor reserved")
}
