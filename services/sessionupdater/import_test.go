package sessionupdater

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
)

const interactionsSchema = `{"type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema", "version": "1.0", "fields": [
	{"name": "USER_ID", "type": "string"}, {"name": "ITEM_ID", "type": "string"}, {"name": "TIMESTAMP", "type": "long"}]}`

// importCSV imports rows "user item second" as an import job does, and tells the catalog.
func (i *installation) importCSV(mode dataset.Mode, rows ...string) {
	i.Helper()
	s, err := schema.Parse(interactionsSchema, "")
	i.must(err)
	csv := "USER_ID,ITEM_ID,TIMESTAMP\n" + strings.ReplaceAll(strings.Join(rows, "\n"), " ", ",") + "\n"
	_, err = i.bucket.Put(i.Context(), "upload.csv", []byte(csv), blob.PutOptions{})
	i.must(err)
	version, err := dataset.Import(i.Context(), dataset.ImportRequest{
		Source: i.blobs, Location: "s3://" + i.name + "/upload.csv", Bucket: i.bucket, Group: i.key(), Schema: s, Mode: mode,
	})
	i.must(err)
	i.announce(version.Number)
}

const datasetARN = "arn:aws:personalize:eu-central-1:000000000000:dataset/shop/INTERACTIONS"

// announce has the catalog tell of a version of the group's interactions.
func (i *installation) announce(version int64) {
	i.Helper()
	if version == 1 {
		i.must(i.store.Create(i.Context(), &catalog.Dataset{
			Metadata:        catalog.Metadata{ARN: datasetARN, Name: "interactions", Status: status.Active},
			DatasetGroupARN: i.group.ARN, DatasetType: schema.Interactions.DatasetType(), Version: 1,
		}))
		return
	}
	_, err := i.store.Datasets.Update(i.Context(), datasetARN, func(d *catalog.Dataset) error {
		d.Version = version
		return nil
	})
	i.must(err)
}

// wantHistories waits until users' histories are the items, "" for someone unknown or without any.
func (i *installation) wantHistories(want map[string]string) {
	i.Helper()
	eventually.Succeeds(i, "users have the histories", func() error {
		for id, items := range want {
			view, err := i.users.View(i.Context(), i.key(), id)
			if err != nil {
				return err
			}
			var got []string
			for _, r := range view.History {
				got = append(got, r.ItemID)
			}
			if strings.Join(got, " ") != items {
				return fmt.Errorf("the history of %s is %q, not %q", id, got, items)
			}
			if v := view.Vectors["m"]; v != nil && int(v[0]) != len(got) {
				return fmt.Errorf("the vector of %s is %v", id, v)
			}
		}
		if !i.users.Healthy(i.Context(), i.key(), schema.Interactions, partitions) {
			return fmt.Errorf("the group is not healthy")
		}
		return nil
	})
}

func TestImportsAreMerged(t *testing.T) {
	t.Parallel()
	i := install(t)
	click := func(id, user, item string, second int64) reco.Interaction {
		return reco.Interaction{EventID: id, UserID: user, SessionID: "s-" + user, ItemID: item, EventType: "view", TimestampMS: second * 1000}
	}
	i.put(click("1", "ann", "live", 15))
	i.importCSV(dataset.Full, "ann a 10", "ann b 20", "bob c 10", "cid d 10")
	stop := i.start() // what was imported before the start
	i.wantHistories(map[string]string{"ann": "a live b", "bob": "c", "cid": "d", "dan": ""})

	i.importCSV(dataset.Incremental, "ann e 30", "dan f 10")
	i.wantHistories(map[string]string{"ann": "a live b e", "bob": "c", "cid": "d", "dan": "f"})

	// A full import replaces what was imported, also of those of whom it has nothing, and nothing else.
	i.put(click("2", "cid", "live", 40))
	i.importCSV(dataset.Full, "ann g 50", "eve h 60")
	i.wantHistories(map[string]string{"ann": "live g", "bob": "", "cid": "live", "dan": "", "eve": "h"})

	// Redis is lost while running, then while stopped.
	i.flush()
	i.wantHistories(map[string]string{"ann": "live g", "bob": "", "cid": "live", "dan": "", "eve": "h"})
	stop()
	i.flush()
	i.importCSV(dataset.Incremental, "ann i 70")
	i.start()
	i.wantHistories(map[string]string{"ann": "live g i", "bob": "", "cid": "live", "eve": "h"})
}

// The data is read in as many passes as memory needs, and all users are merged all the same.
func TestAnImportLargerThanMemory(t *testing.T) {
	t.Parallel()
	i := install(t)
	var rows []string
	want := map[string]string{}
	for user := range 50 {
		id := fmt.Sprint("user-", user)
		for n := range 6 {
			rows = append(rows, fmt.Sprintf("%s item-%d %d", id, n, 10+n))
			want[id] = strings.TrimSpace(want[id] + fmt.Sprint(" item-", n))
		}
	}
	i.importCSV(dataset.Full, rows...)
	config := i.config()
	config.ImportRows = 20
	s, err := New(config)
	i.must(err)
	i.background(s.Run)
	i.wantHistories(want)
}

func TestRemovingADatasetForgetsItsRows(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.importCSV(dataset.Full, "ann a 10", "bob b 10")
	stop := i.start()
	i.wantHistories(map[string]string{"ann": "a", "bob": "b"})
	stop()
	i.must(dataset.Remove(t.Context(), i.bucket, i.key(), schema.Interactions.DatasetType()))
	i.start()
	i.wantHistories(map[string]string{"ann": "", "bob": ""})
}

func TestHistoriesKeepTheNewest(t *testing.T) {
	t.Parallel()
	h := histories{limit: 3, users: map[string][]reco.RecentInteraction{}, texts: map[string]string{}}
	for n := range 100 {
		h.add("u", reco.RecentInteraction{EventID: fmt.Sprintf("%03d", n), TimestampMS: int64(n)})
		if len(h.users["u"]) != h.rows || h.rows >= 2*h.limit {
			t.Fatalf("%d rows are kept, %d counted", len(h.users["u"]), h.rows)
		}
	}
	if newest := h.users["u"][h.rows-1]; newest.TimestampMS != 99 {
		t.Errorf("the newest kept is %v", newest)
	}
}
