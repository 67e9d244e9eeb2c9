package recipe

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Kind is the type of a hyper-parameter's value, named as in the API's hyper-parameter ranges.
type Kind int

// The kinds.
const (
	Integer Kind = iota
	Continuous
	Categorical
)

// Parameter is one hyper-parameter of a recipe. All values are strings on the wire.
type Parameter struct {
	Name, Default string
	Kind          Kind
	// Min and Max bound numeric values, both inclusive.
	Min, Max float64
	// Values lists what a categorical parameter may be.
	Values []string
	// Tunable parameters may be searched by hyper-parameter optimisation.
	Tunable bool
	// Feature parameters belong into featureTransformationParameters, the others into algorithmHyperParameters.
	Feature bool
}

// Params are the checked hyper-parameters of one training: every parameter of the recipe has a value. The zero value is
// not valid; Recipe.ParseParams makes them.
type Params struct {
	values map[string]string
	// given are those whose values are not the recipe's defaults for want of others.
	given map[string]bool
}

// ParseParams checks given values, algorithm and feature transformation parameters in one map, and fills in the
// defaults. An unknown name, a value that is no number, or one out of range is an error that names the parameter, the
// value and the rule.
func (r *Recipe) ParseParams(given map[string]string) (Params, error) {
	params := Params{make(map[string]string, len(r.HyperParameters)), make(map[string]bool, len(given))}
	for _, p := range r.HyperParameters {
		params.values[p.Name] = p.Default
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		p, ok := r.parameter(name)
		if !ok {
			return Params{}, fmt.Errorf("unknown hyperparameter %q for recipe %s%s", name, r.Name, r.knownNames())
		}
		if err := p.check(given[name]); err != nil {
			return Params{}, err
		}
		params.values[name], params.given[name] = given[name], true
	}
	return params, r.checkPairs(params)
}

// ParseConfig checks a solution's algorithmHyperParameters and featureTransformationParameters, each of which may hold
// its own kind of parameter only.
func (r *Recipe) ParseConfig(algorithm, feature map[string]string) (Params, error) {
	all := make(map[string]string, len(algorithm)+len(feature))
	for _, group := range []struct {
		member  string
		values  map[string]string
		feature bool
	}{{"algorithmHyperParameters", algorithm, false}, {"featureTransformationParameters", feature, true}} {
		for _, name := range slices.Sorted(maps.Keys(group.values)) {
			if p, ok := r.parameter(name); ok && p.Feature != group.feature {
				return Params{}, fmt.Errorf(
					"hyperparameter %q of recipe %s does not belong into %s", name, r.Name, group.member,
				)
			}
			all[name] = group.values[name]
		}
	}
	return r.ParseParams(all)
}

func (r *Recipe) parameter(name string) (Parameter, bool) {
	i := slices.IndexFunc(r.HyperParameters, func(p Parameter) bool { return p.Name == name })
	if i < 0 {
		return Parameter{}, false
	}
	return r.HyperParameters[i], true
}

func (r *Recipe) knownNames() string {
	if len(r.HyperParameters) == 0 {
		return ", which has none"
	}
	names := make([]string, len(r.HyperParameters))
	for i, p := range r.HyperParameters {
		names[i] = p.Name
	}
	return ", which has " + strings.Join(names, ", ")
}

func (p Parameter) check(value string) error {
	switch p.Kind {
	case Integer:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("hyperparameter %s: %q is not an integer", p.Name, value)
		}
		if float64(n) < p.Min || float64(n) > p.Max {
			return fmt.Errorf("hyperparameter %s: %s is out of range [%g,%g]", p.Name, value, p.Min, p.Max)
		}
	case Continuous:
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("hyperparameter %s: %q is not a number", p.Name, value)
		}
		if !(f >= p.Min && f <= p.Max) { // written so that NaN fails
			return fmt.Errorf("hyperparameter %s: %s is out of range [%g,%g]", p.Name, value, p.Min, p.Max)
		}
	case Categorical:
		if !slices.Contains(p.Values, value) {
			return fmt.Errorf("hyperparameter %s: %q is not one of %s", p.Name, value, strings.Join(p.Values, ", "))
		}
	}
	return nil
}

// checkPairs refuses a lower percentile above its upper one.
func (r *Recipe) checkPairs(params Params) error {
	for _, p := range r.HyperParameters {
		upper, isLower := strings.CutPrefix(p.Name, "min_")
		if !isLower || p.Kind != Continuous {
			continue
		}
		upper = "max_" + upper
		if _, ok := r.parameter(upper); ok && params.Float(p.Name) > params.Float(upper) {
			return fmt.Errorf("hyperparameter %s: %s is greater than %s, which is %s",
				p.Name, params.String(p.Name), upper, params.String(upper))
		}
	}
	return nil
}

// Map is a copy of all values, defaults included.
func (p Params) Map() map[string]string { return maps.Clone(p.values) }

// String is a parameter's value as given, "" for a parameter that the recipe does not have.
func (p Params) String(name string) string { return p.values[name] }

// Int is the value of an integer parameter of the recipe.
func (p Params) Int(name string) int {
	n, _ := strconv.Atoi(p.values[name]) // checked by ParseParams
	return n
}

// intOr is Int, or a value for recipes without the parameter.
func (p Params) intOr(name string, absent int) int {
	if _, ok := p.values[name]; !ok {
		return absent
	}
	return p.Int(name)
}

// intIfGiven is Int, or a value where the caller gave none.
func (p Params) intIfGiven(name string, otherwise int) int {
	if !p.given[name] {
		return otherwise
	}
	return p.Int(name)
}

// Float is the value of a numeric parameter of the recipe.
func (p Params) Float(name string) float64 {
	f, _ := strconv.ParseFloat(p.values[name], 64) // checked by ParseParams
	return f
}

// Bool is the value of a true/false parameter of the recipe.
func (p Params) Bool(name string) bool { return p.values[name] == "true" }

// boolOr is Bool, or a value for recipes without the parameter.
func (p Params) boolOr(name string, absent bool) bool {
	if _, ok := p.values[name]; !ok {
		return absent
	}
	return p.Bool(name)
}
