// Package attribution computes the metrics of a metric attribution: it reads their expressions, adds up interactions by
// window of time, metric and source, and writes the report of a window in Personalize's form.
//
// The control service checks expressions with it when an attribution is made; the retrainer writes the reports.
package attribution

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/schema"
)

// Function is what an expression does with the interactions of its metric's event type.
type Function string

// The functions, as reports spell them.
const (
	SampleCount Function = "samplecount"
	Sum         Function = "sum"
)

// Expression is SAMPLECOUNT(), SUM(Items.<column>) or SUM(Interactions.<column>).
type Expression struct {
	Function Function
	// Dataset and Column are what Sum adds up. Column has the spelling of the expression, which may differ from the
	// schema's in case.
	Dataset schema.Type
	Column  string
}

var pattern = regexp.MustCompile(`(?i)^\s*(?:SAMPLECOUNT\s*\(\s*\)|SUM\s*\(\s*(ITEMS|INTERACTIONS)\s*\.\s*([A-Z0-9_]+)\s*\))\s*$`)

// Parse reads an expression, whose names and keywords may be in any case.
func Parse(text string) (Expression, error) {
	parts := pattern.FindStringSubmatch(text)
	switch {
	case parts == nil:
		return Expression{}, fmt.Errorf("%q is none of SAMPLECOUNT(), SUM(Items.COLUMN), SUM(Interactions.COLUMN)",
			text)
	case parts[1] == "":
		return Expression{Function: SampleCount}, nil
	}
	kind, _ := schema.ParseType(parts[1]) // one of the two
	return Expression{Function: Sum, Dataset: kind, Column: parts[2]}, nil
}

// Check refuses an expression on a column that is missing or not numeric. The schemas are a group's, by upper-case
// dataset type.
func (e Expression) Check(schemas map[string]*schema.Schema) error {
	if e.Function != Sum {
		return nil
	}
	described, ok := schemas[e.Dataset.DatasetType()]
	if !ok {
		return fmt.Errorf("the dataset group has no %s dataset", e.Dataset)
	}
	i := slices.IndexFunc(described.Fields, func(f schema.Field) bool { return strings.EqualFold(f.Name, e.Column) })
	switch {
	case i < 0:
		return fmt.Errorf("the %s dataset has no column %s", e.Dataset, e.Column)
	case !described.Fields[i].Kind.Numeric():
		return fmt.Errorf("column %s is not numeric", e.Column)
	}
	return nil
}
