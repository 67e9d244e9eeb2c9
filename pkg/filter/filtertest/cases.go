package filtertest

import (
	"github.com/penchant-io/penchant/pkg/testfile"
)

// Case is an expression and the ids that it selects.
type Case struct {
	Name       string
	Expression string
	// Values are the filterValues of the request.
	Values map[string]string
	// User asks; empty or UnknownUser: nobody known.
	User string
	// Item is the one to which related items are wanted, for expressions with CurrentItem.
	Item string
	// Want are the ids that pass, in ascending order.
	Want []string
}

// Cases returns all cases, of items, users and actions. They stand in testdata/filter/cases, one file per group.
func Cases() []Case {
	var all []Case
	for _, name := range []string{
		"categories", "numbers", "texts", "nulls", "events", "combined", "if", "parameters", "current-item", "spelling", "users",
		"actions",
	} {
		all = append(all, testfile.YAML[[]Case]("filter/cases/"+name+".yaml")...)
	}
	return all
}
