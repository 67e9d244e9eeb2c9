// Package tracker is the service that takes what clients report: PutEvents and PutActionInteractions, and the records
// of PutItems, PutUsers and PutActions. It checks a call against the API's rules and the dataset's schema, publishes it
// to the dataset group's topics, and answers 200 once the event log has acknowledged it. Whatever happens to the
// records afterwards is the work of their consumers.
//
// Start reading at PutEvents.
package tracker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/schema"
)

// EventLog is where records go; *bus.Client is one.
type EventLog interface {
	// Publish returns nil only when all records are acknowledged.
	Publish(ctx context.Context, records ...bus.Record) error
	Ping(ctx context.Context) error
}

// Directory finds the destination of a call's records. Errors are the client's (*awsapi.Error) or faults.
type Directory interface {
	// Interactions is the destination of a tracker's events.
	Interactions(ctx context.Context, trackingID string) (*Stream, error)
	// ActionInteractions is the destination of the interactions of the Action_Interactions dataset that has the
	// tracking id.
	ActionInteractions(ctx context.Context, trackingID string) (*Stream, error)
	// Entities is the destination of the items, users or actions of a dataset, which must be of type t.
	Entities(ctx context.Context, datasetARN string, t schema.Type) (*Stream, error)
	// Ready returns nil when the directory knows all resources.
	Ready() error
}

// Stream is a topic and what its records must look like.
type Stream struct {
	Topic string
	// Source is the ARN of the event tracker, or of the dataset, that the records come through.
	Source string
	Schema *schema.Schema
}

// Config is what the tracker needs.
type Config struct {
	Bus EventLog
	// View is the catalog's; it is used unless Directory is set.
	View      *catalog.View
	Directory Directory
	// Admit, if set, is called before each call; its error refuses the call with 503. The embedded event log does so
	// when it is full.
	Admit      func() error
	Log        *zap.Logger
	Registerer prometheus.Registerer
}

// Service is the tracker. It holds no state of its own: any number of them work side by side.
type Service struct {
	bus       EventLog
	directory Directory
	admitted  func() error
	log       *zap.Logger
	metrics   *metrics
	now       func() time.Time

	// reachable is the outcome of the last ping: an errorBox.
	reachable  atomic.Value
	lastLogged atomic.Int64
}

type errorBox struct{ err error }

// New returns a tracker; Run and Register make it work.
func New(cfg Config) (*Service, error) {
	if cfg.Bus == nil || cfg.View == nil && cfg.Directory == nil {
		return nil, errors.New("the tracker needs the event log and the catalog")
	}
	s := &Service{
		bus:       cfg.Bus,
		directory: cfg.Directory,
		admitted:  cfg.Admit,
		log:       cfg.Log,
		metrics:   newMetrics(cfg.Registerer),
		now:       time.Now,
	}
	if s.directory == nil {
		s.directory = newCatalogDirectory(cfg.View)
	}
	if s.admitted == nil {
		s.admitted = func() error { return nil }
	}
	s.reachable.Store(errorBox{errors.New("the event log has not been reached yet")})
	return s, nil
}

// Register adds the tracker's operations.
func (s *Service) Register(r *awsapi.Router) {
	awsapi.HandlePath(r, "/events", "PutEvents", s.PutEvents, s.metrics.countRefusals(schema.Interactions))
	awsapi.HandlePath(r, "/items", "PutItems", s.PutItems, s.metrics.countRefusals(schema.Items),
		awsapi.MaxBody(maxEntitiesBody))
	awsapi.HandlePath(r, "/users", "PutUsers", s.PutUsers, s.metrics.countRefusals(schema.Users),
		awsapi.MaxBody(maxEntitiesBody))
	awsapi.HandlePath(r, "/actions", "PutActions", s.PutActions, s.metrics.countRefusals(schema.Actions),
		awsapi.MaxBody(maxEntitiesBody))
	awsapi.HandlePath(r, "/action-interactions", "PutActionInteractions", s.PutActionInteractions,
		s.metrics.countRefusals(schema.ActionInteractions))
}

// maxEntitiesBody has room for ten items with 32,000 characters of properties, each character written as two escapes of
// six bytes.
const maxEntitiesBody = 4 << 20

// Name is "tracker".
func (s *Service) Name() string { return "tracker" }

const (
	pingInterval = 2 * time.Second
	pingTimeout  = 5 * time.Second
)

// Run keeps asking whether the event log can be reached, for Ready. The calls themselves run in the HTTP server.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		s.ping(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Service) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := s.bus.Ping(ctx)
	if err != nil {
		err = fmt.Errorf("reaching the event log: %w", err)
	}
	s.reachable.Store(errorBox{err})
}

// Ready returns nil when events would be accepted.
func (s *Service) Ready(context.Context) error {
	return errors.Join(s.reachable.Load().(errorBox).err, s.directory.Ready(), s.admitted())
}

// admit refuses calls while the event log must not take more.
func (s *Service) admit() error {
	if err := s.admitted(); err != nil {
		return refusal{"log_full", awsapi.ServiceUnavailable("Events are not accepted at the moment: %v", err)}
	}
	return nil
}

// destination hands on what the directory found, or why it found nothing. If the catalog could not be asked, the call
// may succeed later.
func (s *Service) destination(stream *Stream, err error) (*Stream, error) {
	var stated *awsapi.Error
	if err == nil || errors.As(err, &stated) {
		return stream, err
	}
	s.logNowAndThen("finding the destination of a call failed", err)
	return nil, refusal{"catalog_unavailable", awsapi.ServiceUnavailable("The catalog could not be read.")}
}

// publish returns nil once the event log has acknowledged all records. Its errors leave open whether some were written.
func (s *Service) publish(ctx context.Context, records []bus.Record) error {
	started := s.now()
	err := s.bus.Publish(ctx, records...)
	s.metrics.published(s.now().Sub(started), err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bus.ErrOverloaded):
		return refusal{"overloaded", awsapi.ServiceUnavailable("The event log is overloaded.")}
	case ctx.Err() != nil:
		return refusal{"given_up", fmt.Errorf("publishing: %w", err)}
	}
	s.logNowAndThen("publishing failed", err)
	return refusal{"publish_failed", awsapi.ServiceUnavailable("The event log could not be reached.")}
}

// logNowAndThen logs at most once a second: while the brokers are away, every call fails the same way.
func (s *Service) logNowAndThen(message string, err error) {
	now, last := s.now().Unix(), s.lastLogged.Load()
	if now != last && s.lastLogged.CompareAndSwap(last, now) {
		s.log.Error(message, zap.Error(err))
	}
}
