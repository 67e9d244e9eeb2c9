package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/aws/aws-sdk-go/service/personalizeevents"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// What users do with actions goes the whole way through the AWS SDK for Go: datasets, imports, Put calls, state and
// archive, and a crash on the way costs nothing and counts nothing twice.
func TestActionsGoTheWholeWay(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts processes")
	}
	all := penchanttest.Start(t, "all", t.TempDir(), "PENCHANT_ARCHIVE_FLUSH_INTERVAL=1s")
	control, events := personalize.New(sdk(t, all)), personalizeevents.New(sdk(t, all))
	store := catalog.NewStore(all.Bucket("penchant"), nil)
	group := must(control.CreateDatasetGroup(&personalize.CreateDatasetGroupInput{Name: aws.String("offers")}))(t).DatasetGroupArn
	key := penchanttest.WaitActive[*catalog.DatasetGroup](t, store, *group).GroupKey()
	dataset := func(kind, document string) *catalog.Dataset {
		t.Helper()
		schema := must(control.CreateSchema(&personalize.CreateSchemaInput{Name: &kind,
			Schema: &document}))(t).SchemaArn
		created := must(control.CreateDataset(&personalize.CreateDatasetInput{Name: &kind, DatasetGroupArn: group,
			DatasetType: &kind, SchemaArn: schema}))(t)
		return penchanttest.WaitActive[*catalog.Dataset](t, store, *created.DatasetArn)
	}
	actions := dataset("Actions", `{"type":"record","name":"Actions","namespace":"n","version":"1.0","fields":[
		{"name":"ACTION_ID","type":"string"},{"name":"VALUE","type":["null","long"]},{"name":"REPEAT_FREQUENCY","type":["long","null"]}]}`)
	interactions := dataset("Action_Interactions", `{"type":"record","name":"Action_Interactions","namespace":"n","version":"1.0","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ACTION_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},{"name":"EVENT_TYPE","type":"string"}]}`)
	trackingID := must(control.DescribeDataset(&personalize.DescribeDatasetInput{DatasetArn: &interactions.ARN}))(t).Dataset.TrackingId

	for name, csv := range map[string]string{
		"Actions":             "ACTION_ID,VALUE,REPEAT_FREQUENCY\njoin,10,7\ncall,1,\n",
		"Action_Interactions": "USER_ID,ACTION_ID,TIMESTAMP,EVENT_TYPE\nada,join,1600000000,VIEWED\n",
	} {
		if _, err := all.Bucket("offers").Put(t.Context(), name+".csv", []byte(csv), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		into := map[string]string{"Actions": actions.ARN, "Action_Interactions": interactions.ARN}[name]
		job := must(control.CreateDatasetImportJob(&personalize.CreateDatasetImportJobInput{
			JobName: &name, DatasetArn: &into, RoleArn: aws.String(roleARN),
			DataSource: &personalize.DataSource{DataLocation: aws.String("s3://offers/" + name + ".csv")},
		}))(t).DatasetImportJobArn
		penchanttest.WaitActive[*catalog.DatasetImportJob](t, store, *job)
	}

	must(events.PutActions(&personalizeevents.PutActionsInput{DatasetArn: &actions.ARN,
		Actions: []*personalizeevents.Action{
			{ActionId: aws.String("mail"), Properties: aws.String(`{"value":3,"repeatFrequency":1}`)},
		}}))(t)
	put := func(n int) {
		t.Helper()
		must(events.PutActionInteractions(&personalizeevents.PutActionInteractionsInput{TrackingId: trackingID,
			ActionInteractions: []*personalizeevents.ActionInteraction{{
				ActionId: aws.String("mail"), UserId: aws.String("ada"), SessionId: aws.String("s"),
				EventId:    aws.String(fmt.Sprint("e", n)),
				EventType:  aws.String([]string{"Taken", "Not Taken", "Viewed"}[n%3]),
				Timestamp:  aws.Time(time.Unix(int64(1.7e9)+int64(n), 0)),
				Impression: aws.StringSlice([]string{"mail", "join"}), RecommendationId: aws.String("RID-1"),
			}}}))(t)
	}
	const before, after = 20, 30
	for n := range before {
		put(n)
	}
	all.Kill()
	all.Restart()
	all.AwaitReady(time.Minute)
	events = personalizeevents.New(sdk(t, all))
	for n := before / 2; n < after; n++ { // half of them again, as a client does that did not get its answers
		put(n)
	}

	_, err := events.PutActionInteractions(&personalizeevents.PutActionInteractionsInput{
		TrackingId: aws.String("another"), ActionInteractions: []*personalizeevents.ActionInteraction{{
			ActionId: aws.String("mail"), SessionId: aws.String("s"), EventType: aws.String("Taken"),
			Timestamp: aws.Time(time.Unix(1.7e9, 0)),
		}},
	})
	if failure := (awserr.RequestFailure)(nil); !errors.As(err, &failure) ||
		failure.Code() != "ResourceNotFoundException" || failure.StatusCode() != 404 {
		t.Errorf("an unknown tracking id: %v", err)
	}

	users := penchanttest.OpenUsers(t, all.Endpoints["redis"])
	eventually.Succeeds(t, "the state holds what was imported and what was put", func() error {
		view, err := users.View(t.Context(), key, "ada")
		if err != nil {
			return err
		}
		if len(view.Actions) != after+1 || len(view.History) != 0 {
			return fmt.Errorf("%d interactions with actions, %d with items", len(view.Actions), len(view.History))
		}
		for k, r := range view.Actions[1:] {
			if r.EventID != fmt.Sprint("e", k) || r.EventType != []string{"TAKEN", "NOT_TAKEN", "VIEWED"}[k%3] ||
				r.ItemID != "mail" {
				return fmt.Errorf("place %d is %+v", k+1, r)
			}
		}
		return nil
	})
	eventually.Succeeds(t, "the archive holds each once", func() error {
		found := map[string]int{}
		for i, err := range archive.ReadInteractions(t.Context(), all.Bucket("penchant"), key,
			schema.ActionInteractions, archive.ReadOptions{}) {
			if err != nil {
				return err
			}
			if found[i.EventID]++; !slices.Equal(i.Impression, []string{"mail", "join"}) ||
				i.RecommendationID != "RID-1" {
				return fmt.Errorf("%s has the impressions %q of %s", i.EventID, i.Impression, i.RecommendationID)
			}
		}
		for n := range after {
			if found[fmt.Sprint("e", n)] != 1 {
				return fmt.Errorf("the archive holds %v", slices.Sorted(maps.Keys(found)))
			}
		}
		actions := 0
		for e, err := range archive.ReadEntities(t.Context(), all.Bucket("penchant"), key, schema.Actions) {
			if err != nil {
				return err
			}
			if actions++; e.ID != "mail" || e.Properties["VALUE"] != int64(3) {
				return fmt.Errorf("an action is %+v", e)
			}
		}
		if actions != 1 {
			return fmt.Errorf("%d actions are archived", actions)
		}
		return nil
	})
	if report := must(archive.Verify(t.Context(), all.Bucket("penchant"), key))(t); len(report.Problems) > 0 ||
		len(report.Gaps) > 0 {
		t.Errorf("%+v", report)
	}
	all.Terminate()
}
