package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/services/penchant/operator"
	"github.com/penchant-io/penchant/services/recommender"
)

// FilterCmd holds the commands about filters.
type FilterCmd struct {
	Check FilterCheckCmd `cmd:"" help:"Check a filter expression against the datasets of a group, as CreateFilter does, and create nothing."`
}

// FilterCheckCmd checks an expression.
type FilterCheckCmd struct {
	Expression   string `arg:"" help:"Such as: INCLUDE ItemID WHERE Items.GENRES IN (\"Comedy\")"`
	DatasetGroup string `env:"-" required:"" placeholder:"NAME" help:"The dataset group: its name or ARN."`
	operated
}

// Run prints what is wrong, or what the filter looks at.
func (c *FilterCheckCmd) Run(ctx context.Context) error {
	return c.operate(ctx, func(i *operator.Installation) (result, error) {
		return present(i.CheckFilter(ctx, c.DatasetGroup, c.Expression))
	})
}

// ExplainCmd asks a recommender how an answer comes about.
type ExplainCmd struct {
	ARN        string            `arg:"" name:"arn" help:"The campaign or recommender."`
	User       string            `env:"-" placeholder:"ID" help:"The user who asks."`
	Item       string            `env:"-" placeholder:"ID" help:"The item to which related ones are wanted."`
	Filter     string            `env:"-" placeholder:"ARN" help:"The filter to apply."`
	Value      map[string]string `env:"-" mapsep:"none" placeholder:"NAME=VALUES" help:"A value of the filter, as in filterValues. May be repeated."`
	NumResults int               `env:"-" default:"10" placeholder:"N" help:"The length of the list."`
	operated
}

// Run prints the explanation.
func (c *ExplainCmd) Run(ctx context.Context) error {
	explanation, err := c.ask(ctx)
	if err != nil {
		return unfinishedError{err}
	}
	return c.print(explanation)
}

func (c *ExplainCmd) ask(ctx context.Context) (*explanation, error) {
	credentials, err := awsapi.ParseCredentials(c.AccessKeys)
	if err != nil {
		return nil, err
	}
	endpoints, err := readEndpoints(c.DataDir)
	if err != nil {
		return nil, err
	}
	client := awsapi.NewClient(cmp.Or(endpoints["http"], "http://"+c.HTTPAddr), credentials[0], c.Region)
	defer client.Close()
	request := map[string]any{"campaignArn": c.ARN, "numResults": c.NumResults}
	if strings.Contains(c.ARN, ":recommender/") {
		request = map[string]any{"recommenderArn": c.ARN, "numResults": c.NumResults}
	}
	for member, value := range map[string]string{"userId": c.User, "itemId": c.Item, "filterArn": c.Filter} {
		if value != "" {
			request[member] = value
		}
	}
	if len(c.Value) > 0 {
		request["filterValues"] = c.Value
	}
	e := &explanation{}
	if err := client.Post(ctx, recommender.ExplainPath, request, e); err != nil {
		return nil, fmt.Errorf("asking for an explanation: %w", err)
	}
	return e, nil
}

// explanation has a form for people.
type explanation struct{ recommender.Explanation }

// Page is the explanation for people.
func (e *explanation) Page() string {
	var page strings.Builder
	fmt.Fprintf(&page, "%s\nrecipe    %s\nversion   %s\nmodel     %s, %d items\nhistory   %d recent interactions\n",
		e.ARN, e.Recipe, e.SolutionVersionARN, e.ModelID, e.CatalogueSize, e.HistoryLength)
	if e.Fallback != "" {
		fmt.Fprintf(&page, "fallback  %s: answered as to a stranger\n", e.Fallback)
	}
	if e.HiddenItems > 0 {
		fmt.Fprintf(&page, "hidden    %d items that the user has had\n", e.HiddenItems)
	}
	if e.ColdItems > 0 {
		fmt.Fprintf(&page, "explored  %d cold items, weight %g\n", e.ColdItems, e.ExplorationWeight)
	}
	if e.DiversityWeight > 0 {
		fmt.Fprintf(&page, "diverse   weight %g; behind an item its rank without that, where it was another\n", e.DiversityWeight)
	}
	if f := e.Filter; f != nil {
		fmt.Fprintf(&page, "filter    %d items selected by %s\n", f.Selected, f.FilterARN)
		for _, clause := range f.Clauses {
			fmt.Fprintf(&page, "          %s\n          %s\n", clause.Expression, whatItDid(clause))
		}
	}
	page.WriteByte('\n')
	before := map[string]int{}
	for k, was := range e.RanksBeforeDiversity {
		if was.Rank != k+1 {
			before[was.ItemID] = was.Rank
		}
	}
	for i, item := range e.ItemList {
		fmt.Fprintf(&page, "%4d  %s", i+1, *item.ItemId)
		if item.Score != nil {
			fmt.Fprintf(&page, "  %.5f", *item.Score)
		}
		if len(item.Reason) > 0 {
			fmt.Fprintf(&page, "  (%s)", strings.Join(item.Reason, ", "))
		}
		if rank, moved := before[*item.ItemId]; moved {
			fmt.Fprintf(&page, "  was %d", rank)
		}
		page.WriteByte('\n')
	}
	return page.String()
}

func whatItDid(c recommender.ClauseEffect) string {
	switch {
	case c.Missing != "":
		return fmt.Sprintf("did nothing: $%s has no value", c.Missing)
	case !c.Applied:
		return "did nothing: its IF does not hold"
	}
	return fmt.Sprintf("matched %d items, removed %d", c.Matched, c.Removed)
}
