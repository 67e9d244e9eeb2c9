package retrainer

import (
	"fmt"
	"time"
)

// Options are the settings of the retrainer, with the flags that they are given by. Zero values stand for the defaults.
type Options struct {
	// MinInteractions and MinUsers are the least data that is imported and trained on.
	MinInteractions int `default:"1000" help:"Fewest interactions that can be imported or trained on."`
	MinUsers        int `default:"25" help:"Fewest users with two interactions that can be trained on."`
	// AutoTrainInitialDelay is the age of a solution at which its first automatic version is made, unless it has one by
	// then.
	AutoTrainInitialDelay time.Duration `default:"30m" help:"Age of a solution when its first automatic training starts, unless it was trained by hand."`
	// AutoUpdateInterval is how often models that can take in new items do, without a new version; negative: never.
	AutoUpdateInterval time.Duration `default:"2h" help:"How often a model that recommends for users takes in new items, without a training and without a new version. Negative: never."`
	// ExperimentInterval is how often experiments are counted, and how long after its arrival an event is.
	ExperimentInterval time.Duration `default:"15s" help:"How often the results of experiments are counted, and how long after its arrival an event is."`
	// SearchTime is for how long a search for recipe or hyperparameters begins to train further candidates.
	SearchTime time.Duration `default:"2h" help:"How long a search for the best recipe or hyperparameters begins to train further candidates."`
	// Threads bounds the goroutines of one training; 0: one per CPU.
	Threads int `name:"training-threads" default:"0" help:"Threads that a training uses. 0: one for each processor."`
	// Seed fixes the random choices of training: same data and seed, same model.
	Seed int64 `default:"1" help:"Seed of trainings: same data and seed, same model."`
}

// Validate returns an error that names the wrong setting and its rule.
func (o *Options) Validate() error {
	if o.MinInteractions < 1 || o.MinUsers < 1 {
		return fmt.Errorf("--min-interactions %d, --min-users %d: each must be at least 1", o.MinInteractions, o.MinUsers)
	}
	return nil
}
