package filter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penchant-io/penchant/pkg/schema"
)

// Bound is a filter whose parameters have values. It is read-only and safe for concurrent use.
type Bound struct {
	filter *Filter
	// clauses are the filter's expressions, in their order.
	clauses []clause
}

// clause is an expression with its values.
type clause struct {
	*expression
	// missing is the first parameter of an EXCLUDE that was given no value: the expression is ignored.
	missing string
	where   [][]test
	onlyIf  []test
}

// test is a predicate with its values.
type test struct {
	*predicate
	// texts, sorted; event types are in lower case.
	texts []string
	// any is set if all event types are meant.
	any     bool
	numbers []number
}

// Bind puts the values of parameters into the filter, in the syntax of filterValues: a comma-separated list, strings in
// quotes, numbers with or without. Text without quotes is a string. Its errors are *Error and the client's: a value for
// an unknown parameter, none for one of an INCLUDE, one of the wrong type, or several where one is compared.
func (f *Filter) Bind(values map[string]string) (*Bound, error) {
	lists := make(map[string][]listed, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(f.parameters, name) {
			return nil, &Error{Parameter: name, Message: "the filter has no such parameter" + f.known()}
		}
		list, err := parseValues(values[name])
		if err != nil {
			err.Parameter = name
			return nil, err
		}
		lists[name] = list
	}
	b := &Bound{filter: f, clauses: make([]clause, len(f.expressions))}
	for i := range f.expressions {
		if err := b.clauses[i].bind(&f.expressions[i], lists); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// DependsOnSubject reports whether the filter can select other rows for another subject.
func (b *Bound) DependsOnSubject() bool {
	f := b.filter
	uses := func(t schema.Type) bool { return f.Uses(t.DatasetType()) }
	return f.currentItem || uses(schema.Users) || uses(schema.Interactions) || uses(schema.ActionInteractions)
}

func (f *Filter) known() string {
	if len(f.parameters) == 0 {
		return ", it has none"
	}
	return ", it has $" + strings.Join(f.parameters, ", $")
}

func (c *clause) bind(e *expression, values map[string][]listed) error {
	c.expression = e
	for _, name := range e.parameters {
		if _, given := values[name]; given {
			continue
		}
		if e.include {
			return &Error{Parameter: name, Message: "needs a value: all parameters of an INCLUDE expression do"}
		}
		c.missing = name
		return nil
	}
	var err error
	c.where = make([][]test, len(e.where))
	for i, group := range e.where {
		if c.where[i], err = bindAll(group, values); err != nil {
			return err
		}
		// Tests that look rows up come before those that look at each row, which then are spared most of them.
		slices.SortStableFunc(c.where[i], func(a, b test) int { return a.cost() - b.cost() })
	}
	c.onlyIf, err = bindAll(e.onlyIf, values)
	return err
}

func bindAll(predicates []predicate, values map[string][]listed) ([]test, error) {
	tests := make([]test, len(predicates))
	for i := range predicates {
		if err := tests[i].bind(&predicates[i], values); err != nil {
			return nil, err
		}
	}
	return tests, nil
}

func (t *test) bind(p *predicate, values map[string][]listed) error {
	t.predicate = p
	single := p.op != in && p.op != notIn
	for _, o := range p.operands {
		if o.parameter == "" {
			t.add(o)
			continue
		}
		list := values[o.parameter]
		if single && len(list) > 1 {
			return &Error{Parameter: o.parameter, Offset: list[1].offset,
				Message: fmt.Sprintf("has %d values, but %s %s takes one", len(list), &p.column, p.op)}
		}
		for _, v := range list {
			value, err := newOperand(v.text, &p.column)
			if err != nil {
				message := fmt.Sprintf("found %s, but %s", shorten(v.text), err)
				return &Error{Parameter: o.parameter, Offset: v.offset, Message: message}
			}
			t.add(value)
		}
	}
	slices.Sort(t.texts)
	t.texts = slices.Compact(t.texts)
	return nil
}

func (t *test) add(o operand) {
	switch {
	case o.any:
		t.any = true
	case t.column.kind == numbers:
		t.numbers = append(t.numbers, o.number)
	case t.column.kind == eventTypes:
		t.texts = append(t.texts, foldEventType(o.text))
	default:
		t.texts = append(t.texts, o.text)
	}
}

func (t *test) cost() int {
	cost := 0
	if t.column.kind == numbers {
		cost = 2
	}
	if t.op.negated() {
		cost++
	}
	return cost
}

// foldEventType makes event types comparable: their case means nothing.
func foldEventType(eventType string) string { return strings.ToLower(eventType) }

// listed is one value of a parameter.
type listed struct {
	text   string
	offset int
}

// parseValues reads the values of a parameter. Values without quotes end at a comma and have no white space around
// them.
func parseValues(text string) ([]listed, *Error) {
	fail := func(offset int, format string, arguments ...any) ([]listed, *Error) {
		return nil, &Error{Offset: offset, Message: fmt.Sprintf(format, arguments...)}
	}
	if !utf8.ValidString(text) {
		return fail(0, "is not valid UTF-8")
	}
	var list []listed
	for at := 0; ; at++ {
		at += len(text[at:]) - len(strings.TrimLeft(text[at:], space))
		v := listed{offset: at}
		if at < len(text) && (text[at] == '"' || text[at] == '\'') {
			value, length, err := unquote(text[at:])
			if err != nil {
				return fail(at, "%s", err)
			}
			v.text = value
			at += length
			at += len(text[at:]) - len(strings.TrimLeft(text[at:], space))
			if at < len(text) && text[at] != ',' {
				return fail(at, "found %s behind a string, allowed is a comma", shorten(text[at:]))
			}
		} else {
			value, _, _ := strings.Cut(text[at:], ",")
			at += len(value)
			v.text = strings.TrimRight(value, space)
			switch i := strings.IndexByte(value, '"'); {
			case v.text == "" && at == len(text):
				return fail(v.offset, "found the end of the value, allowed is a string in quotes or a number")
			case v.text == "":
				return fail(v.offset, "found a comma, allowed is a string in quotes or a number")
			case i >= 0:
				return fail(v.offset+i, "found a quote within %s, which does not begin with one", shorten(v.text))
			}
		}
		list = append(list, v)
		if at == len(text) {
			return list, nil
		}
	}
}

const space = " \t\r\n"
