// Package solutions is the part of the control plane that trains and serves: recipes, solutions and their versions,
// campaigns, recommenders, and batch jobs. Each is a file with its row; solutionconfig.go and exploration.go validate
// their settings.
package solutions

import "github.com/penchant-io/penchant/services/control/crud"

// Rows returns the rows of the package's resources.
func Rows(env *crud.Env) []crud.Row {
	return []crud.Row{
		recipes{}.row(),
		solutions{env}.row(),
		solutionVersions{env}.row(),
		campaigns{env}.row(),
		recommenders{env}.row(),
		batchInferenceJobs{env}.row(),
		batchSegmentJobs{env}.row(),
	}
}
