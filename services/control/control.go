// Package control is the control plane: it answers the operations of the personalize API (Create…, Describe…, List…, Update…,
// Delete…), each of which reads or changes one resource of the catalog and returns at once, and it drives the resources to the
// state that was asked for: topics for a new dataset group, the next model for a campaign, the removal of what was deleted.
//
// Any number of replicas may run. None is the leader: every change is a compare-and-swap, and what must be done by one at a time
// is done under a lease. Jobs (imports, trainings) are only announced here; the retrainer runs them.
//
//	SDK ──▶ <resource>.go ──▶ catalog ──▶ view ──▶ reconcile.go ──▶ Kafka topics, bucket, catalog
//
// One file a resource; request.go, page.go and tags.go hold what they share. Workflows, with an API and a loop of their own, are the
// package workflow below.
package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/services/control/workflow"
)

// Config is what the control plane needs. AccountID and Region stand in the ARNs of new resources; a client that signs for another
// region gets that one.
type Config struct {
	Bus    *bus.Client
	Bucket *blob.Bucket
	Store  *catalog.Store
	// View is run by the process, and sees what Store writes.
	View *catalog.View

	AccountID, Region string
	// Quotas that are zero take their defaults.
	Quotas Quotas
	// Functions are the HTTP endpoints that stand for Lambda functions in workflows, by the function's name.
	Functions map[string]string
	// LeaseTTL is after which silence of its replica a workflow's execution is taken over. 0: 30 seconds.
	LeaseTTL time.Duration
	// WorkflowRetention is for how long a workflow's executions are kept after their end. 0: 90 days.
	WorkflowRetention time.Duration

	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Service is the control plane.
type Service struct {
	store  *catalog.Store
	view   *catalog.View
	bus    *bus.Client
	bucket *blob.Bucket
	log    *zap.Logger

	account, region string
	quotas          Quotas

	workflows  *workflow.Service
	queue      *queue
	reconciled *prometheus.CounterVec
}

// New makes the service.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Store == nil || cfg.View == nil || cfg.Bus == nil || cfg.Bucket == nil:
		return nil, errors.New("the control plane needs a catalog, a bus and a bucket")
	case cfg.AccountID == "" || cfg.Region == "":
		return nil, errors.New("the control plane needs an account id and a region for ARNs")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	s := &Service{
		store: cfg.Store, view: cfg.View, bus: cfg.Bus, bucket: cfg.Bucket, log: cfg.Log,
		account: cfg.AccountID, region: cfg.Region, quotas: cfg.Quotas.withDefaults(),
		workflows: workflow.New(workflow.Config{
			Bucket: cfg.Bucket, Store: cfg.Store, Bus: cfg.Bus, AccountID: cfg.AccountID, Region: cfg.Region,
			Functions: cfg.Functions, Log: cfg.Log.Named("workflow"), LeaseTTL: cfg.LeaseTTL, Retention: cfg.WorkflowRetention,
		}),
		queue: newQueue(),
		reconciled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_control_reconciliations_total",
			Help: "Resources that were looked at and driven further, by type and result.",
		}, []string{"type", "result"}),
	}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(s.reconciled); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return s, nil
}

// Name implements process.Service.
func (s *Service) Name() string { return "control" }

// Ready implements process.Service: the catalog can be read and written. Without Kafka calls are answered all the same;
// what needs it, such as a new dataset group, stays pending until it is back.
func (s *Service) Ready(ctx context.Context) error {
	if !s.view.Ready() {
		return errors.New("the catalog has not been read yet")
	}
	if err := s.bucket.Ping(ctx); err != nil {
		return fmt.Errorf("the bucket does not answer: %w", err)
	}
	return nil
}

// Register puts the operations on a router.
func (s *Service) Register(r *awsapi.Router) {
	handle(r, "CreateDatasetGroup", s.createDatasetGroup)
	handle(r, "DescribeDatasetGroup", s.describeDatasetGroup)
	handle(r, "ListDatasetGroups", s.listDatasetGroups)
	handle(r, "DeleteDatasetGroup", s.deleteDatasetGroup)

	handle(r, "CreateSchema", s.createSchema)
	handle(r, "DescribeSchema", s.describeSchema)
	handle(r, "ListSchemas", s.listSchemas)
	handle(r, "DeleteSchema", s.deleteSchema)

	handle(r, "CreateDataset", s.createDataset)
	handle(r, "DescribeDataset", s.describeDataset)
	handle(r, "ListDatasets", s.listDatasets)
	handle(r, "UpdateDataset", s.updateDataset)
	handle(r, "DeleteDataset", s.deleteDataset)

	handle(r, "CreateDatasetImportJob", s.createDatasetImportJob)
	handle(r, "DescribeDatasetImportJob", s.describeDatasetImportJob)
	handle(r, "ListDatasetImportJobs", s.listDatasetImportJobs)

	handle(r, "CreateEventTracker", s.createEventTracker)
	handle(r, "DescribeEventTracker", s.describeEventTracker)
	handle(r, "ListEventTrackers", s.listEventTrackers)
	handle(r, "DeleteEventTracker", s.deleteEventTracker)

	handle(r, "ListRecipes", s.listRecipes)
	handle(r, "DescribeRecipe", s.describeRecipe)
	handle(r, "DescribeAlgorithm", s.describeAlgorithm)
	handle(r, "DescribeFeatureTransformation", s.describeFeatureTransformation)

	handle(r, "CreateSolution", s.createSolution)
	handle(r, "DescribeSolution", s.describeSolution)
	handle(r, "ListSolutions", s.listSolutions)
	handle(r, "UpdateSolution", s.updateSolution)
	handle(r, "DeleteSolution", s.deleteSolution)

	handle(r, "CreateSolutionVersion", s.createSolutionVersion)
	handle(r, "DescribeSolutionVersion", s.describeSolutionVersion)
	handle(r, "ListSolutionVersions", s.listSolutionVersions)
	handle(r, "StopSolutionVersionCreation", s.stopSolutionVersionCreation)
	handle(r, "GetSolutionMetrics", s.getSolutionMetrics)

	handle(r, "CreateCampaign", s.createCampaign)
	handle(r, "DescribeCampaign", s.describeCampaign)
	handle(r, "ListCampaigns", s.listCampaigns)
	handle(r, "UpdateCampaign", s.updateCampaign)
	handle(r, "DeleteCampaign", s.deleteCampaign)

	handle(r, "CreateFilter", s.createFilter)
	handle(r, "DescribeFilter", s.describeFilter)
	handle(r, "ListFilters", s.listFilters)
	handle(r, "DeleteFilter", s.deleteFilter)

	handle(r, "CreateRecommender", s.createRecommender)
	handle(r, "DescribeRecommender", s.describeRecommender)
	handle(r, "ListRecommenders", s.listRecommenders)
	handle(r, "UpdateRecommender", s.updateRecommender)
	handle(r, "StartRecommender", s.startRecommender)
	handle(r, "StopRecommender", s.stopRecommender)
	handle(r, "DeleteRecommender", s.deleteRecommender)

	handle(r, "CreateMetricAttribution", s.createMetricAttribution)
	handle(r, "DescribeMetricAttribution", s.describeMetricAttribution)
	handle(r, "ListMetricAttributions", s.listMetricAttributions)
	handle(r, "ListMetricAttributionMetrics", s.listMetricAttributionMetrics)
	handle(r, "UpdateMetricAttribution", s.updateMetricAttribution)
	handle(r, "DeleteMetricAttribution", s.deleteMetricAttribution)

	handle(r, "CreateExperiment", s.createExperiment)
	handle(r, "DescribeExperiment", s.describeExperiment)
	handle(r, "ListExperiments", s.listExperiments)
	handle(r, "UpdateExperiment", s.updateExperiment)
	handle(r, "DeleteExperiment", s.deleteExperiment)

	handle(r, "CreateBatchInferenceJob", s.createBatchInferenceJob)
	handle(r, "DescribeBatchInferenceJob", s.describeBatchInferenceJob)
	handle(r, "ListBatchInferenceJobs", s.listBatchInferenceJobs)

	handle(r, "CreateBatchSegmentJob", s.createBatchSegmentJob)
	handle(r, "DescribeBatchSegmentJob", s.describeBatchSegmentJob)
	handle(r, "ListBatchSegmentJobs", s.listBatchSegmentJobs)

	handle(r, "CreateDatasetExportJob", s.createDatasetExportJob)
	handle(r, "DescribeDatasetExportJob", s.describeDatasetExportJob)
	handle(r, "ListDatasetExportJobs", s.listDatasetExportJobs)

	handle(r, "CreateDataDeletionJob", s.createDataDeletionJob)
	handle(r, "DescribeDataDeletionJob", s.describeDataDeletionJob)
	handle(r, "ListDataDeletionJobs", s.listDataDeletionJobs)

	handle(r, "TagResource", s.tagResource)
	handle(r, "UntagResource", s.untagResource)
	handle(r, "ListTagsForResource", s.listTagsForResource)

	s.workflows.Register(r)
}
