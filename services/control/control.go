// Package control is the control plane: it answers the operations of the personalize API (Create…, Describe…, List…,
// Update…, Delete…), each of which reads or changes one resource of the catalog and returns at once, and it reconciles
// the resources with what was requested: topics for a new dataset group, the next model for a campaign, the deletion of
// what was deleted.
//
// Any number of replicas may run. None is the leader: every change is a compare-and-swap, and what only one at a time
// may do is done under a lease. Jobs (imports, trainings) are only announced here; the retrainer runs them.
//
//	SDK ──▶ <resource>.go ──▶ catalog ──▶ view ──▶ reconcile.go ──▶ Kafka topics, bucket, catalog
//
// Each resource is a file with a row, in one of three packages:
//
//	datasets      dataset groups, schemas, datasets, their jobs, event trackers, filters, metric attributions
//	solutions     recipes, solutions, their versions, campaigns, recommenders, batch jobs
//	experiments   experiments
//
// CreateFilter, for example, is filters.create in datasets/filter.go. The package crud has what rows are made of:
// finding, creating, listing and deleting. Here are the loop that reconciles (reconcile.go) and the operations on tags,
// for all rows. Workflows, with an API and a loop of their own, are the package workflow.
package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/services/control/crud"
	"github.com/penchant-io/penchant/services/control/datasets"
	"github.com/penchant-io/penchant/services/control/experiments"
	"github.com/penchant-io/penchant/services/control/solutions"
	"github.com/penchant-io/penchant/services/control/workflow"
)

// Config holds the dependencies and options of the control plane. AccountID and Region become parts of the ARNs of new
// resources; a client that signs for another region gets that one.
type Config struct {
	Bus    *bus.Client
	Bucket *blob.Bucket
	Store  *catalog.Store
	// View is run by the process, and sees what Store writes.
	View *catalog.View

	Options
	Region string
	// LeaseTTL is after which silence of its replica a workflow's execution is taken over. 0: 30 seconds.
	LeaseTTL time.Duration

	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Service is the control plane.
type Service struct {
	env    *crud.Env
	rows   []crud.Row
	byType map[string]crud.Row

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
	env := &crud.Env{
		Store: cfg.Store, View: cfg.View, Bus: cfg.Bus, Bucket: cfg.Bucket, Log: cfg.Log,
		Account: cfg.AccountID, Region: cfg.Region, Quotas: cfg.Quotas.WithDefaults(),
	}
	s := &Service{
		env: env, rows: rows(env), byType: map[string]crud.Row{},
		workflows: workflow.New(workflow.Config{
			Bucket: cfg.Bucket, Store: cfg.Store, Bus: cfg.Bus, AccountID: cfg.AccountID, Region: cfg.Region,
			Functions: cfg.Functions, Log: cfg.Log.Named("workflow"), LeaseTTL: cfg.LeaseTTL,
			Retention: cfg.WorkflowRetention,
		}),
		queue: newQueue(),
		reconciled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "penchant_control_reconciliations_total",
			Help: "Reconciliations of resources, by type and result.",
		}, []string{"type", "result"}),
	}
	for _, row := range s.rows {
		if row.Type != "" {
			s.byType[row.Type] = row
		}
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
	if !s.env.View.Ready() {
		return errors.New("the catalog has not been read yet")
	}
	if err := s.env.Bucket.Ping(ctx); err != nil {
		return fmt.Errorf("the bucket does not answer: %w", err)
	}
	return nil
}

// rows returns the resources of the control plane. A new resource is a file with its row in one of the packages, a line
// in the package's Rows, and a type of the catalog.
func rows(env *crud.Env) []crud.Row {
	resources := slices.Concat(datasets.Rows(env), solutions.Rows(env), experiments.Rows(env))
	return append(resources, newTags(env, resources).row())
}

// Register puts the operations on a router.
func (s *Service) Register(r *awsapi.Router) {
	for _, row := range s.rows {
		for _, operation := range row.Operations {
			operation(r)
		}
	}
	s.workflows.Register(r)
}
