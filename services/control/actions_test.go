package control

import (
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"
	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/control/crud"
)

const (
	actionsSchema = `{"type":"record","name":"Actions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"ACTION_ID","type":"string"},{"name":"VALUE","type":["null","long"]}],"version":"1.0"}`
	actionInteractionsSchema = `{"type":"record","name":"Action_Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ACTION_ID","type":"string"},{"name":"EVENT_TYPE","type":"string"},
		{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`
)

func TestAnActionInteractionsDatasetHasATrackingID(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("offers")
	create := func(kind, document string) (*personalize.Dataset, error) {
		schema := must(i.CreateSchema(&personalize.CreateSchemaInput{Name: aws.String("schema-" + kind), Schema: &document}))(t).SchemaArn
		created, err := i.CreateDataset(&personalize.CreateDatasetInput{Name: &kind, DatasetGroupArn: &group, DatasetType: &kind, SchemaArn: schema})
		if err != nil {
			return nil, err
		}
		return must(i.DescribeDataset(&personalize.DescribeDatasetInput{DatasetArn: created.DatasetArn}))(t).Dataset, nil
	}
	events := must(create("Action_Interactions", actionInteractionsSchema))(t)
	if _, err := uuid.Parse(aws.StringValue(events.TrackingId)); err != nil || *events.DatasetType != "ACTION_INTERACTIONS" {
		t.Errorf("the dataset is %v", events)
	}
	if actions := must(create("Actions", actionsSchema))(t); actions.TrackingId != nil || *actions.DatasetType != "ACTIONS" {
		t.Errorf("a dataset of actions is %v", actions)
	}
	_, err := i.CreateDataset(&personalize.CreateDatasetInput{
		Name: aws.String("again"), DatasetGroupArn: &group, DatasetType: aws.String("action_interactions"),
		SchemaArn: events.SchemaArn,
	})
	refused(t, err, "ResourceAlreadyExistsException", *events.DatasetArn)

	domain := *must(i.CreateDatasetGroup(&personalize.CreateDatasetGroupInput{Name: aws.String("shop"), Domain: aws.String("ECOMMERCE")}))(t).DatasetGroupArn
	i.activeGroup(domain)
	_, err = i.CreateDataset(&personalize.CreateDatasetInput{Name: aws.String("no"), DatasetGroupArn: &domain, DatasetType: aws.String("Actions"), SchemaArn: aws.String(
		"arn:aws:personalize:us-east-1:000000000000:schema/schema-Actions")})
	refused(t, err, "InvalidInputException", "domain")
	_, err = i.CreateSchema(&personalize.CreateSchemaInput{Name: aws.String("no"), Schema: aws.String(actionsSchema), Domain: aws.String("ECOMMERCE")})
	refused(t, err, "InvalidInputException", "has no Actions dataset")
}

// A group made by a release that knew no actions gets their topics.
func TestGroupsOfEarlierReleasesGetTheTopicsOfActions(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("old")
	key := must(i.store.DatasetGroups.Get(t.Context(), group))(t).GroupKey()
	missing := []string{schema.Actions.Topic(key), schema.ActionInteractions.Topic(key)}
	must(0, i.bus.DeleteTopics(t.Context(), missing...))(t)
	eventually.True(t, "the topics are created", func() bool {
		i.service.repair(t.Context())
		return len(must(i.bus.Topics(t.Context(), missing...))(t)) == 2
	})
}
