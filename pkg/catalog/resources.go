package catalog

import (
	"encoding/json"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// Metadata are the fields that all resources have.
type Metadata struct {
	ARN  string `json:"arn"`
	Name string `json:"name"`
	Type string `json:"type"`
	// ID distinguishes resources that had the same ARN one after the other.
	ID            string            `json:"id"`
	Status        string            `json:"status"`
	FailureReason string            `json:"failureReason,omitempty"`
	CreatedAt     time.Time         `json:"createdAt"`
	UpdatedAt     time.Time         `json:"updatedAt"`
	Tags          map[string]string `json:"tags,omitempty"`
	// CreatedBy is the creator of WithCreator, if the creation had one.
	CreatedBy string `json:"createdBy,omitempty"`
	// Progress of a job, 0 to 1: the estimated share of its time that has passed.
	Progress float64 `json:"progress,omitempty"`
	// ExpectedEnd is the estimated end of a running job; zero without an estimate.
	ExpectedEnd time.Time `json:"expectedEnd,omitzero"`
	Lease       *Lease    `json:"lease,omitempty"`
	// Parents are the ARNs whose Children hold a reservation for this resource.
	Parents []string `json:"parents,omitempty"`
	// Children are the reservations that others hold here, by the child's ID.
	Children Children `json:"children,omitempty"`
	// Revision counts writes, from 1.
	Revision int64 `json:"revision"`
	// Nonces of the newest writes, newest first.
	Nonces []string `json:"nonces"`

	etag string
}

// Meta returns the metadata of any resource.
func (m *Metadata) Meta() *Metadata { return m }

// Deleting reports whether a client has asked for the resource's deletion.
func (m *Metadata) Deleting() bool {
	return m.Status == status.DeletePending || m.Status == status.DeleteInProgress
}

// beingCreated reports whether the creation of a resource has not finished.
func (m *Metadata) beingCreated() bool { return m.Waiting() || m.Running() }

// Resource is one of the pointer types of this file.
type Resource interface {
	Meta() *Metadata
	// kind must not use its receiver: it is called on nil pointers.
	kind() string
}

// prototypes makes an empty resource of each type that the catalog keeps.
var prototypes = map[string]func() Resource{
	resource.Account:           func() Resource { return new(Account) },
	resource.DatasetGroup:      func() Resource { return new(DatasetGroup) },
	resource.Schema:            func() Resource { return new(Schema) },
	resource.Dataset:           func() Resource { return new(Dataset) },
	resource.DatasetImportJob:  func() Resource { return new(DatasetImportJob) },
	resource.DatasetExportJob:  func() Resource { return new(DatasetExportJob) },
	resource.DataDeletionJob:   func() Resource { return new(DataDeletionJob) },
	resource.EventTracker:      func() Resource { return new(EventTracker) },
	resource.Solution:          func() Resource { return new(Solution) },
	resource.SolutionVersion:   func() Resource { return new(SolutionVersion) },
	resource.Campaign:          func() Resource { return new(Campaign) },
	resource.Recommender:       func() Resource { return new(Recommender) },
	resource.Filter:            func() Resource { return new(Filter) },
	resource.BatchInferenceJob: func() Resource { return new(BatchInferenceJob) },
	resource.BatchSegmentJob:   func() Resource { return new(BatchSegmentJob) },
	resource.BatchShard:        func() Resource { return new(BatchShard) },
	resource.MetricAttribution: func() Resource { return new(MetricAttribution) },
	resource.Experiment:        func() Resource { return new(Experiment) },
}

// Account carries the reservations of what is limited for the whole installation: jobs that wait or run. No client sees
// it.
type Account struct {
	Metadata
}

// DatasetGroup is the container of everything about one body of users and items.
type DatasetGroup struct {
	Metadata
	Domain    string `json:"domain,omitempty"`
	RoleARN   string `json:"roleArn,omitempty"`
	KMSKeyARN string `json:"kmsKeyArn,omitempty"`
	// ShortID makes the group key unlike that of every other group that ever had the name.
	ShortID string `json:"shortId"`
}

// GroupKey names the group in Kafka, Redis and the bucket: `<name>-<short id>`.
func (g *DatasetGroup) GroupKey() string { return g.Name + "-" + g.ShortID }

// Schema is an Avro schema of one dataset type; immutable, without status.
type Schema struct {
	Metadata
	// Document is the schema's JSON text as the client gave it.
	Document string `json:"document"`
	Domain   string `json:"domain,omitempty"`
}

// Dataset holds one type of data of a dataset group.
type Dataset struct {
	Metadata
	DatasetGroupARN string `json:"datasetGroupArn"`
	// DatasetType is upper case: INTERACTIONS, ITEMS, USERS, ACTIONS, ACTION_INTERACTIONS.
	DatasetType string `json:"datasetType"`
	SchemaARN   string `json:"schemaArn"`
	// Version of the imported data that is current, 0 before the first import.
	Version int64 `json:"version,omitempty"`
	// TrackingID is what PutActionInteractions names an ACTION_INTERACTIONS dataset by; other types have none.
	TrackingID string `json:"trackingId,omitempty"`
	// LatestUpdate is the newest UpdateDataset. While it is pending, SchemaARN stays as it was.
	LatestUpdate *DatasetUpdate `json:"latestUpdate,omitempty"`
}

// DatasetUpdate is one change of a dataset's schema.
type DatasetUpdate struct {
	SchemaARN     string    `json:"schemaArn"`
	Status        string    `json:"status"`
	FailureReason string    `json:"failureReason,omitempty"`
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`
}

// Pending reports whether the update still has to be carried out.
func (u *DatasetUpdate) Pending() bool { return u != nil && unfinished(u.Status) }

// unfinished reports whether an update has neither succeeded nor failed.
func unfinished(s string) bool {
	return s == status.CreatePending || s == status.CreateInProgress
}

// DatasetImportJob brings CSV files into a dataset.
type DatasetImportJob struct {
	Metadata
	DatasetARN      string `json:"datasetArn"`
	DatasetGroupARN string `json:"datasetGroupArn"`
	// DataLocation is s3://bucket/key of one file or s3://bucket/folder/ of several.
	DataLocation string `json:"dataLocation"`
	RoleARN      string `json:"roleArn,omitempty"`
	// ImportMode is FULL or INCREMENTAL.
	ImportMode                    string `json:"importMode"`
	PublishAttributionMetricsToS3 *bool  `json:"publishAttributionMetricsToS3,omitempty"`
	// DataReport is the data doctor's report on the dataset group's data after the import, as datadoctor.Report encodes
	// it. It is empty before the import has finished, and if the data could not be read.
	DataReport json.RawMessage `json:"dataReport,omitempty"`
}

// EventTracker lets events into a dataset group. NewTrackingID makes its ids.
type EventTracker struct {
	Metadata
	DatasetGroupARN string `json:"datasetGroupArn"`
	TrackingID      string `json:"trackingId"`
}

// Solution configures how models are trained.
type Solution struct {
	Metadata
	DatasetGroupARN string `json:"datasetGroupArn"`
	// RecipeARN is empty only with PerformAutoML.
	RecipeARN     string `json:"recipeArn,omitempty"`
	PerformHPO    bool   `json:"performHpo,omitempty"`
	PerformAutoML bool   `json:"performAutoMl,omitempty"`
	// OwnedBy is the recommender whose solution this is; clients don't see such a solution or its versions.
	OwnedBy                  string                      `json:"ownedBy,omitempty"`
	PerformAutoTraining      bool                        `json:"performAutoTraining,omitempty"`
	PerformIncrementalUpdate bool                        `json:"performIncrementalUpdate,omitempty"`
	EventType                string                      `json:"eventType,omitempty"`
	Config                   *personalize.SolutionConfig `json:"config,omitempty"`
	// LatestUpdate is the newest UpdateSolution.
	LatestUpdate *SolutionUpdate `json:"latestUpdate,omitempty"`
}

// SolutionUpdate is one change of a solution's training settings.
type SolutionUpdate struct {
	PerformAutoTraining      *bool                             `json:"performAutoTraining,omitempty"`
	PerformIncrementalUpdate *bool                             `json:"performIncrementalUpdate,omitempty"`
	Config                   *personalize.SolutionUpdateConfig `json:"config,omitempty"`
	Status                   string                            `json:"status"`
	FailureReason            string                            `json:"failureReason,omitempty"`
	CreatedAt                time.Time                         `json:"createdAt"`
	UpdatedAt                time.Time                         `json:"updatedAt"`
}

// SolutionVersion is one trained model, or the job that trains it. Everything that training needs was copied from the
// solution when the version was created.
type SolutionVersion struct {
	Metadata
	SolutionARN              string `json:"solutionArn"`
	RecipeARN                string `json:"recipeArn"`
	DatasetGroupARN          string `json:"datasetGroupArn"`
	PerformHPO               bool   `json:"performHpo,omitempty"`
	PerformAutoML            bool   `json:"performAutoMl,omitempty"`
	PerformIncrementalUpdate bool   `json:"performIncrementalUpdate,omitempty"`
	EventType                string `json:"eventType,omitempty"`
	// TrainingMode is FULL, UPDATE or AUTOTRAIN; TrainingType is MANUAL or AUTOMATIC.
	TrainingMode string                      `json:"trainingMode"`
	TrainingType string                      `json:"trainingType"`
	Config       *personalize.SolutionConfig `json:"config,omitempty"`

	// What training adds.
	TunedHyperParameters map[string]string  `json:"tunedHyperParameters,omitempty"`
	Metrics              map[string]float64 `json:"metrics,omitempty"`
	TrainingHours        float64            `json:"trainingHours,omitempty"`
	// ManifestKey is the model manifest's key in the bucket, ModelID its content hash.
	ManifestKey string `json:"manifestKey,omitempty"`
	ModelID     string `json:"modelId,omitempty"`
	// ReportFolder is the key of the folder with the report of the training: its metrics in detail, and plots of them.
	ReportFolder string `json:"reportFolder,omitempty"`
	// DamagedFiles are files of the archive that could not be decoded and that the model was trained without.
	DamagedFiles []string `json:"damagedFiles,omitempty"`
	// Trials are what a search for recipe and hyper-parameters has measured.
	Trials []Trial `json:"trials,omitempty"`
	// DataMark is the state of the dataset group's data when the model was made, or last looked at for new items.
	DataMark string `json:"dataMark,omitempty"`
	// RefreshedAt is when an automatic update last looked for new data; zero before the first.
	RefreshedAt time.Time `json:"refreshedAt,omitzero"`
}

// Trial is one candidate of a search: what was trained, and how good it was on users that were held back.
type Trial struct {
	RecipeARN       string            `json:"recipeArn"`
	HyperParameters map[string]string `json:"hyperParameters,omitempty"`
	Metric          string            `json:"metric"`
	Value           float64           `json:"value"`
}

// Campaign is a name for a model that answers requests.
type Campaign struct {
	Metadata
	DatasetGroupARN string `json:"datasetGroupArn"`
	// SolutionVersionARN is the version that serves: always a concrete one, also in a campaign that follows $LATEST.
	SolutionVersionARN string                      `json:"solutionVersionArn"`
	MinProvisionedTPS  int64                       `json:"minProvisionedTps"`
	Config             *personalize.CampaignConfig `json:"config,omitempty"`
	// LatestUpdate is the newest UpdateCampaign. While it is pending, the fields above stay as they were.
	LatestUpdate *CampaignUpdate `json:"latestUpdate,omitempty"`
}

// CampaignUpdate is one change of a campaign, with the values that the campaign gets when it succeeds.
type CampaignUpdate struct {
	SolutionVersionARN string                      `json:"solutionVersionArn"`
	MinProvisionedTPS  int64                       `json:"minProvisionedTps"`
	Config             *personalize.CampaignConfig `json:"config,omitempty"`
	Status             string                      `json:"status"`
	FailureReason      string                      `json:"failureReason,omitempty"`
	CreatedAt          time.Time                   `json:"createdAt"`
	UpdatedAt          time.Time                   `json:"updatedAt"`
}

// Pending reports whether the update still has to be carried out.
func (u *CampaignUpdate) Pending() bool { return u != nil && unfinished(u.Status) }

// FollowsLatest reports whether the campaign moves to each new version of its solution.
func (c *Campaign) FollowsLatest() bool {
	return c.Config != nil && c.Config.SyncWithLatestSolutionVersion != nil && *c.Config.SyncWithLatestSolutionVersion
}

// DatasetExportJob writes a dataset's records to CSV files in the user's bucket.
type DatasetExportJob struct {
	Metadata
	DatasetARN      string `json:"datasetArn"`
	DatasetGroupARN string `json:"datasetGroupArn"`
	// IngestionMode is BULK, PUT or ALL.
	IngestionMode string                              `json:"ingestionMode"`
	RoleARN       string                              `json:"roleArn,omitempty"`
	JobOutput     *personalize.DatasetExportJobOutput `json:"jobOutput"`
}

// DataDeletionJob removes the users that a file names from all datasets of a group.
type DataDeletionJob struct {
	Metadata
	DatasetGroupARN string `json:"datasetGroupArn"`
	// DataLocation is s3://bucket/key of one file or s3://bucket/folder/ of several.
	DataLocation string `json:"dataLocation"`
	RoleARN      string `json:"roleArn,omitempty"`
	// NumDeleted counts the records that were removed: interactions and users' metadata.
	NumDeleted int64 `json:"numDeleted,omitempty"`
}

// Filter is a compiled-at-use filter expression. Immutable.
type Filter struct {
	Metadata
	DatasetGroupARN string `json:"datasetGroupArn"`
	Expression      string `json:"expression"`
}

// Recommender is a domain use case that trains and serves by itself. The solution it trains with is its own, and
// clients do not see it.
type Recommender struct {
	Metadata
	DatasetGroupARN string                         `json:"datasetGroupArn"`
	RecipeARN       string                         `json:"recipeArn"`
	Config          *personalize.RecommenderConfig `json:"config,omitempty"`
	// SolutionVersionARN is the version that serves, empty before the first is trained. It belongs to a solution that
	// is the recommender's own (see OwnedBy in Solution) and appears in no list.
	SolutionVersionARN string             `json:"solutionVersionArn,omitempty"`
	Metrics            map[string]float64 `json:"metrics,omitempty"`
	// LatestUpdate is the newest UpdateRecommender. While it is pending, Config stays as it was.
	LatestUpdate *RecommenderUpdate `json:"latestUpdate,omitempty"`
}

// RecommenderUpdate is one change of a recommender.
type RecommenderUpdate struct {
	Config        *personalize.RecommenderConfig `json:"config,omitempty"`
	Status        string                         `json:"status"`
	FailureReason string                         `json:"failureReason,omitempty"`
	CreatedAt     time.Time                      `json:"createdAt"`
	UpdatedAt     time.Time                      `json:"updatedAt"`
}

// Pending reports whether the update still has to be carried out.
func (u *RecommenderUpdate) Pending() bool { return u != nil && unfinished(u.Status) }

// BatchInferenceJob answers a file of requests with a file of recommendations.
type BatchInferenceJob struct {
	Metadata
	DatasetGroupARN    string `json:"datasetGroupArn"`
	SolutionVersionARN string `json:"solutionVersionArn"`
	FilterARN          string `json:"filterArn,omitempty"`
	// NumResults is 0 where the request gave none.
	NumResults            int64                                `json:"numResults,omitempty"`
	JobInput              *personalize.BatchInferenceJobInput  `json:"jobInput"`
	JobOutput             *personalize.BatchInferenceJobOutput `json:"jobOutput"`
	RoleARN               string                               `json:"roleArn"`
	Config                *personalize.BatchInferenceJobConfig `json:"config,omitempty"`
	Mode                  string                               `json:"mode"`
	ThemeGenerationConfig *personalize.ThemeGenerationConfig   `json:"themeGenerationConfig,omitempty"`
	// ResultSet is the name under which the results can be looked up for ResultsTTL; "": they cannot be looked up.
	ResultSet  string        `json:"resultSet,omitempty"`
	ResultsTTL time.Duration `json:"resultsTtl,omitempty"`
}

// BatchShard is a part of a batch inference job's input that one retrainer works on. No client sees it, and it is
// removed when its job has finished.
type BatchShard struct {
	Metadata
	JobARN string `json:"jobArn"`
	// JobID is the job's Meta.ID: another job may get its ARN.
	JobID string `json:"jobId"`
	// Number is the shard's place in the job's plan, from 0.
	Number int `json:"number"`
	// Lines counts the lines of each of the shard's pieces, once they are answered.
	Lines []int `json:"lines,omitempty"`
}

// BatchSegmentJob answers a file of items or attributes with the users most interested in each.
type BatchSegmentJob struct {
	Metadata
	DatasetGroupARN    string `json:"datasetGroupArn"`
	SolutionVersionARN string `json:"solutionVersionArn"`
	FilterARN          string `json:"filterArn,omitempty"`
	// NumResults is 0 where the request gave none.
	NumResults int64                              `json:"numResults,omitempty"`
	JobInput   *personalize.BatchSegmentJobInput  `json:"jobInput"`
	JobOutput  *personalize.BatchSegmentJobOutput `json:"jobOutput"`
	RoleARN    string                             `json:"roleArn"`
}

// MetricAttribution configures which metrics of events are reported, and where to.
type MetricAttribution struct {
	Metadata
	DatasetGroupARN string                               `json:"datasetGroupArn"`
	Metrics         []personalize.MetricAttribute        `json:"metrics"`
	OutputConfig    *personalize.MetricAttributionOutput `json:"outputConfig"`
	// Reports is the progress of the reports; nil if none are to be written, or while their start is unknown.
	Reports *ReportProgress `json:"reports,omitempty"`
}

// WritesReports reports whether the attribution has a place for its reports.
func (m *MetricAttribution) WritesReports() bool {
	return m.OutputConfig != nil && m.OutputConfig.S3DataDestination != nil
}

// ReportProgress is the end of what has been reported, as a time and as a place in the log.
type ReportProgress struct {
	// Until is the end of the last window.
	Until time.Time `json:"until"`
	// TopicID is Kafka's id of the interactions topic in hexadecimal, Next the first offset of each partition that
	// belongs to a later window; partitions without one begin at 0.
	TopicID string          `json:"topicId"`
	Next    map[int32]int64 `json:"next"`
}

func (*Account) kind() string           { return resource.Account }
func (*DatasetGroup) kind() string      { return resource.DatasetGroup }
func (*Schema) kind() string            { return resource.Schema }
func (*Dataset) kind() string           { return resource.Dataset }
func (*DatasetImportJob) kind() string  { return resource.DatasetImportJob }
func (*DatasetExportJob) kind() string  { return resource.DatasetExportJob }
func (*DataDeletionJob) kind() string   { return resource.DataDeletionJob }
func (*EventTracker) kind() string      { return resource.EventTracker }
func (*Solution) kind() string          { return resource.Solution }
func (*SolutionVersion) kind() string   { return resource.SolutionVersion }
func (*Campaign) kind() string          { return resource.Campaign }
func (*Recommender) kind() string       { return resource.Recommender }
func (*Filter) kind() string            { return resource.Filter }
func (*BatchInferenceJob) kind() string { return resource.BatchInferenceJob }
func (*BatchSegmentJob) kind() string   { return resource.BatchSegmentJob }
func (*BatchShard) kind() string        { return resource.BatchShard }
func (*MetricAttribution) kind() string { return resource.MetricAttribution }
