package evaluate

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/ials"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// evaluable is a recipe, or a component alone, that can be trained.
type evaluable struct {
	name string
	// related is whether it answers for an item: it is then asked for what goes with the last one of a history.
	related bool
	train   func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (model.Model, error)
}

// findRecipe is a recipe with its parameters.
func findRecipe(name string, parameters map[string]string) (evaluable, error) {
	if !slices.Contains(recipeNames(), name) {
		return evaluable{}, fmt.Errorf("%q is no recipe that recommends items: there are %s", name,
			strings.Join(recipeNames(), ", "))
	}
	r, _ := recipe.ByName(name)
	params, err := r.ParseParams(parameters)
	if err != nil {
		return evaluable{}, err
	}
	return evaluable{name, r.Type == recipe.RelatedItems,
		func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (model.Model, error) {
			return r.Train(ctx, ts, params, o)
		}}, nil
}

// component declares the settings of an algorithm in flags and returns what trains it with them.
type component func(settings *flag.FlagSet) func(context.Context, *trainingset.Set, recipe.Options) (model.Model, error)

// components are the algorithms that recipes are made of and that can be trained alone, to see what each is worth and
// to compare it with other implementations. Their settings are those that such comparisons vary; the recipes don't have
// them.
var components = map[string]component{
	"ials": func(settings *flag.FlagSet) func(context.Context, *trainingset.Set, recipe.Options) (model.Model, error) {
		c := ials.DefaultConfig()
		settings.IntVar(&c.Dim, "factors", c.Dim, "")
		settings.IntVar(&c.Epochs, "epochs", c.Epochs, "")
		settings.IntVar(&c.Steps, "steps", c.Steps, "")
		settings.IntVar(&c.Window, "window", c.Window, "")
		settings.Float64Var(&c.FoldDecay, "decay", c.FoldDecay, "")
		settings.Float64Var(&c.Unobserved, "unobserved", c.Unobserved, "")
		settings.Float64Var(&c.Regularization, "regularization", c.Regularization, "")
		return func(ctx context.Context, ts *trainingset.Set, o recipe.Options) (model.Model, error) {
			c.Seed, c.Threads, c.Progress = o.Seed, o.Threads, o.Progress
			m, err := ials.Train(ctx, ts, c)
			if err != nil {
				return nil, err
			}
			return m, nil
		}
	},
}

// findComponent is a component with its settings.
func findComponent(name string, given map[string]string) (evaluable, error) {
	declare, known := components[name]
	if !known {
		return evaluable{}, fmt.Errorf("%q is no component: there are %s", name,
			strings.Join(slices.Sorted(maps.Keys(components)), ", "))
	}
	settings := flag.NewFlagSet(name, flag.ContinueOnError)
	settings.SetOutput(io.Discard)
	train := declare(settings)
	for _, setting := range slices.Sorted(maps.Keys(given)) {
		if err := settings.Set(setting, given[setting]); err != nil {
			return evaluable{}, fmt.Errorf("setting %s=%s of component %s: %w", setting, given[setting], name, err)
		}
	}
	return evaluable{name: name, train: train}, nil
}

// recipeNames are the recipes that can be measured here: those that recommend items. Domain use cases are among them
// under the names of the recipes that they are made of.
func recipeNames() []string {
	var names []string
	for _, r := range recipe.All() {
		if r.Domain == "" && r.Type != recipe.UserSegmentation && r.Type != recipe.PersonalizedActions {
			names = append(names, r.Name)
		}
	}
	return names
}
