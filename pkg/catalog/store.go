package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/blob"
)

// The errors of this package, for errors.Is.
var (
	// ErrNotFound means that the resource does not exist.
	ErrNotFound = errors.New("resource not found")
	// ErrExists means that the name is taken.
	ErrExists = errors.New("resource already exists")
	// ErrDeleting means that the resource, or the parent of the one to be created, is being deleted.
	ErrDeleting = errors.New("resource is being deleted")
)

const (
	// noncesKept bounds how many later writes may follow before a writer whose answer was lost no longer recognises its
	// own write.
	noncesKept = 8
	// noticeTimeout bounds how long a write waits for its notice. A notice that fails is made up for by the views'
	// rescan.
	noticeTimeout = 2 * time.Second
	// readers bounds concurrent reads of a listing.
	readers = 16
)

// Notifier notifies the other processes that a resource changed.
type Notifier interface {
	ResourceChanged(ctx context.Context, arn string, revision int64, deleted bool) error
}

// Store reads and writes the resources in a bucket. It is safe for concurrent use.
type Store struct {
	// A table for each type of resource.
	Accounts           Table[*Account]
	DatasetGroups      Table[*DatasetGroup]
	Schemas            Table[*Schema]
	Datasets           Table[*Dataset]
	DatasetImportJobs  Table[*DatasetImportJob]
	DatasetExportJobs  Table[*DatasetExportJob]
	DataDeletionJobs   Table[*DataDeletionJob]
	EventTrackers      Table[*EventTracker]
	Solutions          Table[*Solution]
	SolutionVersions   Table[*SolutionVersion]
	Campaigns          Table[*Campaign]
	Recommenders       Table[*Recommender]
	Filters            Table[*Filter]
	BatchInferenceJobs Table[*BatchInferenceJob]
	BatchSegmentJobs   Table[*BatchSegmentJob]
	BatchShards        Table[*BatchShard]
	MetricAttributions Table[*MetricAttribution]
	Experiments        Table[*Experiment]

	bucket   *blob.Bucket
	notifier Notifier
	log      *zap.Logger
	now      func() time.Time
	// reservationTTL bounds the time between a creation's reservation and its object.
	reservationTTL time.Duration

	conflicts, failedNotices prometheus.Counter

	mu        sync.Mutex
	observers []observer
}

// observer sees this process's own writes at once. The resource is its own copy; a deleted one is the last state.
type observer func(r Resource, deleted bool)

// Option changes a store's defaults.
type Option func(*Store)

// WithLog sets where failed notices are logged.
func WithLog(log *zap.Logger) Option { return func(s *Store) { s.log = log } }

// WithRegisterer registers the store's metrics.
func WithRegisterer(r prometheus.Registerer) Option {
	return func(s *Store) { r.MustRegister(s.conflicts, s.failedNotices) }
}

// NewStore returns a store on a bucket. Without a notifier (nil), views see changes only by their scans.
func NewStore(bucket *blob.Bucket, notifier Notifier, options ...Option) *Store {
	s := &Store{
		bucket:         bucket,
		notifier:       notifier,
		log:            zap.NewNop(),
		now:            func() time.Time { return time.Now().UTC().Truncate(time.Millisecond) },
		reservationTTL: 2 * time.Minute,
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_catalog_conflicts_total",
			Help: "Writes that were retried because another writer had overtaken them.",
		}),
		failedNotices: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "penchant_catalog_notice_failures_total",
			Help: "Changes that could not be announced on penchant.control.",
		}),
	}
	s.fillTables()
	for _, option := range options {
		option(s)
	}
	return s
}

func (s *Store) fillTables() {
	s.Accounts = Of[*Account](s)
	s.DatasetGroups = Of[*DatasetGroup](s)
	s.Schemas = Of[*Schema](s)
	s.Datasets = Of[*Dataset](s)
	s.DatasetImportJobs = Of[*DatasetImportJob](s)
	s.DatasetExportJobs = Of[*DatasetExportJob](s)
	s.DataDeletionJobs = Of[*DataDeletionJob](s)
	s.EventTrackers = Of[*EventTracker](s)
	s.Solutions = Of[*Solution](s)
	s.SolutionVersions = Of[*SolutionVersion](s)
	s.Campaigns = Of[*Campaign](s)
	s.Recommenders = Of[*Recommender](s)
	s.Filters = Of[*Filter](s)
	s.BatchInferenceJobs = Of[*BatchInferenceJob](s)
	s.BatchSegmentJobs = Of[*BatchSegmentJob](s)
	s.BatchShards = Of[*BatchShard](s)
	s.MetricAttributions = Of[*MetricAttribution](s)
	s.Experiments = Of[*Experiment](s)
}

// prepare fills in what a resource gets only once.
func (s *Store) prepare(ctx context.Context, r Resource) {
	m := r.Meta()
	m.Type = r.kind()
	m.ID = uuid.NewString()
	m.CreatedAt = s.now()
	m.CreatedBy, _ = ctx.Value(creatorKey{}).(string)
}

type creatorKey struct{}

// WithCreator marks the resources that are created with the context. A creator that was interrupted and does not know
// whether the resource exists finds it by CreatedBy.
func WithCreator(ctx context.Context, creator string) context.Context {
	return context.WithValue(ctx, creatorKey{}, creator)
}

// CreatedBy finds the resource of a type that was created with WithCreator. It reads the bucket, all resources of the
// type.
func (s *Store) CreatedBy(ctx context.Context, kind, creator string) (Resource, error) {
	resources, err := s.load(ctx, root+kind+"/", nil)
	if err != nil {
		return nil, err
	}
	for _, r := range resources {
		if r.Meta().CreatedBy == creator {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: no %s was created by %s", ErrNotFound, kind, creator)
}

func (s *Store) create(ctx context.Context, r Resource) error {
	m := r.Meta()
	key, err := keyOf(m.ARN)
	if err != nil {
		return err
	}
	m.Revision, m.Nonces, m.UpdatedAt = 1, nil, m.CreatedAt
	m.etag, err = s.document(key).Create(ctx, r)
	if errors.Is(err, blob.ErrPrecondition) {
		return fmt.Errorf("%w: %s", ErrExists, m.ARN)
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", m.ARN, err)
	}
	s.announce(ctx, key, r)
	return nil
}

// Get reads one resource of any type from the bucket.
func (s *Store) Get(ctx context.Context, arn string) (Resource, error) {
	return Of[Resource](s).Get(ctx, arn)
}

// Update changes a resource of any type: see Table.Update.
func (s *Store) Update(ctx context.Context, arn string, change func(Resource) error) (Resource, error) {
	return Of[Resource](s).Update(ctx, arn, change)
}

func (s *Store) read(ctx context.Context, key string) (Resource, error) {
	r, etag, err := s.document(key).Read(ctx)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, key)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	r.Meta().etag = etag
	return r, nil
}

// document is a resource's object. Its nonces are those of the newest writes, so that a writer whose answer was lost
// recognises its own success even after others have written.
func (s *Store) document(key string) blob.Document[Resource] {
	return blob.Document[Resource]{
		Bucket: s.bucket,
		Key:    key,
		Encode: encode,
		Decode: func(data []byte) (Resource, error) { return decode(key, data) },
		Stamp: func(r Resource, nonce string) {
			m := r.Meta()
			m.Nonces = slices.Insert(m.Nonces, 0, nonce)
			m.Nonces = m.Nonces[:min(len(m.Nonces), noncesKept)]
		},
		Stamped: func(r Resource, nonce string) bool { return slices.Contains(r.Meta().Nonces, nonce) },
	}
}

func decode(key string, data []byte) (Resource, error) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(key, root), "/")
	prototype := prototypes[kind]
	if prototype == nil {
		return nil, fmt.Errorf("%w: unknown type", ErrNotFound)
	}
	r := prototype()
	return r, json.Unmarshal(data, r)
}

// encode returns the object's bytes: fields in order, maps sorted, so that equal resources are equal objects.
func encode(r Resource) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(r)
	return buffer.Bytes(), err
}

// announce passes a write to this process's views and notifies the other processes.
func (s *Store) announce(ctx context.Context, key string, written Resource) {
	// Copied, because views share their resources and the caller goes on using its own.
	r, err := copyOf(key, written)
	if err != nil {
		s.log.Error("copying a resource just written", zap.String("key", key), zap.Error(err))
		return
	}
	s.observed(r, false)
	s.notify(ctx, r.Meta(), false)
}

func copyOf(key string, r Resource) (Resource, error) {
	data, err := encode(r)
	if err != nil {
		return nil, err
	}
	same, err := decode(key, data)
	if err != nil {
		return nil, err
	}
	same.Meta().etag = r.Meta().etag
	return same, nil
}

func (s *Store) notify(ctx context.Context, m *Metadata, deleted bool) {
	if s.notifier == nil {
		return
	}
	// The write has happened: its notice must not end with the request's context.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noticeTimeout)
	defer cancel()
	if err := s.notifier.ResourceChanged(ctx, m.ARN, m.Revision, deleted); err != nil {
		s.failedNotices.Inc()
		s.log.Warn("announcing a change failed, views see it at their next scan", zap.String("arn", m.ARN), zap.Error(err))
	}
}

func (s *Store) observe(f observer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observers = append(s.observers, f)
}

func (s *Store) observed(r Resource, deleted bool) {
	s.mu.Lock()
	observers := slices.Clip(s.observers)
	s.mu.Unlock()
	for _, f := range observers {
		f(r, deleted)
	}
}

func compareAge(a, b *Metadata) int {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c
	}
	return strings.Compare(a.ARN, b.ARN)
}

// load reads the objects under a prefix, except those for whose key and ETag skip (which may be nil) returns true.
func (s *Store) load(ctx context.Context, prefix string, skip func(key, etag string) bool) ([]Resource, error) {
	var mu sync.Mutex
	var found []Resource
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for info, err := range s.bucket.List(ctx, prefix) {
		if err != nil {
			_ = group.Wait()
			return nil, fmt.Errorf("listing %s: %w", prefix, err)
		}
		if !strings.HasSuffix(info.Key, ".json") || skip != nil && skip(info.Key, info.ETag) {
			continue
		}
		group.Go(func() error {
			r, err := s.read(reading, info.Key)
			if errors.Is(err, ErrNotFound) {
				return nil // deleted since the listing, or a type of a newer release
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, r)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return found, nil
}
