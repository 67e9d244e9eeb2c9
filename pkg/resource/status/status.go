// Package status holds the statuses of resources, exactly as clients see them. The catalog stores them, control and the
// retrainer move resources from one to the next, and every service decides by them whether a resource can be used.
package status

// The statuses of most resources. A resource without work to do is Active as soon as it is created.
const (
	CreatePending    = "CREATE PENDING"
	CreateInProgress = "CREATE IN_PROGRESS"
	Active           = "ACTIVE"
	CreateFailed     = "CREATE FAILED"
	CreateStopping   = "CREATE STOPPING"
	CreateStopped    = "CREATE STOPPED"
	DeletePending    = "DELETE PENDING"
	DeleteInProgress = "DELETE IN_PROGRESS"
)

// The statuses that only recommenders have.
const (
	StopPending     = "STOP PENDING"
	StopInProgress  = "STOP IN_PROGRESS"
	Inactive        = "INACTIVE"
	StartPending    = "START PENDING"
	StartInProgress = "START IN_PROGRESS"
)

// The statuses of data deletion jobs, which AWS spells differently from those of all other jobs.
const (
	Pending    = "PENDING"
	InProgress = "IN_PROGRESS"
	Completed  = "COMPLETED"
	Failed     = "FAILED"
)
