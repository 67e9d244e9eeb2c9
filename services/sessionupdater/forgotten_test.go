package sessionupdater

import (
	"testing"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// After a loss the log is folded again, which still holds the events of users who were deleted.
func TestDeletedUsersDoNotComeBackWithTheLog(t *testing.T) {
	t.Parallel()
	i := install(t)
	event := func(id, user string, second int64) reco.Interaction {
		return reco.Interaction{EventID: id, UserID: user, SessionID: "s" + user, ItemID: id, EventType: "view", TimestampMS: 1000 * second}
	}
	i.put(event("1", "ann", 1), event("2", "ben", 2))
	stop := i.start()
	i.wantHistories(map[string]string{"ann": "1", "ben": "2"})
	stop()

	topics, err := i.bus.Topics(t.Context(), i.topic())
	i.must(err)
	held, err := i.bus.Offsets(t.Context(), i.topic())
	i.must(err)
	f := &dataset.Forgotten{Topic: topics[i.topic()].ID, Cut: map[int32]int64{}}
	for place, offsets := range held {
		f.Cut[place.Partition] = offsets.End
	}
	f.Add("ann")
	i.must(i.store.Create(t.Context(), &catalog.DataDeletionJob{
		Metadata:        catalog.Metadata{ARN: "arn:aws:personalize:eu-central-1:000000000000:data-deletion-job/job", Name: "job", Status: status.Completed},
		DatasetGroupARN: i.group.ARN,
	}))
	i.must(f.Save(t.Context(), i.bucket, i.key(), "job"))
	i.put(event("3", "ann", 3), event("4", "ben", 4))
	i.flush()
	i.start()
	i.wantHistories(map[string]string{"ann": "3", "ben": "2 4"})
}
