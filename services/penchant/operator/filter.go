package operator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/schema"
)

// FilterCheck is CreateFilter's view of an expression.
type FilterCheck struct {
	DatasetGroup string `json:"datasetGroup"`
	Expression   string `json:"expression"`
	// Error has what is wrong, and at which byte of the expression; empty if nothing is.
	Error  string `json:"error,omitempty"`
	Offset int    `json:"offset,omitempty"`
	// Selects is ItemID, UserID or ActionID.
	Selects    string   `json:"selects,omitempty"`
	Fields     []string `json:"fields,omitempty"`
	Parameters []string `json:"parameters,omitempty"`
}

// CheckFilter compiles an expression against the datasets of a group (name, key or ARN).
func (i *Installation) CheckFilter(ctx context.Context, group, expression string) (*FilterCheck, error) {
	if err := i.need(ctx, s3); err != nil {
		return nil, err
	}
	groups, err := i.groups(ctx, group)
	if err != nil {
		return nil, err
	}
	schemas, err := i.schemas(ctx, groups[0])
	if err != nil {
		return nil, err
	}
	check := &FilterCheck{DatasetGroup: groups[0].Name, Expression: expression}
	compiled, err := filter.Compile(expression, schemas)
	if wrong := new(filter.Error); errors.As(err, &wrong) {
		check.Error, check.Offset = wrong.Message, wrong.Offset
		return check, ErrProblems
	}
	if err != nil {
		return nil, err
	}
	check.Selects, check.Fields, check.Parameters = filter.TargetName(compiled.Target()), compiled.Fields(),
		compiled.Parameters()
	return check, nil
}

// schemas are those of a group's datasets.
func (i *Installation) schemas(ctx context.Context, group *catalog.DatasetGroup) (filter.Schemas, error) {
	datasets, err := i.catalog.Datasets.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the datasets: %w", err)
	}
	schemas := filter.Schemas{}
	for _, d := range datasets {
		if d.DatasetGroupARN != group.ARN {
			continue
		}
		document, err := i.catalog.Schemas.Get(ctx, d.SchemaARN)
		if err != nil {
			return nil, fmt.Errorf("reading the schema of %s: %w", d.ARN, err)
		}
		if schemas[d.DatasetType], err = schema.Parse(document.Document, document.Domain); err != nil {
			return nil, fmt.Errorf("parsing schema %s: %w", document.ARN, err)
		}
	}
	return schemas, nil
}

// Page is the check for people: where it fails, with a mark under the place.
func (c *FilterCheck) Page() string {
	var page strings.Builder
	if c.Error != "" {
		before := c.Expression[:min(c.Offset, len(c.Expression))]
		fmt.Fprintf(&page, "%s\n%s^ %s\n", c.Expression, strings.Repeat(" ", utf8.RuneCountInString(before)), c.Error)
		return page.String()
	}
	fmt.Fprintf(&page, "The filter is valid. It selects by %s.\n", c.Selects)
	if len(c.Fields) > 0 {
		fmt.Fprintf(&page, "It looks at %s.\n", strings.Join(c.Fields, ", "))
	}
	if len(c.Parameters) > 0 {
		fmt.Fprintf(&page, "It has the parameters $%s.\n", strings.Join(c.Parameters, ", $"))
	}
	return page.String()
}
