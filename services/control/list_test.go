package control

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/services/control/crud"
)

func TestPagesMakeUpTheList(t *testing.T) {
	i := install(t, crud.Quotas{})
	var created []string
	for n := range 7 {
		created = append(created, *must(i.CreateSchema(&personalize.CreateSchemaInput{
			Name: aws.String(fmt.Sprint("s", n)), Schema: aws.String(interactionsSchema),
		}))(t).SchemaArn)
	}
	for _, size := range []int64{1, 3, 6, 7, 8, 100} {
		var listed []string
		pages := 0
		err := i.ListSchemasPages(&personalize.ListSchemasInput{MaxResults: &size}, func(page *personalize.ListSchemasOutput, _ bool) bool {
			pages++
			for _, s := range page.Schemas {
				listed = append(listed, *s.SchemaArn)
			}
			return true
		})
		must(0, err)(t)
		if !slices.Equal(listed, created) || pages != (7+int(size)-1)/int(size) {
			t.Errorf("pages of %d: %d pages, %v", size, pages, listed)
		}
	}

	first := must(i.ListSchemas(&personalize.ListSchemasInput{MaxResults: aws.Int64(2)}))(t)
	token := *first.NextToken
	// What goes between two pages does not move the rest.
	must(i.DeleteSchema(&personalize.DeleteSchemaInput{SchemaArn: &created[0]}))(t)
	must(i.DeleteSchema(&personalize.DeleteSchemaInput{SchemaArn: &created[1]}))(t)
	second := must(i.ListSchemas(&personalize.ListSchemasInput{MaxResults: aws.Int64(2), NextToken: &token}))(t)
	if len(second.Schemas) != 2 || *second.Schemas[0].SchemaArn != created[2] {
		t.Errorf("got %v", second)
	}
	other := "A"
	if token[:1] == other {
		other = "B"
	}
	for _, bad := range []string{"x", token + "A", token[1:], other + token[1:]} {
		_, err := i.ListSchemas(&personalize.ListSchemasInput{NextToken: &bad})
		refused(t, err, "InvalidNextTokenException", "nextToken")
	}
	_, err := i.ListDatasetGroups(&personalize.ListDatasetGroupsInput{NextToken: &token})
	refused(t, err, "InvalidNextTokenException", "nextToken")
}

func TestListsOfAParent(t *testing.T) {
	i := install(t, crud.Quotas{})
	movies, books := i.group("movies"), i.group("books")
	dataset := i.dataset(movies, "events")
	solution := i.solution(movies, "pantry", "aws-sims")
	other := i.solution(books, "other", "aws-sims")
	version := i.version(solution)

	if got := must(i.ListDatasetGroups(&personalize.ListDatasetGroupsInput{}))(t).DatasetGroups; len(got) != 2 || *got[0].DatasetGroupArn != movies {
		t.Errorf("groups %v", got)
	}
	if got := must(i.ListDatasets(&personalize.ListDatasetsInput{DatasetGroupArn: &movies}))(t).Datasets; len(got) != 1 || *got[0].DatasetArn != dataset || *got[0].DatasetType != "INTERACTIONS" {
		t.Errorf("datasets %v", got)
	}
	if got := must(i.ListDatasets(&personalize.ListDatasetsInput{DatasetGroupArn: &books}))(t).Datasets; len(got) != 0 {
		t.Errorf("datasets %v", got)
	}
	if got := must(i.ListSolutions(&personalize.ListSolutionsInput{DatasetGroupArn: &movies}))(t).Solutions; len(got) != 1 || *got[0].SolutionArn != solution {
		t.Errorf("solutions %v", got)
	}
	if got := must(i.ListSolutions(&personalize.ListSolutionsInput{}))(t).Solutions; len(got) != 2 {
		t.Errorf("solutions %v", got)
	}
	if got := must(i.ListSolutionVersions(&personalize.ListSolutionVersionsInput{SolutionArn: &solution}))(t).SolutionVersions; len(got) != 1 || *got[0].SolutionVersionArn != version {
		t.Errorf("versions %v", got)
	}
	if got := must(i.ListSolutionVersions(&personalize.ListSolutionVersionsInput{SolutionArn: &other}))(t).SolutionVersions; len(got) != 0 {
		t.Errorf("versions %v", got)
	}
	absent := aws.String("arn:aws:personalize:us-east-1:000000000000:dataset-group/absent")
	if got := must(i.ListEventTrackers(&personalize.ListEventTrackersInput{DatasetGroupArn: absent}))(t).EventTrackers; len(got) != 0 {
		t.Errorf("trackers %v", got)
	}
}

func TestTags(t *testing.T) {
	i := install(t, crud.Quotas{})
	tag := func(pairs ...string) []*personalize.Tag {
		var tags []*personalize.Tag
		for n := 0; n < len(pairs); n += 2 {
			tags = append(tags, &personalize.Tag{TagKey: &pairs[n], TagValue: &pairs[n+1]})
		}
		return tags
	}
	arn := must(i.CreateDatasetGroup(&personalize.CreateDatasetGroupInput{Name: aws.String("movies"), Tags: tag("team", "shop", "env", "test")}))(t).DatasetGroupArn
	list := func() string {
		return fmt.Sprint(must(i.ListTagsForResource(&personalize.ListTagsForResourceInput{ResourceArn: arn}))(t).Tags)
	}
	if got := list(); got != fmt.Sprint(tag("env", "test", "team", "shop")) {
		t.Errorf("got %s", got)
	}
	must(i.TagResource(&personalize.TagResourceInput{ResourceArn: arn, Tags: tag("env", "prod", "new", "")}))(t)
	must(i.UntagResource(&personalize.UntagResourceInput{ResourceArn: arn, TagKeys: aws.StringSlice([]string{"team", "absent"})}))(t)
	if got := list(); got != fmt.Sprint(tag("env", "prod", "new", "")) {
		t.Errorf("got %s", got)
	}
	var many []string
	for n := range 49 {
		many = append(many, fmt.Sprint("k", n), "")
	}
	_, err := i.TagResource(&personalize.TagResourceInput{ResourceArn: arn, Tags: tag(many...)})
	refused(t, err, "TooManyTagsException", "50")
	schema := must(i.CreateSchema(&personalize.CreateSchemaInput{Name: aws.String("s"), Schema: aws.String(interactionsSchema)}))(t).SchemaArn
	_, err = i.ListTagsForResource(&personalize.ListTagsForResourceInput{ResourceArn: schema})
	refused(t, err, "InvalidInputException", "tags")
}
