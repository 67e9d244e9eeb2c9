package control

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalize"

	"github.com/penchant-io/penchant/services/control/crud"
)

func (i *installation) createFilter(group, name, expression string) (string, error) {
	out, err := i.CreateFilter(&personalize.CreateFilterInput{Name: &name, DatasetGroupArn: &group, FilterExpression: &expression})
	if err != nil {
		return "", err
	}
	return *out.FilterArn, nil
}

func TestAFilter(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	i.typed(group, "Items", itemsSchema)
	const expression = `INCLUDE ItemID WHERE Items.GENRES IN ("Comedy") AND Items.PRICE <= $PRICE`
	arn := must(i.createFilter(group, "comedies", expression))(t)
	if want := prefix + "filter/comedies"; arn != want {
		t.Errorf("got %s, want %s", arn, want)
	}
	describe := func() *personalize.Filter {
		return must(i.DescribeFilter(&personalize.DescribeFilterInput{FilterArn: &arn}))(t).Filter
	}
	reaches(t, "ACTIVE", func() (string, error) { return *describe().Status, nil })
	if f := describe(); *f.Name != "comedies" || *f.DatasetGroupArn != group || *f.FilterExpression != expression || f.FailureReason != nil {
		t.Errorf("got %v", f)
	}
	other := i.group("other")
	for _, c := range []struct {
		group *string
		count int
	}{{nil, 1}, {&group, 1}, {&other, 0}} {
		// The answer's key is Filters, with a capital: the SDK reads no other.
		if listed := must(i.ListFilters(&personalize.ListFiltersInput{DatasetGroupArn: c.group}))(t).Filters; len(listed) != c.count ||
			c.count > 0 && (*listed[0].FilterArn != arn || *listed[0].Status != "ACTIVE" || *listed[0].DatasetGroupArn != group) {
			t.Errorf("filters of %v: %v", aws.StringValue(c.group), listed)
		}
	}
	_, err := i.DeleteDatasetGroup(&personalize.DeleteDatasetGroupInput{DatasetGroupArn: &group})
	refused(t, err, inUse, arn)
	must(i.TagResource(&personalize.TagResourceInput{ResourceArn: &arn, Tags: []*personalize.Tag{{TagKey: aws.String("a"), TagValue: aws.String("b")}}}))(t)
	must(i.DeleteFilter(&personalize.DeleteFilterInput{FilterArn: &arn}))(t)
	disappears(t, func() error {
		_, err := i.DescribeFilter(&personalize.DescribeFilterInput{FilterArn: &arn})
		return err
	})
}

func TestQuotasOfFilters(t *testing.T) {
	i := install(t, crud.Quotas{FiltersPerGroup: 3, FilterFieldsPerGroup: 2})
	group := i.group("movies")
	i.typed(group, "Items", itemsSchema)
	genres := must(i.createFilter(group, "genres", `INCLUDE ItemID WHERE Items.GENRES IN ($G)`))(t)
	must(i.createFilter(group, "both", `INCLUDE ItemID WHERE Items.GENRES IN ("a") AND Items.PRICE < 5`))(t)
	_, err := i.createFilter(group, "years", `INCLUDE ItemID WHERE Items.YEAR > 1990`)
	refused(t, err, limit, "at most 2 different fields, with this one they would use 3")
	must(i.createFilter(group, "again", `EXCLUDE ItemID WHERE Items.GENRES IN ("b")`))(t)
	_, err = i.createFilter(group, "fourth", `INCLUDE nonsense`)
	refused(t, err, limit, "More than 3 resources in ACTIVE state")
	must(0, deleteAndWait(i, genres))(t)
	must(i.createFilter(group, "fourth", `EXCLUDE ItemID WHERE Items.GENRES IN ("c")`))(t)
}

func deleteAndWait(i *installation, filter string) error {
	_, err := i.DeleteFilter(&personalize.DeleteFilterInput{FilterArn: &filter})
	if err == nil {
		disappears(i.t, func() error {
			_, err := i.DescribeFilter(&personalize.DescribeFilterInput{FilterArn: &filter})
			return err
		})
	}
	return err
}

// A bad expression is refused at once, with the place and the reason.
func TestBadFilterExpressions(t *testing.T) {
	i := install(t, crud.Quotas{})
	group := i.group("movies")
	i.typed(group, "Items", withColumns(itemsSchema, `{"name":"PLOT","type":"string","textual":true},{"name":"A","type":["null","int"]},{"name":"B","type":["null","int"]},{"name":"C","type":["null","int"]}`))
	for n, c := range []struct{ expression, message string }{
		{`INCLUDE ItemID WHERE Items.NOPE IN ("x")`, "NOPE"},
		{`INCLUDE ItemID WHERE Users.AGE > 18`, "Users"},
		{`INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("click")`, "Interactions"}, // the group has no such dataset
		{`INCLUDE Items WHERE Items.GENRES IN ("x")`, "ItemID"},
		{`INCLUDE ItemID WHERE Items.PLOT IN ("x")`, "PLOT"},
		{`INCLUDE ItemID WHERE Items.PRICE < "cheap"`, "PRICE"},
		{`INCLUDE ItemID WHERE Items.GENRES IN ()`, ""},
		{`INCLUDE ItemID WHERE Items.GENRES LIKE "x"`, "LIKE"},
		{`INCLUDE ItemID WHERE Items.GENRES IN ("x") IF Items.PRICE > 1`, "CurrentUser"},
		{`INCLUDE ItemID WHERE Items.GENRES IN ("x") |`, ""},
		{`ItemID WHERE Items.GENRES IN ("x")`, "INCLUDE"},
		{`INCLUDE ItemID WHERE Items.GENRES IN ("x") AND Items.PRICE > 1 AND Items.YEAR > 1 AND Items.A > 1 AND Items.B > 1 AND Items.C > 1`, "5"},
	} {
		_, err := i.createFilter(group, fmt.Sprint("f", n), c.expression)
		refused(t, err, invalid, "Invalid filterExpression")
		refused(t, err, invalid, c.message)
	}
}
