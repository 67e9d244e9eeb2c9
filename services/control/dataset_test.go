package control

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/control/crud"
)

const itemsSchema = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[
	{"name":"ITEM_ID","type":"string"},{"name":"GENRES","type":"string","categorical":true},{"name":"PRICE","type":"float"},
	{"name":"YEAR","type":["null","int"]}],"version":"1.0"}`

// with is a schema document with more columns.
func withColumns(document, columns string) string {
	return strings.Replace(document, `],"version"`, ","+columns+`],"version"`, 1)
}

// schema creates a schema.
func (i *installation) schema(name, document string) string {
	i.t.Helper()
	return *must(i.CreateSchema(&personalize.CreateSchemaInput{Name: &name, Schema: &document}))(i.t).SchemaArn
}

// typed creates a dataset of a type in a group and waits for it.
func (i *installation) typed(group, kind, document string) string {
	i.t.Helper()
	name := group[strings.LastIndex(group, "/")+1:] + "-" + strings.ToLower(kind)
	arn := *must(i.CreateDataset(&personalize.CreateDatasetInput{
		Name: &name, DatasetGroupArn: &group, DatasetType: &kind, SchemaArn: aws.String(i.schema(name, document)),
	}))(i.t).DatasetArn
	reaches(i.t, "ACTIVE", func() (string, error) { return *i.describeDataset(arn).Status, nil })
	return arn
}

func (i *installation) describeDataset(arn string) *personalize.Dataset {
	i.t.Helper()
	return must(i.DescribeDataset(&personalize.DescribeDatasetInput{DatasetArn: &arn}))(i.t).Dataset
}

func TestADatasetGetsANewSchema(t *testing.T) {
	i := install(t, crud.Quotas{})
	dataset := i.typed(i.group("movies"), "Items", itemsSchema)
	before := i.describeDataset(dataset)
	if before.LatestDatasetUpdate != nil || before.TrackingId != nil {
		t.Errorf("a new dataset is %v", before)
	}
	wider := i.schema("wider", withColumns(itemsSchema, `{"name":"STOCK","type":["null","string"],"categorical":true}`))
	update := func(schema string) error {
		out, err := i.UpdateDataset(&personalize.UpdateDatasetInput{DatasetArn: &dataset, SchemaArn: &schema})
		if err == nil && *out.DatasetArn != dataset {
			t.Errorf("got %v", out)
		}
		return err
	}
	must(0, update(wider))(t)
	reaches(t, "ACTIVE "+wider, func() (string, error) {
		d := i.describeDataset(dataset)
		return *d.LatestDatasetUpdate.Status + " " + *d.SchemaArn, nil
	})
	if u := i.describeDataset(dataset).LatestDatasetUpdate; *u.SchemaArn != wider || u.FailureReason != nil || u.LastUpdatedDateTime.Before(*u.CreationDateTime) {
		t.Errorf("got %v", u)
	}
	// The old schema is free, the new one is not.
	_, err := i.DeleteSchema(&personalize.DeleteSchemaInput{SchemaArn: &wider})
	refused(t, err, inUse, dataset)
	eventually.Succeeds(t, "the old schema can be deleted", func() error {
		_, err := i.DeleteSchema(&personalize.DeleteSchemaInput{SchemaArn: before.SchemaArn})
		return err
	})

	for name, c := range map[string]struct{ document, message string }{
		"dropped":  {itemsSchema, "lacks column STOCK"},
		"retyped":  {withColumns(strings.Replace(itemsSchema, `"type":"float"`, `"type":"double"`, 1), `{"name":"STOCK","type":["null","string"],"categorical":true}`), "changes column PRICE"},
		"nulled":   {withColumns(strings.Replace(itemsSchema, `["null","int"]`, `"int"`, 1), `{"name":"STOCK","type":["null","string"],"categorical":true}`), "changes column YEAR"},
		"required": {withColumns(itemsSchema, `{"name":"STOCK","type":["null","string"],"categorical":true},{"name":"SIZE","type":"int"}`), "SIZE is new and must be nullable"},
		"events":   {interactionsSchema, "describes Interactions, not Items"},
	} {
		refused(t, update(i.schema(name, c.document)), invalid, c.message)
	}
	domain := must(i.CreateSchema(&personalize.CreateSchemaInput{Name: aws.String("shop"), Domain: aws.String("ECOMMERCE"), Schema: aws.String(
		withColumns(itemsSchema, `{"name":"STOCK","type":["null","string"],"categorical":true},{"name":"CATEGORY_L1","type":"string","categorical":true}`))}))(t).SchemaArn
	refused(t, update(*domain), invalid, "domain")

	job := must(i.CreateDatasetImportJob(&personalize.CreateDatasetImportJobInput{
		JobName: aws.String("first"), DatasetArn: &dataset, DataSource: &personalize.DataSource{DataLocation: aws.String("s3://data/items.csv")},
		RoleArn: aws.String("arn:aws:iam::000000000000:role/import"),
	}))(t).DatasetImportJobArn
	refused(t, update(wider), inUse, *job)
	must(i.store.DatasetImportJobs.Update(t.Context(), *job, func(j *catalog.DatasetImportJob) error { j.Fail("no such bucket"); return nil }))(t)
	must(0, update(wider))(t)
}

func TestActionDatasets(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	const actions = `{"type":"record","name":"Actions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"ACTION_ID","type":"string"},{"name":"VALUE","type":["null","long"]}],"version":"1.0"}`
	const taken = `{"type":"record","name":"Action_Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ACTION_ID","type":"string"},{"name":"EVENT_TYPE","type":"string"},
		{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`
	if d := i.describeDataset(i.typed(group, "actions", actions)); *d.DatasetType != "ACTIONS" || d.TrackingId != nil {
		t.Errorf("got %v", d)
	}
	d := i.describeDataset(i.typed(group, "Action_Interactions", taken))
	if *d.DatasetType != "ACTION_INTERACTIONS" || len(aws.StringValue(d.TrackingId)) != 36 {
		t.Errorf("got %v", d)
	}
}
