// Package filter is the filter language of Amazon Personalize: it compiles expressions, keeps the attributes that they
// ask for, and evaluates them for whoever wants recommendations.
//
// The control service compiles an expression at CreateFilter to check it. The recommender compiles it again, keeps the
// attributes of items and actions in a Table each, binds the filterValues of a request and selects the rows that may be
// recommended; batch and segment jobs do the same, the latter over a Table of users. An expression looks like this:
//
//	INCLUDE ItemID WHERE Items.GENRES IN ("Comedy","Drama") AND Items.YEAR >= $YEAR IF CurrentUser.AGE > 18
//	| EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")
//
// # Where Amazon leaves it open
//
//   - AND binds tighter than OR. Parentheses around conditions do not exist.
//   - A missing value makes a condition false, but NOT IN and != true, which are the negations of IN and =.
//   - A categorical value is a set of categories: IN and = hold if any of them is listed. Other strings are one value.
//   - Event types are compared without case, by event and not by item: NOT IN ("click") means the items with an event
//     of any type but click. Everything else is compared exactly.
//   - An expression whose IF does not hold, or which is an EXCLUDE and lacks a parameter, counts as not written. So of
//     INCLUDE A IF x | INCLUDE B IF y only those that hold restrict, and all rows stay where none does.
//   - The column that identifies a row (Items.ITEM_ID) can be compared like a string.
//   - A UserID filter has no IF: a user segment is made for nobody in particular.
package filter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/schema"
)

// Limits of one expression.
const (
	// MaxExpression is its length in characters.
	MaxExpression = 2500
	// MaxFields is how many distinct columns of datasets it may name.
	MaxFields = 5
)

// targets are the types of rows that filters select.
var targets = []schema.Type{schema.Items, schema.Users, schema.Actions}

// TargetName is the name of a target in expressions: ItemID, UserID or ActionID.
func TargetName(target schema.Type) string {
	switch target {
	case schema.Users:
		return "UserID"
	case schema.Actions:
		return "ActionID"
	default:
		return "ItemID"
	}
}

// eventsOf is the dataset whose EVENT_TYPE the target's filters can ask for.
func eventsOf(target schema.Type) schema.Type {
	if target == schema.Actions {
		return schema.ActionInteractions
	}
	return schema.Interactions
}

// Schemas are the datasets of a group, by upper-case dataset type (ITEMS, USERS, INTERACTIONS, ACTIONS,
// ACTION_INTERACTIONS). Absent datasets have no entry.
type Schemas map[string]*schema.Schema

// Error is what is wrong with an expression or with a value of a parameter. The client caused it.
type Error struct {
	// Parameter is the name of the parameter whose value is wrong; empty for an error of the expression.
	Parameter string
	// Offset is the place of the error in the expression or in the parameter's value, in bytes.
	Offset int
	// Message names what was found there and what is allowed.
	Message string
}

// Error is the message and where it belongs.
func (e *Error) Error() string {
	if e.Parameter != "" {
		return fmt.Sprintf("parameter $%s: %s", e.Parameter, e.Message)
	}
	return fmt.Sprintf("at offset %d: %s", e.Offset, e.Message)
}

// Filter is a checked expression. It is read-only and safe for concurrent use.
type Filter struct {
	target      schema.Type
	expressions []expression
	parameters  []string
	fields      []string
	datasets    []string
	currentItem bool
}

// Compile parses an expression and checks it against the datasets of the group. Its errors are *Error.
func Compile(text string, schemas Schemas) (*Filter, error) {
	if err := checkLength(text); err != nil {
		return nil, err
	}
	p := parser{scanner: scanner{text: text}, schemas: schemas, filter: new(Filter)}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.filter, nil
}

func checkLength(text string) error {
	length, limit := 0, 0
	for offset := range text {
		if length == MaxExpression {
			limit = offset
		}
		length++
	}
	if length <= MaxExpression {
		return nil
	}
	message := fmt.Sprintf("the expression has %d characters, at most %d are allowed", length, MaxExpression)
	return &Error{Offset: limit, Message: message}
}

// Target is the type of the rows that the filter keeps or removes: Items, Users or Actions.
func (f *Filter) Target() schema.Type { return f.target }

// Parameters are the names of the parameters, without $, in order of first appearance.
func (f *Filter) Parameters() []string { return slices.Clone(f.parameters) }

// Fields are the distinct columns that the filter names, as ITEMS.GENRES, in order of first appearance: what the quotas
// of a dataset group count.
func (f *Filter) Fields() []string { return slices.Clone(f.fields) }

// Uses reports whether the filter needs a dataset, by upper-case type; USERS also through CurrentUser and ITEMS also
// through CurrentItem.
func (f *Filter) Uses(datasetType string) bool { return slices.Contains(f.datasets, datasetType) }

// UsesCurrentItem reports whether the filter compares with the item for which related ones are wanted.
func (f *Filter) UsesCurrentItem() bool { return f.currentItem }

// String writes the filter in one canonical spelling, which compiles to the same filter.
func (f *Filter) String() string {
	var b strings.Builder
	for i := range f.expressions {
		if i > 0 {
			b.WriteString(" | ")
		}
		f.expressions[i].write(&b, f.target)
	}
	return b.String()
}

// expression is one INCLUDE or EXCLUDE.
type expression struct {
	text    string
	include bool
	// where is a disjunction of conjunctions.
	where [][]predicate
	// onlyIf is a conjunction; empty without IF.
	onlyIf []predicate
	// parameters are those of this expression.
	parameters []string
}

// predicate compares one column.
type predicate struct {
	column   column
	op       operator
	operands []operand
	// current is the column of the current item to compare with, instead of operands.
	current *column
}

// column is a column of a dataset, or of the current user or item.
type column struct {
	dataset schema.Type
	// prefix is the text before the dot.
	prefix string
	name   string
	kind   columnKind
	// split columns hold several categories.
	split bool
}

func (c *column) String() string { return c.prefix + "." + c.name }

// columnKind is how a column is compared.
type columnKind int

const (
	texts columnKind = iota
	numbers
	identifiers
	eventTypes
)

type operator int

const (
	in operator = iota
	notIn
	equal
	notEqual
	less
	lessOrEqual
	greater
	greaterOrEqual
)

var operatorNames = [...]string{"IN", "NOT IN", "=", "!=", "<", "<=", ">", ">="}

func (o operator) String() string { return operatorNames[o] }

// negated operators hold where their opposite does not, also for missing values.
func (o operator) negated() bool { return o == notIn || o == notEqual }

// operand is one value to compare with.
type operand struct {
	// parameter is the name of a parameter; then nothing else is set.
	parameter string
	// any is the star that matches every event type.
	any    bool
	text   string
	number number
}

func (e *expression) write(b *strings.Builder, target schema.Type) {
	fmt.Fprintf(b, "%s %s WHERE ", effect(e.include), TargetName(target))
	for i, group := range e.where {
		if i > 0 {
			b.WriteString(" OR ")
		}
		writeAll(b, group)
	}
	if len(e.onlyIf) > 0 {
		b.WriteString(" IF ")
		writeAll(b, e.onlyIf)
	}
}

func writeAll(b *strings.Builder, predicates []predicate) {
	for i := range predicates {
		if i > 0 {
			b.WriteString(" AND ")
		}
		predicates[i].write(b)
	}
}

func (p *predicate) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s ", &p.column, p.op)
	switch {
	case p.current != nil:
		b.WriteString(p.current.String())
	case p.op == in || p.op == notIn:
		for i, o := range p.operands {
			b.WriteByte("(,"[min(i, 1)])
			b.WriteString(o.spell(p.column.kind))
		}
		b.WriteByte(')')
	default:
		b.WriteString(p.operands[0].spell(p.column.kind))
	}
}

func (o *operand) spell(kind columnKind) string {
	switch {
	case o.parameter != "":
		return "$" + o.parameter
	case o.any:
		return `"*"`
	case kind == numbers:
		return o.text
	default:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(o.text) + `"`
	}
}

func effect(include bool) string {
	if include {
		return "INCLUDE"
	}
	return "EXCLUDE"
}
