package sessionupdater

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/userstate"
)

// manifestInterval is how often a dataset's manifest is read even if the catalog shows no new version: deleting a
// dataset removes its data without one.
const manifestInterval = 30 * time.Second

// importer merges imported interactions into the states of the users whose partitions this process folds. It has one
// goroutine and merges one dataset version at a time, concurrently with the folding of events.
type importer struct {
	service *Service
	wake    chan struct{}

	mu         sync.Mutex
	partitions map[bus.TopicPartition]*partition // assigned and started

	manifests map[stream]manifest // used by run only
}

// manifest is a dataset's manifest as of its last reading.
type manifest struct {
	version int64
	readAt  time.Time
}

func newImporter(s *Service) *importer {
	return &importer{
		service: s, wake: make(chan struct{}, 1),
		partitions: map[bus.TopicPartition]*partition{}, manifests: map[stream]manifest{},
	}
}

// enter and leave maintain the set of partitions that this process is responsible for.
func (m *importer) enter(p *partition) {
	m.mu.Lock()
	m.partitions[p.assignment.TopicPartition] = p
	m.mu.Unlock()
	signal(m.wake)
}

func (m *importer) leave(p *partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Its successor may have entered already.
	if m.partitions[p.assignment.TopicPartition] == p {
		delete(m.partitions, p.assignment.TopicPartition)
	}
}

// owned returns the partitions by stream.
func (m *importer) owned() map[stream][]int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	owned := map[stream][]int32{}
	for _, p := range m.partitions {
		owned[p.stream] = append(owned[p.stream], p.source.Partition)
	}
	return owned
}

func (m *importer) run(ctx context.Context) error {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		owned := m.owned()
		for _, of := range slices.SortedFunc(maps.Keys(owned), compareStreams) {
			slices.Sort(owned[of])
			if err := m.check(ctx, of, owned[of]); err != nil && ctx.Err() == nil {
				m.service.log.Warn("merging imported interactions",
					zap.String("group", of.group), zap.String("dataset", of.data.DatasetType()), zap.Error(err))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		case <-tick.C:
		}
	}
}

// compareStreams orders by group, interactions with items before those with actions.
func compareStreams(a, b stream) int {
	return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(string(b.data), string(a.data)))
}

// check merges the group's current dataset version into the users of those partitions that lack it.
func (m *importer) check(ctx context.Context, of stream, owned []int32) error {
	s := m.service
	recent, err := s.config.Users.RecentMarks(ctx, of.group, checkInterval)
	if err != nil {
		return err
	}
	last := m.manifests[of]
	behind := of.behind(recent, owned, max(m.announced(of), last.version))
	if len(behind) == 0 && time.Since(last.readAt) < manifestInterval {
		return nil
	}
	version, err := dataset.Current(ctx, s.config.Bucket, of.group, of.data.DatasetType())
	if errors.Is(err, dataset.ErrNoData) {
		version.Base = version.Number // removes what was imported before
	} else if err != nil {
		return err
	}
	m.manifests[of] = manifest{version.Number, time.Now()}
	// The shared reading may be older than this process's last merge.
	marks, err := s.config.Users.Marks(ctx, of.group)
	if err != nil {
		return err
	}
	behind = of.behind(marks, owned, version.Number)
	if len(behind) == 0 {
		return nil
	}
	topic := of.data.Topic(of.group)
	topics, err := s.config.Bus.Topics(ctx, topic)
	if err != nil {
		return err
	}
	if topics[topic].Partitions == 0 {
		return fmt.Errorf("the topic %s does not exist", topic)
	}
	begun := time.Now()
	job := &merge{
		service: s, stream: of, version: version, partitions: behind, total: topics[topic].Partitions, marks: marks,
	}
	if err := job.run(ctx); err != nil {
		return err
	}
	s.metrics.imports.Inc()
	s.metrics.importSeconds.Observe(time.Since(begun).Seconds())
	s.log.Info("merged imported interactions", zap.String("group", of.group),
		zap.String("dataset", of.data.DatasetType()), zap.Int64("version", version.Number),
		zap.Int32s("partitions", behind), zap.Int("users", job.users), zap.Duration("took", time.Since(begun)))
	return nil
}

// announced returns the version of the group's dataset in the catalog, 0 if there is none.
func (m *importer) announced(of stream) int64 {
	for _, g := range catalog.All[*catalog.DatasetGroup](m.service.config.View) {
		if g.GroupKey() != of.group {
			continue
		}
		for _, d := range catalog.All[*catalog.Dataset](m.service.config.View) {
			if d.DatasetGroupARN == g.ARN && d.DatasetType == of.data.DatasetType() {
				return d.Version
			}
		}
	}
	return 0
}

// behind returns the partitions whose users lack a version.
func (s stream) behind(marks userstate.Marks, partitions []int32, version int64) []int32 {
	return slices.DeleteFunc(slices.Clone(partitions), func(partition int32) bool {
		return marks.Imported(s.data, partition) >= version
	})
}
