package transfer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/resource/mode"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
	"github.com/penchant-io/penchant/pkg/wire"
	"github.com/penchant-io/penchant/services/retrainer/groupdata"
	"github.com/penchant-io/penchant/services/retrainer/output"
	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

const itemsDocument = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[
	{"name":"ITEM_ID","type":"string"},{"name":"COLOUR","type":["null","string"],"categorical":true},{"name":"PRICE","type":["null","float"]}],"version":"1.0"}`

// archives does the firehose's work: it archives what the log holds beyond the archive's end.
func (i *installation) archive() {
	i.Helper()
	ctx, key := i.Context(), i.Group.GroupKey()
	for _, of := range schema.Types() {
		topic := of.Topic(key)
		ranges, err := i.Data().Unarchived(ctx, key, of)
		if err != nil {
			i.Fatal(err)
		}
		topics, err := i.Bus.Topics(ctx, topic)
		if err != nil {
			i.Fatal(err)
		}
		for partition, offsets := range ranges {
			if offsets.Start >= offsets.End {
				continue
			}
			chain, err := archive.OpenChain(ctx, i.Bucket, archive.ChainID{Group: key, Type: of, TopicID: topics[topic].ID, Partition: partition})
			if err != nil {
				i.Fatal(err)
			}
			var interactions []reco.Interaction
			var entities []reco.Entity
			err = i.Bus.ReadRange(ctx, topic, map[int32]bus.OffsetRange{partition: offsets}, func(records []bus.Record) error {
				for _, r := range records {
					if of.IsInteractions() {
						row, err := wire.UnmarshalInteraction(r.Value)
						if err != nil {
							return err
						}
						row.Origin = groupdata.OriginOf(r)
						interactions = append(interactions, row)
					} else if row, err := wire.UnmarshalEntity(r.Value); err == nil { // a record without value is a deletion
						row.Origin = groupdata.OriginOf(r)
						entities = append(entities, row)
					}
				}
				return nil
			})
			if err == nil && of.IsInteractions() {
				err = chain.AppendInteractions(ctx, nil, interactions, offsets.End-1)
			} else if err == nil {
				err = chain.AppendEntities(ctx, nil, entities, offsets.End-1)
			}
			if err != nil {
				i.Fatal(err)
			}
		}
	}
}

func (i *installation) export(name, mode string, d *catalog.Dataset) *catalog.DatasetExportJob {
	i.Helper()
	job := &catalog.DatasetExportJob{
		Metadata:   catalog.Metadata{ARN: retrainertest.Account + "dataset-export-job/" + name, Name: name, Status: status.CreatePending},
		DatasetARN: d.ARN, DatasetGroupARN: d.DatasetGroupARN, IngestionMode: mode,
		JobOutput: &personalize.DatasetExportJobOutput{S3DataDestination: i.At("exported")},
	}
	retrainertest.Create(i.Installation, job)
	return job
}

// exported are the sorted lines of an export behind its header.
func (i *installation) exported(name, mode string, d *catalog.Dataset) (header string, lines []string) {
	i.Helper()
	i.Succeeds(i.export(name, mode, d))
	all := strings.Split(strings.TrimSuffix(i.Get("exported/"+name+"/part-00000.csv"), "\n"), "\n")
	slices.Sort(all[1:])
	return all[0], all[1:]
}

func TestExportsHoldWhatWasImportedPutOrBoth(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.runsImports()
	exporter := i.runsExports()
	items := i.Dataset(i.Group, "ITEMS", itemsDocument)
	i.finished(i.ImportJob(items, "first", mode.ImportFull, "ITEM_ID,COLOUR,PRICE\na,red,1\nb,blue,\na,red,1\nc,green,3\n"))
	topic := schema.Items.Topic(i.Group.GroupKey())
	i.PutEntities(topic, reco.Entity{ID: "b", Properties: map[string]any{"COLOUR": "black", "PRICE": 2.5}}, reco.Entity{ID: "d"})
	i.archive()
	i.PutEntities(topic, reco.Entity{ID: "d", Properties: map[string]any{"COLOUR": "dark,\"grey\""}}, reco.Entity{ID: "d", Properties: map[string]any{"COLOUR": "dark,\"grey\""}})
	for mode, want := range map[string][]string{
		mode.IngestionBulk: {"a,red,1", "b,blue,", "c,green,3"},
		mode.IngestionPut:  {"b,black,2.5", `d,"dark,""grey""",`, "d,,"},
		mode.IngestionAll:  {"a,red,1", "b,black,2.5", "c,green,3", `d,"dark,""grey""",`},
	} {
		header, lines := i.exported(strings.ToLower(mode), mode, items)
		if diff := cmp.Diff(want, lines); diff != "" || header != "ITEM_ID,COLOUR,PRICE" {
			t.Errorf("%s: %s\n%s", mode, header, diff)
		}
	}
	// An import after a put is newer than that.
	i.finished(i.ImportJob(items, "second", mode.ImportFull, "ITEM_ID,COLOUR,PRICE\nd,white,9\n"))
	if _, lines := i.exported("newer", mode.IngestionAll, items); !cmp.Equal(lines, []string{"b,black,2.5", "d,white,9"}) {
		t.Errorf("after an import: %v", lines)
	}
	users := i.Dataset(i.Group, "USERS", strings.NewReplacer("Items", "Users", "ITEM_ID", "USER_ID").Replace(itemsDocument))
	if header, lines := i.exported("nothing", mode.IngestionAll, users); header != "USER_ID,COLOUR,PRICE" || len(lines) != 0 {
		t.Errorf("of nothing: %s %v", header, lines)
	}
	elsewhere := "s3://no-such-bucket/x"
	failing := i.export("failing", mode.IngestionAll, users)
	failing.JobOutput.S3DataDestination.Path = &elsewhere
	if _, err := exporter.Run(t.Context(), failing, func(float64) {}); err == nil || err.Error() != "Invalid S3 output path" {
		t.Errorf("into no bucket: %v", err)
	}
}

func TestWhatIsExportedTrainsTheSameModel(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.runsImports()
	const document = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"EVENT_TYPE","type":"string"},{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`
	d := i.Dataset(i.Group, "INTERACTIONS", document)
	var csv strings.Builder
	csv.WriteString("USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\n")
	for n := range 300 {
		fmt.Fprintf(&csv, "u%d,i%d,view,%d\n", n%10, n%7, n/40)
	}
	i.finished(i.ImportJob(d, "full", mode.ImportFull, csv.String()))
	i.PutEvents(20, "click")
	i.Publish(
		reco.Interaction{EventID: "1", SessionID: "visit", EventType: "click", ItemID: "i01", TimestampMS: 1000},
		reco.Interaction{EventID: "2", SessionID: "visit", UserID: "ann", EventType: "click", ItemID: "i03", TimestampMS: 2000},
		reco.Interaction{EventID: "3", SessionID: "passing", EventType: "click", ItemID: "i05", TimestampMS: 3000},
		reco.Interaction{EventID: "4", SessionID: "shared", EventType: "click", ItemID: "i05", TimestampMS: 3000},
		reco.Interaction{EventID: "5", SessionID: "shared", UserID: "ann", EventType: "click", ItemID: "i05", TimestampMS: 4000},
		reco.Interaction{EventID: "6", SessionID: "shared", UserID: "ben", EventType: "click", ItemID: "i05", TimestampMS: 5000},
	)
	i.archive()
	i.Publish(reco.Interaction{EventID: "7", SessionID: "z", UserID: "zoe", EventType: "buy", ItemID: "i05", TimestampMS: 6000})

	load := func(group string, more func(*trainingset.Builder) error) *trainingset.Set {
		set, err := dataset.Load(t.Context(), dataset.LoadRequest{Bucket: i.Bucket, Group: group, More: more})
		if err != nil {
			t.Fatal(err)
		}
		return set.Set
	}
	want := load(i.Group.GroupKey(), func(b *trainingset.Builder) error {
		tail, err := i.Data().OpenTail(t.Context(), i.Group.GroupKey())
		if err != nil {
			return err
		}
		return tail.Read(t.Context(), b)
	})
	copied := &catalog.DatasetGroup{Metadata: retrainertest.Active(retrainertest.Account+"dataset-group/copy", "copy"), ShortID: "3c4d"}
	retrainertest.Create(i.Installation, copied)
	into := i.Dataset(copied, "INTERACTIONS", document)
	for name, maxHashes := range map[string]int64{"one-pass": exportHashes, "passes": 50} {
		out, err := output.Open(t.Context(), i.S3, *i.At("exported/" + name).Path)
		if err != nil {
			t.Fatal(err)
		}
		group, parsed, err := i.Data().SchemaOf(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		bulk, err := dataset.Current(t.Context(), i.Bucket, group, "INTERACTIONS")
		if err != nil {
			t.Fatal(err)
		}
		e := &export{
			data: i.Data(), group: group, schema: parsed, put: true, newestOnly: true, bulk: bulk, report: func(float64) {},
			files: exportFiles{out: out, rows: dataset.NewCSVRows(parsed), maxBytes: 1500}, maxHashes: maxHashes,
		}
		if err := e.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e.files.number < 2 || e.files.written != int64(want.Events()) {
			t.Errorf("%s: %d rows in %d files, %d events", name, e.files.written, e.files.number, want.Events())
		}
		job := &catalog.DatasetImportJob{
			Metadata:   catalog.Metadata{ARN: retrainertest.Account + "dataset-import-job/" + name, Name: name, Status: status.CreatePending},
			DatasetARN: into.ARN, DatasetGroupARN: copied.ARN, DataLocation: *i.At("exported/" + name + "/").Path, ImportMode: mode.ImportFull,
		}
		retrainertest.Create(i.Installation, job)
		if job := i.finished(job); job.Status != status.Active {
			t.Fatalf("%s %s", job.Status, job.FailureReason)
		}
		if diff := cmp.Diff(want, load(copied.GroupKey(), nil), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s (-exported +imported again):\n%s", name, diff)
		}
	}
}
