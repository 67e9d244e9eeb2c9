package operator

import (
	"context"
	"fmt"
	"strings"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/services/recommender"
)

// ExplainRequest is a request for recommendations that is to be explained.
type ExplainRequest struct {
	ARN          string // of the campaign or recommender
	User, Item   string // "": none
	Filter       string // its ARN; "": none
	FilterValues map[string]string
	NumResults   int
}

// Explain asks a running recommender how the answer to a request comes about.
func Explain(ctx context.Context, client *awsapi.Client, r ExplainRequest) (*Explanation, error) {
	request := map[string]any{"campaignArn": r.ARN, "numResults": r.NumResults}
	if strings.Contains(r.ARN, ":recommender/") {
		request = map[string]any{"recommenderArn": r.ARN, "numResults": r.NumResults}
	}
	for member, value := range map[string]string{"userId": r.User, "itemId": r.Item, "filterArn": r.Filter} {
		if value != "" {
			request[member] = value
		}
	}
	if len(r.FilterValues) > 0 {
		request["filterValues"] = r.FilterValues
	}
	e := &Explanation{}
	if err := client.Post(ctx, recommender.ExplainPath, request, e); err != nil {
		return nil, fmt.Errorf("asking for an explanation: %w", err)
	}
	return e, nil
}

// Explanation explains how the answer to a user comes about.
type Explanation struct{ recommender.Explanation }

// Page returns the explanation for people.
func (e *Explanation) Page() string {
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
		fmt.Fprintf(&page, "diverse   weight %g; behind an item its rank without that, where it was another\n",
			e.DiversityWeight)
	}
	if f := e.Filter; f != nil {
		fmt.Fprintf(&page, "filter    %d items selected by %s\n", f.Selected, f.FilterARN)
		for _, clause := range f.Clauses {
			fmt.Fprintf(&page, "          %s\n          %s\n", clause.Expression, clauseEffect(clause))
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

func clauseEffect(c recommender.ClauseEffect) string {
	switch {
	case c.Missing != "":
		return fmt.Sprintf("did nothing: $%s has no value", c.Missing)
	case !c.Applied:
		return "did nothing: its IF does not hold"
	}
	return fmt.Sprintf("matched %d items, removed %d", c.Matched, c.Removed)
}
