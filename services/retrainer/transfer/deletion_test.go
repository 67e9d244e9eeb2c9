package transfer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

func (i *installation) deletion(name, ids string) *catalog.DataDeletionJob {
	i.Helper()
	i.Put("delete/"+name+".csv", ids)
	job := &catalog.DataDeletionJob{
		Metadata:        catalog.Metadata{ARN: retrainertest.Account + "data-deletion-job/" + name, Name: name, Status: status.Pending},
		DatasetGroupARN: i.Group.ARN, DataLocation: *i.At("delete/" + name + ".csv").Path,
	}
	retrainertest.Create(i.Installation, job)
	return job
}

// folds says what the session-updater does of its progress: everything in the log is folded, the current import merged.
func (i *installation) folds(users *userstate.Store) func(context.Context) error {
	key := i.Group.GroupKey()
	foldType := func(ctx context.Context, of schema.Type) error {
		topic := of.Topic(key)
		topics, err := i.Bus.Topics(ctx, topic)
		if err != nil {
			return err
		}
		held, err := i.Bus.Offsets(ctx, topic)
		if err != nil {
			return err
		}
		version, err := dataset.Current(ctx, i.Bucket, key, of.DatasetType())
		if err != nil && !errors.Is(err, dataset.ErrNoData) {
			return err
		}
		for place, offsets := range held {
			log := userstate.Log{TopicID: topics[topic].ID, Partition: place.Partition, Type: of}
			imported := userstate.Import{Group: key, Type: of, Partitions: []int32{place.Partition}}
			err := errors.Join(users.Reset(ctx, key, log, offsets.End-1, false), users.ResetImported(ctx, imported),
				users.AdvanceImported(ctx, imported, 0, version.Number))
			if err != nil {
				return err
			}
		}
		return nil
	}
	fold := func(ctx context.Context) error {
		return errors.Join(foldType(ctx, schema.Interactions), foldType(ctx, schema.ActionInteractions))
	}
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			if err := fold(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		return nil
	}
}

// known are the users and sessions of whom anything is left in datasets and archive, and of whom metadata is.
func (i *installation) known() (visitors, described []string) {
	i.Helper()
	tail, err := i.Data().OpenTail(i.Context(), i.Group.GroupKey())
	if err != nil {
		i.Fatal(err)
	}
	set, err := dataset.Load(i.Context(), dataset.LoadRequest{Bucket: i.Bucket, Group: i.Group.GroupKey(), More: func(b *trainingset.Builder) error {
		return tail.Read(i.Context(), b)
	}})
	if err != nil {
		i.Fatal(err)
	}
	for u := range set.Users {
		if row, ok := set.UserRows[int32(u)]; ok {
			described = append(described, row.ID)
		}
	}
	return set.Users, described
}

func TestDeletedUsersAreGone(t *testing.T) {
	t.Parallel()
	i := install(t)
	users := i.Redis()
	importer := i.importer()
	importer.MinInteractions = 1
	retrainertest.Run(i.Installation, i.Worker(nil), "import", importer.Run)
	i.runsDeletions(users)
	events := i.InteractionsDataset()
	const document = `{"type":"record","name":"Users","namespace":"x","fields":[{"name":"USER_ID","type":"string"},{"name":"AGE","type":["null","int"]}],"version":"1.0"}`
	i.finished(i.ImportJob(i.Dataset(i.Group, "USERS", document), "users", mode.ImportFull, "USER_ID,AGE\nann,30\nben,40\n"))
	i.finished(i.ImportJob(events, "events", mode.ImportFull, "USER_ID,ITEM_ID,TIMESTAMP\nann,a,1\nben,b,2\nann,c,3\n"))
	i.Publish(
		reco.Interaction{EventID: "1", SessionID: "visit", EventType: "click", ItemID: "i1", TimestampMS: 1000},
		reco.Interaction{EventID: "2", SessionID: "visit", UserID: "ann", EventType: "click", ItemID: "i2", TimestampMS: 2000},
		reco.Interaction{EventID: "3", SessionID: "other", UserID: "ben", EventType: "click", ItemID: "i3", TimestampMS: 3000},
		reco.Interaction{EventID: "4", SessionID: "third", UserID: "cid", EventType: "click", ItemID: "i3", TimestampMS: 3000},
		reco.Interaction{EventID: "5", SessionID: "fourth", EventType: "click", ItemID: "i3", TimestampMS: 3000},
	)
	usersTopic := schema.Users.Topic(i.Group.GroupKey())
	i.PutEntities(usersTopic, reco.Entity{ID: "cid", Properties: map[string]any{"AGE": int64(5)}}, reco.Entity{ID: "ann", Properties: map[string]any{"AGE": int64(31)}})
	key := i.Group.GroupKey()
	var states []*userstate.State
	for _, id := range []string{"ann", "ben", "visit", "fourth"} {
		loaded, err := users.Load(t.Context(), key, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		loaded[0].Apply(schema.Interactions, &reco.Interaction{EventID: "x" + id, UserID: id, SessionID: "s", ItemID: "i", TimestampMS: 1})
		states = append(states, loaded[0])
	}
	if _, err := users.Save(t.Context(), key, states); err != nil {
		t.Fatal(err)
	}

	job := i.deletion("ann", "USER_ID\nann\nnobody\n")
	// Until the firehose has archived what was put, nothing can be said to be gone.
	time.Sleep(2 * catchUpInterval)
	if now, err := i.Store.DataDeletionJobs.Get(t.Context(), job.ARN); err != nil || now.Status != status.InProgress {
		t.Fatalf("%v, %v", now, err)
	}
	i.archive()
	i.Background(i.folds(users))
	job = retrainertest.JobEnds(i.Installation, job)
	// Two imported interactions, one imported row, two events, one put row.
	if job.Status != status.Completed || job.NumDeleted != 6 || job.Progress != 1 {
		t.Fatalf("%s %q, %d records deleted", job.Status, job.FailureReason, job.NumDeleted)
	}
	visitors, described := i.known()
	if !slices.Equal(visitors, []string{"ben", "cid", "fourth"}) || !slices.Equal(described, []string{"ben", "cid"}) {
		t.Errorf("left are %v, described %v", visitors, described)
	}
	report, err := archive.Verify(t.Context(), i.Bucket, key)
	if err != nil || len(report.Problems) != 0 {
		t.Errorf("the archive: %+v, %v", report, err)
	}
	for id, want := range map[string]int{"ann": 0, "visit": 0, "ben": 1, "fourth": 1} {
		loaded, err := users.Load(t.Context(), key, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		if len(loaded[0].Recent) != want {
			t.Errorf("the state of %s holds %v", id, loaded[0].Recent)
		}
	}
	if d, err := i.Store.Datasets.Get(t.Context(), events.ARN); err != nil || d.Version != 2 {
		t.Errorf("dataset version %d, %v", d.Version, err)
	}
	// Nothing in the bucket holds the user's id any more, but the request.
	for info, err := range i.Bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(info.Key, "in/") || strings.HasPrefix(info.Key, "catalog/") || strings.HasPrefix(info.Key, "delete/") {
			continue
		}
		if strings.Contains(i.Get(info.Key), "ann") {
			t.Errorf("%s names the user", info.Key)
		}
	}
	// A session-updater that folds the log again knows whom to leave out.
	held, err := i.Bus.Offsets(t.Context(), schema.Interactions.Topic(key))
	if err != nil {
		t.Fatal(err)
	}
	ofEvents, err := i.Bus.Topics(t.Context(), schema.Interactions.Topic(key))
	if err != nil {
		t.Fatal(err)
	}
	for place, offsets := range held {
		if offsets.End == 0 {
			continue
		}
		all, err := dataset.LoadForgotten(t.Context(), i.Bucket, key, ofEvents[place.Topic].ID, place.Partition, 0)
		if err != nil || len(all) != 1 || !all[0].Has("ann", place.Partition, offsets.End-1) || !all[0].Has("visit", place.Partition, 0) ||
			all[0].Has("ben", place.Partition, 0) || all[0].Has("ann", place.Partition, offsets.End) {
			t.Errorf("partition %d: %d lists, %v", place.Partition, len(all), err)
		}
	}
	// Kafka is told to drop the metadata.
	topics, err := i.Bus.Topics(t.Context(), usersTopic)
	if err != nil {
		t.Fatal(err)
	}
	emptied := false
	held, err = i.Bus.Offsets(t.Context(), usersTopic)
	if err != nil {
		t.Fatal(err)
	}
	ranges := map[int32]bus.OffsetRange{}
	for place, offsets := range held {
		ranges[place.Partition] = offsets
	}
	err = i.Bus.ReadRange(t.Context(), usersTopic, ranges, func(records []bus.Record) error {
		for _, r := range records {
			emptied = emptied || string(r.Key) == "ann" && len(r.Value) == 0
		}
		return nil
	})
	if err != nil || !emptied || topics[usersTopic].Partitions == 0 {
		t.Errorf("no empty record for the user, %v", err)
	}

	// What comes later counts again.
	i.Publish(reco.Interaction{EventID: "6", SessionID: "visit", UserID: "ann", EventType: "click", ItemID: "i2", TimestampMS: 4000})
	i.archive()
	if visitors, _ := i.known(); !slices.Contains(visitors, "ann") {
		t.Errorf("a deleted user cannot come back: %v", visitors)
	}
}

func TestDeletionsFailWithTheUsersReason(t *testing.T) {
	t.Parallel()
	i := install(t)
	users := i.Redis()
	i.runsDeletions(users)
	for name, c := range map[string]struct{ content, reason string }{
		"column": {"ID\nann\n", "Input CSV is missing the following columns:[USER_ID]"},
		"empty":  {"", "is empty: it has no header"},
	} {
		job := retrainertest.JobEnds(i.Installation, i.deletion(name, c.content))
		if job.Status != status.Failed || !strings.Contains(job.FailureReason, c.reason) {
			t.Errorf("%s: %s %q", name, job.Status, job.FailureReason)
		}
	}
}
