package main

import (
	"context"

	"github.com/penchant-io/penchant/services/penchant/operator"
)

// filterCmd holds the commands about filters.
type filterCmd struct {
	Check filterCheckCmd `cmd:"" help:"Check a filter expression against the datasets of a group, as CreateFilter does, and create nothing."`
}

// filterCheckCmd checks an expression.
type filterCheckCmd struct {
	Expression   string `arg:"" help:"Such as: INCLUDE ItemID WHERE Items.GENRES IN (\"Comedy\")"`
	DatasetGroup string `env:"-" required:"" placeholder:"NAME" help:"The dataset group: its name or ARN."`
	operated
}

// Run prints what is wrong, or what the filter looks at.
func (c *filterCheckCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) {
		return present(i.CheckFilter(ctx, c.DatasetGroup, c.Expression))
	})
}

// explainCmd asks a recommender how an answer comes about.
type explainCmd struct {
	ARN        string            `arg:"" name:"arn" help:"The campaign or recommender."`
	User       string            `env:"-" placeholder:"ID" help:"The user who asks."`
	Item       string            `env:"-" placeholder:"ID" help:"The item to which related ones are wanted."`
	Filter     string            `env:"-" placeholder:"ARN" help:"The filter to apply."`
	Value      map[string]string `env:"-" mapsep:"none" placeholder:"NAME=VALUES" help:"A value of the filter, as in filterValues. May be repeated."`
	NumResults int               `env:"-" default:"10" placeholder:"N" help:"The length of the list."`
	operated
}

// Run prints the explanation.
func (c *explainCmd) Run(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return unfinishedError{err}
	}
	defer client.Close()
	explanation, err := operator.Explain(ctx, client, operator.ExplainRequest{
		ARN: c.ARN, User: c.User, Item: c.Item, Filter: c.Filter, FilterValues: c.Value, NumResults: c.NumResults,
	})
	if err != nil {
		return unfinishedError{err}
	}
	return c.print(explanation)
}
