package retrainertest

import (
	"fmt"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/embedded/embeddedtest"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/pkg/wire"
)

// Redis opens user states of the test's own.
func (i *Installation) Redis() *userstate.Store {
	i.Helper()
	users, err := userstate.Open(i.Context(), embeddedtest.Redis(i), userstate.Options{})
	if err != nil {
		i.Fatal(err)
	}
	i.Cleanup(func() {
		if err := users.Close(); err != nil {
			i.Errorf("closing Redis: %v", err)
		}
	})
	return users
}

// Put puts an object into the bucket.
func (i *Installation) Put(key, content string) {
	i.Helper()
	if _, err := i.Bucket.Put(i.Context(), key, []byte(content), blob.PutOptions{}); err != nil {
		i.Fatal(err)
	}
}

// Get reads an object of the bucket.
func (i *Installation) Get(key string) string {
	i.Helper()
	content, _, err := i.Bucket.Get(i.Context(), key)
	if err != nil {
		i.Fatal(err)
	}
	return string(content)
}

// At is the place of an object of the bucket.
func (i *Installation) At(key string) *personalize.S3DataConfig {
	return &personalize.S3DataConfig{Path: new("s3://" + i.Bucket.Name() + "/" + key)}
}

// Publish puts interactions into the log, each under its own key.
func (i *Installation) Publish(interactions ...reco.Interaction) {
	i.Helper()
	var records []bus.Record
	for k := range interactions {
		value, err := wire.MarshalInteraction(&interactions[k])
		if err != nil {
			i.Fatal(err)
		}
		records = append(records, bus.Record{
			Topic: schema.Interactions.Topic(i.Group.GroupKey()), Key: []byte(interactions[k].Key()), Value: value,
		})
	}
	if err := i.Bus.Publish(i.Context(), records...); err != nil {
		i.Fatal(err)
	}
}

// PutEntities puts entities into a topic of the log.
func (i *Installation) PutEntities(topic string, entities ...reco.Entity) {
	i.Helper()
	for k := range entities {
		value, err := wire.MarshalEntity(&entities[k])
		if err != nil {
			i.Fatal(err)
		}
		err = i.Bus.Publish(i.Context(), bus.Record{Topic: topic, Key: []byte(entities[k].ID), Value: value})
		if err != nil {
			i.Fatal(err)
		}
	}
}

// PutItem puts an item into the log.
func (i *Installation) PutItem(id string, properties map[string]any) {
	i.Helper()
	i.PutEntities(schema.Items.Topic(i.Group.GroupKey()), reco.Entity{ID: id, Properties: properties})
}

// EventsSchema describes interactions of users with items at times, and nothing else.
const EventsSchema = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
	{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`

// Dataset creates a dataset and its schema.
func (i *Installation) Dataset(group *catalog.DatasetGroup, datasetType, document string) *catalog.Dataset {
	i.Helper()
	name := group.Name + datasetType
	s := &catalog.Schema{Metadata: Active(Account+"schema/"+name, name), Document: document}
	Create(i, s)
	d := &catalog.Dataset{
		Metadata:        Active(Account+"dataset/"+group.Name+"/"+datasetType, name),
		DatasetGroupARN: group.ARN, DatasetType: datasetType, SchemaARN: s.ARN,
	}
	Create(i, d)
	return d
}

// InteractionsDataset creates an Interactions dataset of the group with EventsSchema.
func (i *Installation) InteractionsDataset() *catalog.Dataset {
	i.Helper()
	return i.Dataset(i.Group, "INTERACTIONS", EventsSchema)
}

// ImportJob puts a file and creates the job that imports it.
func (i *Installation) ImportJob(d *catalog.Dataset, name, mode, content string) *catalog.DatasetImportJob {
	i.Helper()
	key := "in/" + name + ".csv"
	i.Put(key, content)
	job := &catalog.DatasetImportJob{
		Metadata: catalog.Metadata{
			ARN: Account + "dataset-import-job/" + name, Name: name, Status: status.CreatePending,
		},
		DatasetARN: d.ARN, DatasetGroupARN: i.Group.ARN, DataLocation: *i.At(key).Path, ImportMode: mode,
	}
	Create(i, job)
	return job
}

// InteractionsCSV is a file of so many rows for EventsSchema, of ten users and seven items.
func InteractionsCSV(rows int) string {
	var b strings.Builder
	b.WriteString("USER_ID,ITEM_ID,TIMESTAMP\n")
	for n := range rows {
		fmt.Fprintf(&b, "u%d,i%d,%d\n", n%10, n%7, n)
	}
	return b.String()
}
