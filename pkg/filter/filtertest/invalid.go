package filtertest

import (
	"strings"

	"github.com/penchant-io/penchant/pkg/testfile"
)

// Invalid is an expression that Compile refuses.
type Invalid struct {
	Expression string
	// At is the piece of the expression where the error stands; its first occurrence counts, and empty means the end.
	At string
	// Words must stand in the message.
	Words []string
}

// Offset is where the error stands, in bytes.
func (i Invalid) Offset() int {
	if i.At == "" {
		return len(i.Expression)
	}
	return strings.Index(i.Expression, i.At)
}

// InvalidExpressions returns what must be refused whatever data there is.
func InvalidExpressions() []Invalid {
	tooLong := Invalid{
		Expression: `INCLUDE ItemID WHERE Items.GENRES IN ("` + strings.Repeat("x", 2500) + `")`,
		At:         strings.Repeat("x", 39) + `")`, Words: []string{"2541 characters", "at most 2500"},
	}
	return append(testfile.YAML[[]Invalid]("filter/invalid-expressions.yaml"), tooLong)
}

// InvalidValue is a request that Bind refuses.
type InvalidValue struct {
	Expression string
	Values     map[string]string
	// Parameter is the one that the error names.
	Parameter string
	Words     []string
}

// InvalidValues returns what must be refused whatever data there is.
func InvalidValues() []InvalidValue {
	return testfile.YAML[[]InvalidValue]("filter/invalid-values.yaml")
}
