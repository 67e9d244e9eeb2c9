package sessionupdater

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/wire"
)

// installActions is an installation whose group has the topic of action interactions.
func installActions(t *testing.T) *installation {
	i := install(t)
	i.must(i.bus.EnsureTopics(t.Context(), bus.TopicSpec{Name: i.actionTopic()}))
	return i
}

func (i *installation) actionTopic() string { return schema.ActionInteractions.Topic(i.key()) }

// acted are action interactions with the numbers from first to last, of the users and sessions of events; ids are those
// of events, too.
func acted(first, last int) []reco.Interaction {
	list := events(first, last)
	for k := range list {
		list[k].ItemID = strings.Replace(list[k].ItemID, "item", "action", 1)
		list[k].EventType = []string{"TAKEN", "NOT_TAKEN", "VIEWED"}[(first+k)%3]
	}
	return list
}

func (i *installation) act(interactions ...reco.Interaction) {
	i.Helper()
	var records []bus.Record
	for k := range interactions {
		value, err := wire.MarshalActionInteraction(&interactions[k])
		i.must(err)
		records = append(records, bus.Record{Topic: i.actionTopic(), Key: []byte(interactions[k].Key()), Value: value})
	}
	i.must(i.bus.Publish(i.Context(), records...))
}

// wantActed waits until states hold the events and the action interactions that a run without faults gives, and the
// vectors are those of the events alone.
func (i *installation) wantActed(events, acted []reco.Interaction) {
	i.Helper()
	withItems, withActions := faultFree(events), faultFree(acted)
	eventually.Succeeds(i, "items and actions are folded", func() error {
		for id, want := range withActions {
			states, err := i.users.Load(i.Context(), i.key(), []string{id})
			if err != nil {
				return err
			}
			if diff := gocmp.Diff(want.Recent, states[0].Actions, cmpopts.EquateEmpty()); diff != "" {
				return fmt.Errorf("actions of %s (-fault-free +found):\n%s", id, diff)
			}
			if diff := gocmp.Diff(withItems[id].Recent, states[0].Recent, cmpopts.EquateEmpty()); diff != "" {
				return fmt.Errorf("items of %s (-fault-free +found):\n%s", id, diff)
			}
			if diff := gocmp.Diff(want.Sessions, states[0].Sessions(), cmpopts.EquateEmpty()); diff != "" {
				return fmt.Errorf("sessions of %s (-fault-free +found):\n%s", id, diff)
			}
			view, err := i.users.View(i.Context(), i.key(), id)
			if err != nil {
				return err
			}
			if v := view.Vectors["m"]; v != nil && v[0] != float32(len(withItems[id].Recent)) {
				return fmt.Errorf("%s has %d interactions and the vector %v", id, len(withItems[id].Recent), v)
			}
		}
		for _, kind := range schema.InteractionTypes() {
			if !i.users.Healthy(i.Context(), i.key(), kind, partitions) {
				return fmt.Errorf("the group is not healthy, kind %s", kind)
			}
		}
		return nil
	})
}

// archiveActions puts all the log's action interactions into the archive, and deletes them from the log.
func (i *installation) archiveActions() {
	i.Helper()
	ends, err := i.bus.Offsets(i.Context(), i.actionTopic())
	i.must(err)
	topics, err := i.bus.Topics(i.Context(), i.actionTopic())
	i.must(err)
	ranges, rows, upTo := map[int32]bus.OffsetRange{}, map[int32][]reco.Interaction{}, map[bus.TopicPartition]int64{}
	for tp, held := range ends {
		ranges[tp.Partition], upTo[tp] = held, held.End
	}
	i.must(i.bus.ReadRange(i.Context(), i.actionTopic(), ranges, func(records []bus.Record) error {
		for k := range records {
			row, err := (stream{data: schema.ActionInteractions}).decode(&records[k])
			if err != nil {
				return err
			}
			rows[row.Origin.Partition] = append(rows[row.Origin.Partition], row)
		}
		return nil
	}))
	for partition, list := range rows {
		chain, err := archive.OpenChain(i.Context(), i.bucket, archive.ChainID{
			Group: i.key(), Type: schema.ActionInteractions, TopicID: topics[i.actionTopic()].ID, Partition: partition,
		})
		i.must(err)
		i.must(chain.AppendInteractions(i.Context(), nil, list, list[len(list)-1].Origin.Offset))
	}
	i.must(i.bus.DeleteRecords(i.Context(), upTo))
}

func TestActionsAreFoldedOnce(t *testing.T) {
	t.Parallel()
	i := installActions(t)
	i.put(events(1, 100)...)
	i.act(acted(1, 200)...)
	stop := i.start()
	i.wantActed(events(1, 100), acted(1, 200))
	stop()
	// Retries of clients, while nobody folds, and the whole log again after a loss.
	i.act(acted(1, 40)...)
	i.flush()
	i.start()
	i.wantActed(events(1, 100), acted(1, 200))
	// A loss while running, with events coming in before it is noticed.
	i.flush()
	i.act(acted(201, 210)...)
	i.wantActed(events(1, 100), acted(1, 210))
}

func TestActionsAreRebuiltFromTheArchive(t *testing.T) {
	t.Parallel()
	i := installActions(t)
	i.put(events(1, 30)...)
	i.act(acted(1, 100)...)
	i.archiveActions()
	i.act(acted(101, 130)...)
	stop := i.start()
	i.wantActed(events(1, 30), acted(1, 130))
	stop()
	i.flush()

	// The operator's replay folds what is archived, of both kinds.
	i.archive()
	done, err := ArchiveReplay{Bucket: i.bucket, Users: i.users, Models: i.models, Group: i.key()}.Run(t.Context())
	i.must(err)
	if done.Events != 130 || done.Folded != 130 || len(done.Damaged) > 0 {
		t.Errorf("replayed %+v", done)
	}
	i.start()
	i.wantActed(events(1, 30), acted(1, 130))
}

// A bad record of the one topic neither blocks nor dead-letters anything of the other.
func TestABadActionBlocksNothing(t *testing.T) {
	t.Parallel()
	i := installActions(t)
	good, err := wire.MarshalInteraction(&reco.Interaction{EventID: "e", UserID: "user-1", ItemID: "item", TimestampMS: 1})
	i.must(err)
	i.must(i.bus.Publish(t.Context(), bus.Record{Topic: i.actionTopic(), Key: []byte("user-1"), Value: []byte("no protobuf")},
		bus.Record{Topic: i.topic(), Key: []byte("user-1"), Value: good}))
	i.act(acted(1, 39)...)
	stop := i.start()
	want := acted(1, 39)
	eventually.Succeeds(i, "the record after the bad one is folded", func() error {
		view, err := i.users.View(t.Context(), i.key(), "user-1")
		if err == nil && (len(view.History) != 1 || len(view.Actions) != len(faultFree(want)["user-1"].Recent)) {
			err = fmt.Errorf("%d interactions, %d with actions", len(view.History), len(view.Actions))
		}
		return err
	})
	stop()
	ends, err := i.bus.Offsets(t.Context(), bus.DeadLetterTopic(i.key()))
	i.must(err)
	letters := int64(0)
	for _, held := range ends {
		letters += held.End - held.Start
	}
	if letters != 1 {
		t.Errorf("%d dead letters", letters)
	}
}

const actionInteractionsSchema = `{"type": "record", "name": "Action_Interactions", "namespace": "com.amazonaws.personalize.schema", "version": "1.0", "fields": [
	{"name": "USER_ID", "type": "string"}, {"name": "ACTION_ID", "type": "string"}, {"name": "TIMESTAMP", "type": "long"}, {"name": "EVENT_TYPE", "type": "string"}]}`

// importActions imports rows "user action second type".
func (i *installation) importActions(mode dataset.Mode, rows ...string) {
	i.Helper()
	s, err := schema.Parse(actionInteractionsSchema, "")
	i.must(err)
	csv := "USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE\n" + strings.ReplaceAll(strings.Join(rows, "\n"), " ", ",") + "\n"
	_, err = i.bucket.Put(i.Context(), "actions.csv", []byte(csv), blob.PutOptions{})
	i.must(err)
	version, err := dataset.Import(i.Context(), dataset.ImportRequest{
		Source: i.blobs, Location: "s3://" + i.name + "/actions.csv", Bucket: i.bucket, Group: i.key(), Schema: s, Mode: mode,
	})
	i.must(err)
	const arn = "arn:aws:personalize:eu-central-1:000000000000:dataset/shop/ACTION_INTERACTIONS"
	if version.Number == 1 {
		i.must(i.store.Create(i.Context(), &catalog.Dataset{
			Metadata:        catalog.Metadata{ARN: arn, Name: "action-interactions", Status: status.Active},
			DatasetGroupARN: i.group.ARN, DatasetType: schema.ActionInteractions.DatasetType(), Version: 1,
		}))
		return
	}
	_, err = i.store.Datasets.Update(i.Context(), arn, func(d *catalog.Dataset) error {
		d.Version = version.Number
		return nil
	})
	i.must(err)
}

func (i *installation) wantActions(want map[string]string) {
	i.Helper()
	eventually.Succeeds(i, "users have the actions", func() error {
		for id, actions := range want {
			view, err := i.users.View(i.Context(), i.key(), id)
			if err != nil {
				return err
			}
			var got []string
			for _, r := range view.Actions {
				got = append(got, r.ItemID+":"+r.EventType)
			}
			if !slices.Equal(got, strings.Fields(actions)) {
				return fmt.Errorf("the actions of %s are %q, not %q", id, got, actions)
			}
		}
		return nil
	})
}

func TestImportedActionsAreMerged(t *testing.T) {
	t.Parallel()
	i := installActions(t)
	i.importCSV(dataset.Full, "ann item 1")
	i.importActions(dataset.Full, "ann join 10 TAKEN", "bob join 10 Viewed")
	i.act(reco.Interaction{EventID: "1", UserID: "ann", SessionID: "s", ItemID: "call", EventType: "VIEWED", TimestampMS: 15_000})
	stop := i.start()
	i.wantActions(map[string]string{"ann": "join:TAKEN call:VIEWED", "bob": "join:VIEWED"})
	i.wantHistories(map[string]string{"ann": "item", "bob": ""})
	i.importActions(dataset.Incremental, "ann mail 20 NOT_TAKEN")
	i.wantActions(map[string]string{"ann": "join:TAKEN call:VIEWED mail:NOT_TAKEN", "bob": "join:VIEWED"})
	// A full import replaces what was imported; then Redis is lost.
	i.importActions(dataset.Full, "cid join 30 TAKEN")
	want := map[string]string{"ann": "call:VIEWED", "bob": "", "cid": "join:TAKEN"}
	i.wantActions(want)
	i.flush()
	i.wantActions(want)
	i.wantHistories(map[string]string{"ann": "item"})
	stop()
}
