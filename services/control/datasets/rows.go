// Package datasets is the part of the control plane that holds data: dataset groups, schemas, datasets, the jobs that
// import, export and delete data, event trackers, filters and metric attributions. Each is a file with its row.
package datasets

import "github.com/penchant-io/penchant/services/control/crud"

// Rows returns the rows of the package's resources.
func Rows(env *crud.Env) []crud.Row {
	return []crud.Row{
		datasetGroups{env}.row(),
		schemas{env}.row(),
		datasets{env}.row(),
		importJobs{env}.row(),
		exportJobs{env}.row(),
		deletionJobs{env}.row(),
		eventTrackers{env}.row(),
		filters{env}.row(),
		metricAttributions{env}.row(),
	}
}
