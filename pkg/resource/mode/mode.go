// Package mode holds the modes of jobs and of trainings, exactly as clients see them. Control validates and stores
// them, and the retrainer works by them.
package mode

// The modes of dataset import jobs: replacing what was imported before, or adding to it.
const (
	ImportFull        = "FULL"
	ImportIncremental = "INCREMENTAL"
)

// The ingestion modes of dataset export jobs: imported records, records that were put, or both.
const (
	IngestionBulk = "BULK"
	IngestionPut  = "PUT"
	IngestionAll  = "ALL"
)

// The training modes of solution versions, and their training types: asked for by a client, or by a schedule.
const (
	TrainingFull      = "FULL"
	TrainingUpdate    = "UPDATE"
	TrainingAutotrain = "AUTOTRAIN"

	TrainingManual    = "MANUAL"
	TrainingAutomatic = "AUTOMATIC"
)
