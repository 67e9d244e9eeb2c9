package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
)

const (
	// catchUpInterval is how often a deletion checks whether the firehose and the session-updater have come far enough.
	catchUpInterval = 500 * time.Millisecond
	// catchUpWarning is the time after which it logs what it is waiting for.
	catchUpWarning = time.Minute
)

// Deleter runs data deletion jobs.
type Deleter struct {
	Data *groupdata.Source
	// Source is the store that has the users' buckets.
	Source *blob.Client
	// Users are the user states; nil if this process has no Redis.
	Users *userstate.Store
	Log   *zap.Logger
}

// Run deletes users. What the log holds when it begins, the cut, goes; what comes after counts again:
//
//  1. The users to be forgotten below the cut are written down, for session-updaters that fold the log again.
//  2. The firehose must have archived everything below the cut: else the rest would be archived later.
//  3. The archive's files are rewritten without the users' rows, under their names.
//  4. The datasets get versions without the users' rows, and the old files are deleted.
//  5. Session-updaters must have folded everything below the cut, and merged the new version: else they would bring
//     back what they are working on. Then the users' states are deleted.
//
// Each step may be repeated. With users go the anonymous events of the sessions in which they were seen. Kafka drops
// the records when its retention has passed, those of the compacted users topic by an empty record for each user.
// Models that were trained before know the users until they are replaced.
func (r *Deleter) Run(
	ctx context.Context, job *catalog.DataDeletionJob, report func(float64),
) (func(*catalog.DataDeletionJob), error) {
	if r.Users == nil {
		return nil, errors.New("deleting users needs Redis, which this retrainer was not given")
	}
	group, err := r.Data.Store.DatasetGroups.Get(ctx, job.DatasetGroupARN)
	if err != nil {
		return nil, jobs.Missing(err, "dataset group", job.DatasetGroupARN)
	}
	d := &deletion{
		data: r.Data, users: r.Users, log: r.Log.With(zap.String("job", job.ARN)),
		job: job, group: group.GroupKey(), ids: map[string]struct{}{}, put: map[string]struct{}{},
	}
	err = dataset.UserIDs(ctx, r.Source, job.DataLocation, func(id string) { d.ids[id] = struct{}{} })
	if err != nil {
		return nil, blameUser(err)
	}
	steps := []func(context.Context) error{
		d.findCut, d.awaitArchive, d.findSessions, d.remember,
		d.cleanArchive, d.cleanDatasets, d.awaitFold, d.cleanStates,
	}
	for n, step := range steps {
		err := step(ctx)
		if corrupt := new(archive.CorruptError); errors.As(err, &corrupt) {
			return nil, damaged(corrupt)
		}
		if err != nil {
			return nil, err
		}
		report(float64(n+1) / float64(len(steps)))
	}
	d.log.Info("users deleted",
		zap.Int("users", len(d.ids)), zap.Int("sessions", len(d.sessions)), zap.Int64("records", d.deleted))
	return func(job *catalog.DataDeletionJob) { job.NumDeleted = d.deleted }, nil
}

// deletion is one job under way.
type deletion struct {
	data  *groupdata.Source
	users *userstate.Store
	log   *zap.Logger
	job   *catalog.DataDeletionJob
	group string
	ids   map[string]struct{}
	// cuts are the ends of the group's topics.
	cuts     map[schema.Type]topicCut
	sessions map[string]struct{}   // in which the users were seen
	put      map[string]struct{}   // users whose metadata was put
	deleted  int64                 // records
	versions map[schema.Type]int64 // of the imported interactions without the users
}

type topicCut struct {
	id   bus.TopicID
	ends map[int32]int64
}

// below reports whether a record was in the log at the cut, or in an older topic.
func (c topicCut) below(o reco.Origin) bool {
	return o.TopicID != c.id || o.Offset < c.ends[o.Partition]
}

func (d *deletion) wanted(id string) bool {
	_, ok := d.ids[id]
	return ok
}

// findCut notes where the log ends now.
func (d *deletion) findCut(ctx context.Context) error {
	client := d.data.Bus
	d.cuts, d.versions = map[schema.Type]topicCut{}, map[schema.Type]int64{}
	for _, of := range aboutUsers {
		topic := of.Topic(d.group)
		c := topicCut{ends: map[int32]int64{}}
		topics, err := client.Topics(ctx, topic)
		if err != nil {
			return err
		}
		info, exists := topics[topic]
		if !exists {
			continue
		}
		c.id = info.ID
		held, err := client.Offsets(ctx, topic)
		if err != nil {
			return err
		}
		for place, offsets := range held {
			c.ends[place.Partition] = offsets.End
		}
		d.cuts[of] = c
	}
	return nil
}

// aboutUsers are the types of data with records of users.
var aboutUsers = append(schema.InteractionTypes(), schema.Users)

// awaitArchive waits until the archive covers the cut.
func (d *deletion) awaitArchive(ctx context.Context) error {
	return d.wait(ctx, "the firehose has archived what the log holds", func() (bool, error) {
		for of, c := range d.cuts {
			ranges, err := d.data.Unarchived(ctx, d.group, of)
			if err != nil {
				return false, err
			}
			for partition, end := range c.ends {
				if ranges[partition].Start < end {
					return false, nil
				}
			}
		}
		return true, nil
	})
}

// findSessions finds the sessions in which the users were seen.
func (d *deletion) findSessions(ctx context.Context) error {
	d.sessions = map[string]struct{}{}
	for _, of := range aboutUsers {
		if !of.IsInteractions() {
			continue
		}
		for i, err := range archive.ReadInteractions(ctx, d.data.Bucket, d.group, of, archive.ReadOptions{}) {
			if err != nil {
				return err
			}
			if d.wanted(i.UserID) && i.SessionID != "" {
				d.sessions[i.SessionID] = struct{}{}
			}
		}
	}
	return nil
}

// remember writes down whose records below the cut no longer count.
func (d *deletion) remember(ctx context.Context) error {
	for _, of := range schema.InteractionTypes() {
		c, exists := d.cuts[of]
		if !exists {
			continue
		}
		f := &dataset.Forgotten{Topic: c.id, Cut: c.ends}
		for id := range d.ids {
			f.Add(id)
		}
		for id := range d.sessions {
			f.Add(id)
		}
		if err := f.Save(ctx, d.data.Bucket, d.group, d.job.ID+"-"+of.Folder()); err != nil {
			return err
		}
	}
	return nil
}

func (d *deletion) drops(i *reco.Interaction) bool {
	if i.UserID != "" {
		return d.wanted(i.UserID)
	}
	_, seen := d.sessions[i.SessionID]
	return seen
}

// cleanArchive removes the users' records from the archive.
func (d *deletion) cleanArchive(ctx context.Context) error {
	bucket := d.data.Bucket
	for _, of := range aboutUsers {
		c := d.cuts[of]
		var dropped int64
		var err error
		if of == schema.Users {
			dropped, err = archive.RewriteUsers(ctx, bucket, d.group, func(e *reco.Entity) bool {
				if !d.wanted(e.ID) || !c.below(e.Origin) {
					return false
				}
				d.put[e.ID] = struct{}{}
				return true
			})
		} else {
			dropped, err = archive.RewriteInteractions(ctx, bucket, d.group, of, func(i *reco.Interaction) bool {
				return d.drops(i) && c.below(i.Origin)
			})
		}
		d.deleted += dropped
		if err != nil {
			return fmt.Errorf("removing users from the archive: %w", err)
		}
	}
	return d.emptyRecords(ctx)
}

// emptyRecords makes Kafka compact away the metadata that was put about the users.
func (d *deletion) emptyRecords(ctx context.Context) error {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(d.put)), 1000) {
		records := make([]bus.Record, len(ids))
		for n, id := range ids {
			records[n] = bus.Record{Topic: schema.Users.Topic(d.group), Key: []byte(id)}
		}
		if err := d.data.Bus.Publish(ctx, records...); err != nil {
			return fmt.Errorf("removing users from the log: %w", err)
		}
	}
	return nil
}

// cleanDatasets makes versions of the datasets without the users.
func (d *deletion) cleanDatasets(ctx context.Context) error {
	datasets, err := d.data.Store.Datasets.List(ctx)
	if err != nil {
		return err
	}
	for _, of := range datasets {
		if of.DatasetGroupARN != d.job.DatasetGroupARN {
			continue
		}
		_, parsed, err := d.data.SchemaOf(ctx, of)
		if err != nil {
			return err
		}
		switch parsed.Type {
		case schema.Interactions, schema.ActionInteractions, schema.Users:
		default:
			continue
		}
		version, removed, err := dataset.Removal{
			Bucket: d.data.Bucket, Group: d.group, Schema: parsed, ID: d.job.ID,
			Interaction: func(i *reco.Interaction) bool { return d.drops(i) },
			Entity:      func(e *reco.Entity) bool { return d.wanted(e.ID) },
		}.Run(ctx)
		if err != nil {
			return fmt.Errorf("removing users from %s: %w", of.ARN, err)
		}
		d.deleted += removed
		d.versions[parsed.Type] = version.Number
		_, err = d.data.Store.Datasets.Update(ctx, of.ARN, func(now *catalog.Dataset) error {
			now.Version = max(now.Version, version.Number)
			return nil
		})
		if err != nil && !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
	}
	return nil
}

// awaitFold waits until no session-updater works any more on what it read before.
func (d *deletion) awaitFold(ctx context.Context) error {
	return d.wait(ctx, "the session-updater has folded what the log holds", func() (bool, error) {
		marks, err := d.users.Marks(ctx, d.group)
		if err != nil {
			return false, err
		}
		for _, of := range schema.InteractionTypes() {
			c := d.cuts[of]
			for partition, end := range c.ends {
				log := userstate.Log{TopicID: c.id, Partition: partition, Type: of}
				if marks.Applied(log) < end-1 || marks.Rebuilding(log) ||
					marks.Imported(of, partition) < d.versions[of] || marks.RebuildingImport(of, partition) {
					return false, nil
				}
			}
		}
		return true, nil
	})
}

func (d *deletion) cleanStates(ctx context.Context) error {
	for _, ids := range []map[string]struct{}{d.ids, d.sessions} {
		if err := d.users.Delete(ctx, d.group, slices.Collect(maps.Keys(ids))); err != nil {
			return err
		}
	}
	return d.users.DeleteResults(ctx, d.group, slices.Collect(maps.Keys(d.ids)))
}

// wait polls until a condition holds.
func (d *deletion) wait(ctx context.Context, what string, holds func() (bool, error)) error {
	tick := time.NewTicker(catchUpInterval)
	defer tick.Stop()
	warning := time.NewTicker(catchUpWarning)
	defer warning.Stop()
	for {
		if ok, err := holds(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-warning.C:
			d.log.Warn("a data deletion is waiting until " + what)
		case <-tick.C:
		}
	}
}
