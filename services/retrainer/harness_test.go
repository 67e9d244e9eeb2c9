package retrainer

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

// installation is what the tests of this package work on.
type installation struct{ *retrainertest.Installation }

func install(t *testing.T) *installation {
	t.Helper()
	return &installation{retrainertest.Install(t)}
}

// retrainer makes a retrainer with quick leases and heartbeats; it works once run.
func (i *installation) retrainer(change func(*Config)) *Service {
	i.Helper()
	config := Config{
		Bus: i.Bus, S3: i.S3, Bucket: i.Bucket, Store: i.Store, View: i.View,
		Options:  Options{MinInteractions: 100, MinUsers: 10, Seed: 1},
		LeaseTTL: time.Second, Log: zaptest.NewLogger(i), Registerer: prometheus.NewRegistry(), heartbeat: 20 * time.Millisecond,
	}
	if change != nil {
		change(&config)
	}
	s, err := New(config)
	if err != nil {
		i.Fatal(err)
	}
	return s
}

const eventsDocument = retrainertest.EventsSchema

func (i *installation) interactionsDataset() *catalog.Dataset { return i.InteractionsDataset() }

func (i *installation) datasetOf(group *catalog.DatasetGroup, kind, document string) *catalog.Dataset {
	i.Helper()
	return i.Dataset(group, kind, document)
}

func (i *installation) importJob(d *catalog.Dataset, name, mode, content string) *catalog.DatasetImportJob {
	i.Helper()
	return i.ImportJob(d, name, mode, content)
}

// finished waits for the end of an import job.
func (i *installation) finished(s *Service, job *catalog.DatasetImportJob) *catalog.DatasetImportJob {
	i.Helper()
	s.wake()
	return retrainertest.JobEnds(i.Installation, job)
}

func (i *installation) putEntities(topic string, entities ...reco.Entity) {
	i.Helper()
	i.PutEntities(topic, entities...)
}

func interactionsCSV(rows int) string { return retrainertest.InteractionsCSV(rows) }

const itemsDocument = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[
	{"name":"ITEM_ID","type":"string"},{"name":"COLOUR","type":["null","string"],"categorical":true},{"name":"PRICE","type":["null","float"]}],"version":"1.0"}`
