package filter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/schema"
)

// parser reads an expression by recursive descent, one function for each rule of the language, and checks each name and
// value where it stands.
type parser struct {
	scanner scanner
	schemas Schemas
	filter  *Filter
	// token is the one to be read next.
	token token
	// expression is the one being read.
	expression *expression
}

// parse reads: expression { "|" expression }.
func (p *parser) parse() error {
	if err := p.advance(); err != nil {
		return err
	}
	for {
		start := p.token.offset
		p.filter.expressions = append(p.filter.expressions, expression{})
		p.expression = &p.filter.expressions[len(p.filter.expressions)-1]
		if err := p.parseExpression(); err != nil {
			return err
		}
		p.expression.text = strings.TrimSpace(p.scanner.text[start:p.token.offset])
		if p.token.kind == end {
			return nil
		}
		// parseExpression ends at the end or a bar only.
		if err := p.advance(); err != nil {
			return err
		}
	}
}

// parseExpression reads: ( INCLUDE | EXCLUDE ) target WHERE predicate { ( AND | OR ) predicate } [ IF … ].
func (p *parser) parseExpression() error {
	switch {
	case p.isKeyword("INCLUDE"):
		p.expression.include = true
	case p.isKeyword("EXCLUDE"):
	default:
		return p.unexpected("INCLUDE or EXCLUDE")
	}
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.parseTarget(); err != nil {
		return err
	}
	if err := p.expect("WHERE"); err != nil {
		return err
	}
	if err := p.parseWhere(); err != nil {
		return err
	}
	allowed := "AND, OR, IF, | or the end of the expression"
	if p.isKeyword("IF") {
		if err := p.parseIf(); err != nil {
			return err
		}
		allowed = "AND, | or the end of the expression"
		if p.isKeyword("OR") {
			return p.fail("found %s, but conditions after IF can only be joined with AND", p.token.describe())
		}
	}
	if p.token.kind != end && !p.isSymbol("|") {
		return p.unexpected(allowed)
	}
	return nil
}

func (p *parser) parseTarget() error {
	i := slices.IndexFunc(targets, func(t schema.Type) bool { return p.isKeyword(TargetName(t)) })
	if i < 0 {
		return p.unexpected("ItemID, UserID or ActionID")
	}
	if first := len(p.filter.expressions) == 1; !first && targets[i] != p.filter.target {
		return p.fail("found %s, but all expressions of a filter have the same target, here %s",
			p.token.describe(), TargetName(p.filter.target))
	}
	p.filter.target = targets[i]
	return p.advance()
}

func (p *parser) parseWhere() error {
	dataset := schema.Type("")
	group := []predicate(nil)
	for {
		start := p.token.offset
		condition, err := p.parsePredicate(p.entityColumn)
		if err != nil {
			return err
		}
		if dataset != "" && condition.column.dataset != dataset {
			message := fmt.Sprintf("found a condition on %s behind one on %s: AND and OR join conditions on one dataset, "+
				"write two expressions with | between them", condition.column.dataset, dataset)
			return &Error{Offset: start, Message: message}
		}
		dataset = condition.column.dataset
		group = append(group, condition)
		switch {
		case p.isKeyword("AND"):
		case p.isKeyword("OR"):
			p.expression.where = append(p.expression.where, group)
			group = nil
		default:
			p.expression.where = append(p.expression.where, group)
			return nil
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
}

// parseIf reads: IF predicate { AND predicate }.
func (p *parser) parseIf() error {
	if p.filter.target == schema.Users {
		return p.fail("found IF, but a filter of UserID has no current user: write the condition on Users into WHERE")
	}
	for {
		if err := p.advance(); err != nil {
			return err
		}
		condition, err := p.parsePredicate(p.userColumn)
		if err != nil {
			return err
		}
		p.expression.onlyIf = append(p.expression.onlyIf, condition)
		if !p.isKeyword("AND") {
			return nil
		}
	}
}

// parsePredicate reads: column ( [ NOT ] IN ( list | current ) | comparison ( value | current ) ).
func (p *parser) parsePredicate(parseColumn func() (column, error)) (predicate, error) {
	c, err := parseColumn()
	if err != nil {
		return predicate{}, err
	}
	condition := predicate{column: c}
	if condition.op, err = p.parseOperator(&c); err != nil {
		return predicate{}, err
	}
	switch {
	case p.isKeyword("CurrentItem"):
		condition.current, err = p.parseCurrentItem(&c)
	case condition.op == in || condition.op == notIn:
		condition.operands, err = p.parseList(&c)
	default:
		condition.operands, err = p.parseValue(&c)
	}
	return condition, err
}

// entityColumn reads the column of a condition after WHERE.
func (p *parser) entityColumn() (column, error) {
	target := p.filter.target
	allowed := fmt.Sprintf("a column of %s or %s.EVENT_TYPE", target, eventsOf(target))
	switch {
	case p.isSymbol("("):
		return column{}, p.fail("found %q, but conditions cannot be put in parentheses, allowed is %s", "(", allowed)
	case p.isKeyword("CurrentUser"):
		return column{}, p.fail("found %s, but the current user can only be asked for after IF", p.token.describe())
	case p.isKeyword("CurrentItem"):
		return column{}, p.fail("found %s, but the current item can only stand on the right of an operator",
			p.token.describe())
	case p.token.kind != word:
		return column{}, p.unexpected(allowed)
	}
	t, ok := schema.ParseType(p.token.value)
	if !ok {
		return column{}, p.unexpected(allowed)
	}
	if t != target && t != eventsOf(target) {
		return column{}, p.fail("found %s, but a filter of %s can only ask for %s",
			p.token.describe(), TargetName(target), allowed)
	}
	return p.parseColumn(t, string(t))
}

// userColumn reads the column of a condition after IF.
func (p *parser) userColumn() (column, error) {
	if !p.isKeyword("CurrentUser") {
		return column{}, p.unexpected("a column of CurrentUser after IF")
	}
	return p.parseColumn(schema.Users, "CurrentUser")
}

// parseCurrentItem reads the column of the current item that c is compared with.
func (p *parser) parseCurrentItem(c *column) (*column, error) {
	if c.dataset != schema.Items || p.filter.target != schema.Items {
		return nil, p.fail("found %s, but only a column of Items can be compared with the current item",
			p.token.describe())
	}
	start := p.token.offset
	current, err := p.parseColumn(schema.Items, "CurrentItem")
	if err != nil {
		return nil, err
	}
	if (c.kind == numbers) != (current.kind == numbers) {
		message := fmt.Sprintf("%s and %s cannot be compared: one is numeric and the other is not", c, &current)
		return nil, &Error{Offset: start, Message: message}
	}
	p.filter.currentItem = true
	return &current, nil
}

// parseColumn reads: "." column, where token is the dataset before it.
func (p *parser) parseColumn(t schema.Type, prefix string) (column, error) {
	datasetToken := p.token
	if err := p.advance(); err != nil {
		return column{}, err
	}
	if !p.isSymbol(".") {
		return column{}, p.unexpected(fmt.Sprintf(". and a column of %s", prefix))
	}
	name := p.scanner.name()
	if name.kind == end {
		if err := p.advance(); err != nil {
			return column{}, err
		}
		return column{}, p.unexpected(fmt.Sprintf("a column of %s", prefix))
	}
	s := p.schemas[t.DatasetType()]
	if s == nil {
		message := fmt.Sprintf("found %s, but the dataset group has no %s dataset", datasetToken.describe(), t)
		return column{}, &Error{Offset: datasetToken.offset, Message: message}
	}
	c, err := resolve(s, t, prefix, name)
	if err != nil {
		return column{}, err
	}
	if err := p.note(&c, name.offset); err != nil {
		return column{}, err
	}
	return c, p.advance()
}

// resolve finds a column in the schema of its dataset.
func resolve(s *schema.Schema, t schema.Type, prefix string, name token) (column, error) {
	wrong := func(format string, arguments ...any) (column, error) {
		return column{}, &Error{Offset: name.offset, Message: fmt.Sprintf(format, arguments...)}
	}
	i := slices.IndexFunc(s.Fields, func(f schema.Field) bool { return strings.EqualFold(f.Name, name.value) })
	events := t == schema.Interactions || t == schema.ActionInteractions
	switch {
	case events && !strings.EqualFold(name.value, "EVENT_TYPE"):
		return wrong("found the column %s, but of %s only EVENT_TYPE can be asked for", name.describe(), prefix)
	case i < 0 && events:
		return wrong("found the column %s, but the %s dataset of this group has none", name.describe(), prefix)
	case i < 0:
		return wrong("%s has no column %s, allowed is %s", prefix, name.describe(), filterable(s))
	}
	f := s.Fields[i]
	c := column{dataset: t, prefix: prefix, name: f.Name, kind: texts, split: f.Categorical}
	switch {
	case events:
		c.kind = eventTypes
	case f.Textual:
		return wrong("the column %s is textual and cannot be asked for, allowed is %s", name.describe(), filterable(s))
	case f.Kind == schema.Boolean:
		return wrong("the column %s is boolean and cannot be asked for, allowed is %s", name.describe(), filterable(s))
	case f.Kind.Numeric():
		c.kind = numbers
	case f.Name == s.IDField():
		c.kind = identifiers
	}
	return c, nil
}

// filterable lists the first columns of a dataset that filters can use.
func filterable(s *schema.Schema) string {
	const most = 10
	var names []string
	for _, f := range s.Fields {
		if f.Textual || f.Kind == schema.Boolean {
			continue
		}
		if len(names) == most {
			names = append(names, "…")
			break
		}
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// note counts a column among those that the filter uses.
func (p *parser) note(c *column, offset int) error {
	dataset := c.dataset.DatasetType()
	if field := dataset + "." + c.name; !slices.Contains(p.filter.fields, field) {
		if len(p.filter.fields) == MaxFields {
			message := fmt.Sprintf("%s is one field too many: a filter can use at most %d different fields",
				field, MaxFields)
			return &Error{Offset: offset, Message: message}
		}
		p.filter.fields = append(p.filter.fields, field)
	}
	if !slices.Contains(p.filter.datasets, dataset) {
		p.filter.datasets = append(p.filter.datasets, dataset)
	}
	return nil
}

func (p *parser) parseOperator(c *column) (operator, error) {
	op := in
	switch {
	case p.isKeyword("IN"):
	case p.isKeyword("NOT"):
		if err := p.advance(); err != nil {
			return 0, err
		}
		if !p.isKeyword("IN") {
			return 0, p.unexpected("IN after NOT")
		}
		op = notIn
	case p.token.kind == symbol && slices.Contains(operatorNames[equal:], p.token.source):
		op = operator(slices.Index(operatorNames[:], p.token.source))
		if op >= less && c.kind != numbers {
			return 0, p.fail("found %s, but %s is not numeric, allowed are IN, NOT IN, = and !=", p.token.describe(), c)
		}
	default:
		return 0, p.unexpected("IN, NOT IN, =, !=, <, <=, > or >=")
	}
	return op, p.advance()
}

// parseList reads: "(" operand { "," operand } ")".
func (p *parser) parseList(c *column) ([]operand, error) {
	if !p.isSymbol("(") {
		return nil, p.unexpected("a list in parentheses")
	}
	var list []operand
	for {
		if err := p.advance(); err != nil {
			return nil, err
		}
		o, err := p.parseOperand(c)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
		if p.isSymbol(")") {
			return list, p.advance()
		}
		if !p.isSymbol(",") {
			return nil, p.unexpected("a comma or )")
		}
	}
}

// parseValue reads: operand | "(" $parameter ")".
func (p *parser) parseValue(c *column) ([]operand, error) {
	if !p.isSymbol("(") {
		o, err := p.parseOperand(c)
		return []operand{o}, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind != parameter {
		return nil, p.unexpected("a parameter: only a parameter can stand in parentheses behind a comparison")
	}
	o, err := p.parseOperand(c)
	if err != nil {
		return nil, err
	}
	if !p.isSymbol(")") {
		return nil, p.unexpected(")")
	}
	return []operand{o}, p.advance()
}

func (p *parser) parseOperand(c *column) (operand, error) {
	t := p.token
	var o operand
	switch {
	case t.kind == parameter:
		o.parameter = t.value
		p.noteParameter(t.value)
	case t.kind == quoted || t.kind == digits && c.kind == numbers || p.isSymbol("*"):
		var err error
		if o, err = newOperand(t.value, c); err != nil {
			return operand{}, p.fail("found %s, but %w", t.describe(), err)
		}
	case t.kind == digits:
		return operand{}, p.fail("found the number %s, but %s is not numeric, "+
			"allowed is a string in quotes or a parameter", t.source, c)
	case c.kind == numbers:
		return operand{}, p.unexpected("a number or a parameter")
	default:
		return operand{}, p.unexpected("a string in quotes or a parameter")
	}
	return o, p.advance()
}

// newOperand reads a value, of the expression or of a parameter, for a column.
func newOperand(text string, c *column) (operand, error) {
	switch {
	case c.kind == numbers:
		n, err := parseNumber(text)
		if err != nil {
			return operand{}, fmt.Errorf("%s is numeric, and the value %w", c, err)
		}
		return operand{text: text, number: n}, nil
	case c.kind == eventTypes:
		return operand{text: text, any: text == "*"}, nil
	case text == "*":
		return operand{}, fmt.Errorf("* stands for every event type, and means nothing for %s", c)
	}
	return operand{text: text}, nil
}

func (p *parser) noteParameter(name string) {
	if !slices.Contains(p.filter.parameters, name) {
		p.filter.parameters = append(p.filter.parameters, name)
	}
	if !slices.Contains(p.expression.parameters, name) {
		p.expression.parameters = append(p.expression.parameters, name)
	}
}

func (p *parser) advance() (err error) {
	p.token, err = p.scanner.next()
	return err
}

func (p *parser) isKeyword(keyword string) bool {
	return p.token.kind == word && strings.EqualFold(p.token.value, keyword)
}

func (p *parser) isSymbol(s string) bool { return p.token.kind == symbol && p.token.source == s }

func (p *parser) expect(keyword string) error {
	if !p.isKeyword(keyword) {
		return p.unexpected(keyword)
	}
	return p.advance()
}

func (p *parser) unexpected(allowed string) error {
	return p.fail("found %s, allowed is %s", p.token.describe(), allowed)
}

func (p *parser) fail(format string, arguments ...any) error {
	return &Error{Offset: p.token.offset, Message: fmt.Errorf(format, arguments...).Error()}
}
