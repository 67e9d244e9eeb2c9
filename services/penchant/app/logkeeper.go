package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/firehose"
	"github.com/penchant-io/penchant/services/sessionupdater"
)

// logKeeper bounds the embedded Kafka's log, which its server keeps in one folder and reads into memory when it starts.
// Events are deleted only once they are both archived and folded; when that is stuck and the bound is reached, new
// events are refused instead. An outside Kafka has its own retention and no keeper.
type logKeeper struct {
	logKeeperConfig

	size    atomic.Int64
	trimmed map[bus.TopicPartition]int64 // Run's alone: up to where records were deleted
}

type logKeeperConfig struct {
	dir   string
	bound int64
	bus   *bus.Client
	view  *catalog.View
	log   *zap.Logger
}

const keepInterval = 2 * time.Second

func newLogKeeper(cfg logKeeperConfig, reg prometheus.Registerer) *logKeeper {
	k := &logKeeper{logKeeperConfig: cfg, trimmed: map[bus.TopicPartition]int64{}}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "penchant_embedded_log_bytes", Help: "Size of the embedded Kafka's log.",
	}, func() float64 { return float64(k.size.Load()) }))
	return k
}

// Admit returns an error while the log has no room for more events.
func (k *logKeeper) Admit() error {
	if size := k.size.Load(); size >= k.bound {
		return fmt.Errorf("the embedded log holds %d bytes and its bound is %d: archiving must catch up first", size,
			k.bound)
	}
	return nil
}

// Run measures the log and trims it until ctx ends.
func (k *logKeeper) Run(ctx context.Context) error {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		if err := k.keep(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("keeping the embedded log within its bound", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (k *logKeeper) keep(ctx context.Context) error {
	size, err := folderSize(k.dir)
	if err != nil {
		return err
	}
	k.size.Store(size)
	// Half of the bound is the reserve that new events fill while older ones are being archived.
	if size < k.bound/2 {
		return nil
	}
	if err := k.trim(ctx); err != nil {
		return err
	}
	if size, err = folderSize(k.dir); err != nil {
		return err
	}
	k.size.Store(size)
	return nil
}

// trim deletes records that have served their purpose: events that are archived and folded, and the records of the
// recommendations topics, which are for consumers who follow along. As long as there is room, the newest of the latter
// are left for experiments and metric attributions to be counted from.
func (k *logKeeper) trim(ctx context.Context) error {
	upTo, err := k.handledEvents(ctx)
	if err != nil {
		return err
	}
	if err := k.addRecommendations(ctx, upTo); err != nil {
		return err
	}
	if k.size.Load() < k.bound/4*3 {
		if err := k.spareUncounted(ctx, upTo); err != nil {
			return err
		}
	}
	for partition, offset := range upTo {
		if offset <= k.trimmed[partition] {
			delete(upTo, partition)
		}
	}
	if len(upTo) == 0 {
		return nil
	}
	if err := k.bus.DeleteRecords(ctx, upTo); err != nil {
		return err
	}
	maps.Copy(k.trimmed, upTo)
	return nil
}

// handledEvents returns up to which offset the interactions of each partition, with items and with actions, are
// archived and folded.
func (k *logKeeper) handledEvents(ctx context.Context) (map[bus.TopicPartition]int64, error) {
	archived, err := k.bus.Committed(ctx, firehose.ConsumerGroup)
	if err != nil {
		return nil, err
	}
	folded, err := k.bus.Committed(ctx, sessionupdater.ConsumerGroup)
	if err != nil {
		return nil, err
	}
	events := map[string]bool{} // by topic
	for _, group := range catalog.All[*catalog.DatasetGroup](k.view) {
		events[schema.Interactions.Topic(group.GroupKey())] = true
		events[schema.ActionInteractions.Topic(group.GroupKey())] = true
	}
	upTo := map[bus.TopicPartition]int64{}
	for partition, offset := range archived {
		if f, ok := folded[partition]; ok && events[partition.Topic] {
			upTo[partition] = min(offset, f)
		}
	}
	return upTo, nil
}

// addRecommendations adds the ends of the recommendations topics.
func (k *logKeeper) addRecommendations(ctx context.Context, upTo map[bus.TopicPartition]int64) error {
	var topics []string
	for _, group := range catalog.All[*catalog.DatasetGroup](k.view) {
		if group.Status == status.Active {
			topics = append(topics, bus.RecommendationsTopic(group.GroupKey()))
		}
	}
	ends, err := k.bus.Offsets(ctx, topics...)
	if err != nil {
		return err
	}
	for partition, offsets := range ends {
		upTo[partition] = offsets.End
	}
	return nil
}

const (
	// uncountedFor is how long records are spared for experiments, which are counted every few seconds.
	uncountedFor = 2 * time.Minute
	// unreportedFor is how long they are spared for metric attributions: an event's source is a recommendation of the
	// hour before its window of 15 minutes, which is reported a minute after its end.
	unreportedFor = 80 * time.Minute
)

// spareUncounted keeps the newest records of the recommendations topics for the counters in this process.
func (k *logKeeper) spareUncounted(ctx context.Context, upTo map[bus.TopicPartition]int64) error {
	spared := map[string]time.Duration{} // by dataset group
	for _, e := range catalog.All[*catalog.Experiment](k.view) {
		if !e.Stopped() {
			spared[e.DatasetGroupARN] = uncountedFor
		}
	}
	for _, m := range catalog.All[*catalog.MetricAttribution](k.view) {
		if m.WritesReports() {
			spared[m.DatasetGroupARN] = unreportedFor
		}
	}
	for arn, span := range spared {
		group, ok := catalog.Lookup[*catalog.DatasetGroup](k.view, arn)
		if !ok {
			continue
		}
		topic := bus.RecommendationsTopic(group.GroupKey())
		newest, err := k.bus.OffsetsFrom(ctx, topic, time.Now().Add(-span))
		if err != nil {
			return err
		}
		for partition, offsets := range newest {
			place := bus.TopicPartition{Topic: topic, Partition: partition}
			if end, trimmed := upTo[place]; trimmed {
				upTo[place] = min(end, offsets.Start)
			}
		}
	}
	return nil
}

// folderSize adds up the files below dir. Files that vanish meanwhile count nothing.
func folderSize(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".lock") {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measuring the embedded log: %w", err)
	}
	return total, nil
}
