package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// choice is one rule of a Choice state.
type choice struct {
	next string
	rule
}

// rule says yes or no of an input.
type rule struct {
	and, or []rule
	not     *rule
	// Otherwise a comparison of what variable leads to, with a constant or with what path leads to.
	variable *Path
	operator string
	compare  comparator
	constant jsonValue
	path     *Path
}

// comparator compares a variable's value with another one; a value of the wrong type does not match.
type comparator struct {
	// operand says whether a constant fits; expects names what does.
	operand func(v jsonValue) bool
	expects string
	matches func(v, operand jsonValue) bool
}

var (
	texts      = func(v jsonValue) bool { _, ok := v.(string); return ok }
	numbers    = func(v jsonValue) bool { _, ok := v.(json.Number); return ok }
	flags      = func(v jsonValue) bool { _, ok := v.(bool); return ok }
	timestamps = func(v jsonValue) bool { text, _ := v.(string); _, err := parseTimestamp(text); return err == nil }
)

func ordered(
	family func(jsonValue) bool, order func(a, b jsonValue) int, holds func(int) bool,
) func(v, operand jsonValue) bool {
	return func(v, operand jsonValue) bool { return family(v) && family(operand) && holds(order(v, operand)) }
}

func orderTexts(a, b jsonValue) int   { return strings.Compare(a.(string), b.(string)) }
func orderNumbers(a, b jsonValue) int { return compareNumbers(a.(json.Number), b.(json.Number)) }
func orderTimes(a, b jsonValue) int {
	x, _ := parseTimestamp(a.(string))
	y, _ := parseTimestamp(b.(string))
	return x.Compare(y)
}

// tests are the Is… operators: whether a value is of a kind, or is not.
var tests = map[string]func(v jsonValue) bool{
	"IsNull":      func(v jsonValue) bool { return v == nil },
	"IsNumeric":   numbers,
	"IsString":    texts,
	"IsBoolean":   flags,
	"IsTimestamp": timestamps,
}

const isPresent = "IsPresent"

// comparators are all operators but IsPresent, by name.
var comparators = allComparators()

func allComparators() map[string]comparator {
	all := map[string]comparator{
		"BooleanEquals": {flags, "a boolean", func(v, operand jsonValue) bool { return flags(v) && v == operand }},
		"StringMatches": {texts, "a string", func(v, operand jsonValue) bool {
			text, ok := v.(string)
			pattern, isText := operand.(string)
			return ok && isText && wildcardMatches(pattern, text)
		}},
	}
	for name, test := range tests {
		all[name] = comparator{flags, "a boolean", func(v, operand jsonValue) bool { return test(v) == operand }}
	}
	for _, family := range []struct {
		name, expects string
		is            func(jsonValue) bool
		order         func(a, b jsonValue) int
	}{
		{"String", "a string", texts, orderTexts},
		{"Numeric", "a number", numbers, orderNumbers},
		{"Timestamp", "a timestamp", timestamps, orderTimes},
	} {
		for suffix, holds := range map[string]func(int) bool{
			"Equals":            func(order int) bool { return order == 0 },
			"LessThan":          func(order int) bool { return order < 0 },
			"LessThanEquals":    func(order int) bool { return order <= 0 },
			"GreaterThan":       func(order int) bool { return order > 0 },
			"GreaterThanEquals": func(order int) bool { return order >= 0 },
		} {
			all[family.name+suffix] = comparator{family.is, family.expects, ordered(family.is, family.order, holds)}
		}
	}
	return all
}

// takesPath says whether an operator has a form that ends in Path.
func takesPath(operator string) bool {
	return !strings.HasPrefix(operator, "Is") && operator != "StringMatches"
}

func (p *parser) choiceState(s *state, o *object) {
	s.otherwise, _ = o.text("Default")
	for _, one := range o.atLeastOne("Choices", "choice") {
		_, _ = one.text("Comment")
		var c choice
		c.next, _ = one.required("Next")
		c.rule = p.rule(one)
		one.finish()
		s.choices = append(s.choices, c)
	}
}

func (p *parser) rule(o *object) rule {
	var r rule
	if p.depth++; p.depth > maxNesting {
		p.schema(o.at, "Rules are nested deeper than %d", maxNesting)
		return r
	}
	defer func() { p.depth-- }()
	var operators []string
	for _, name := range sortedKeys(o.members) {
		if isOperator(name) {
			operators = append(operators, name)
		}
	}
	if len(operators) != 1 {
		p.schema(o.at, "A rule must have exactly one comparison, And, Or or Not; this one has %d", len(operators))
		for _, name := range operators {
			o.read[name] = true
		}
		o.read["Variable"] = true
		return r
	}
	switch r.operator = operators[0]; r.operator {
	case "And":
		r.and = o.rules("And")
	case "Or":
		r.or = o.rules("Or")
	case "Not":
		if child, ok := o.child("Not"); ok {
			inner := p.rule(child)
			child.finish()
			r.not = &inner
		}
	default:
		p.comparison(&r, o)
	}
	return r
}

// isOperator reports whether a member of a rule is what the rule does.
func isOperator(name string) bool {
	switch name {
	case "And", "Or", "Not", isPresent:
		return true
	}
	bare := strings.TrimSuffix(name, "Path")
	_, known := comparators[bare]
	return known && (bare == name || takesPath(bare))
}

func (o *object) rules(name string) []rule {
	var list []rule
	for _, one := range o.objects(name) {
		list = append(list, o.rule(one))
		one.finish()
	}
	if members, ok := o.list(name); ok && len(members) == 0 {
		o.schema(o.place(name), "There must be at least one rule")
	}
	return list
}

func (p *parser) comparison(r *rule, o *object) {
	if _, ok := o.required("Variable"); ok {
		r.variable = o.path("Variable")
	}
	field := r.operator
	if bare, ok := strings.CutSuffix(field, "Path"); ok {
		r.compare, r.path = comparators[bare], o.path(field)
		return
	}
	v, _ := o.get(field)
	if field == isPresent {
		r.compare = comparator{operand: flags, expects: "a boolean"}
	} else {
		r.compare = comparators[field]
	}
	if !r.compare.operand(v) {
		p.schema(o.place(field), "The value must be %s", r.compare.expects)
	}
	r.constant = v
}

// holds asks the rule.
func (r *rule) holds(s *scope) (bool, *failure) {
	switch {
	case r.not != nil:
		holds, failed := r.not.holds(s)
		return !holds, failed
	case r.and != nil:
		return eachHolds(r.and, s, true)
	case r.or != nil:
		return eachHolds(r.or, s, false)
	}
	v, err := r.variable.in(s)
	if r.operator == isPresent {
		// A path that can lead to several places always leads to an array.
		return (err == nil) == r.constant, nil
	}
	if err != nil {
		return false, choiceFailure(r.variable, err)
	}
	operand := r.constant
	if r.path != nil {
		if operand, err = r.path.in(s); err != nil {
			return false, choiceFailure(r.path, err)
		}
	}
	return r.compare.matches(v, operand), nil
}

// eachHolds is And (while they hold) or Or (until one does).
func eachHolds(rules []rule, s *scope, while bool) (bool, *failure) {
	for i := range rules {
		holds, failed := rules[i].holds(s)
		if failed != nil || holds != while {
			return !while, failed
		}
	}
	return while, nil
}

func choiceFailure(path *Path, err error) *failure {
	if errors.Is(err, errAbsent) {
		return broken("Invalid path '%s': The choice state's condition path references an invalid value.", path)
	}
	return broken("Invalid path '%s': %v", path, err)
}

// choose finds the state that follows.
func (s *state) choose(sc *scope) (string, *failure) {
	for i := range s.choices {
		holds, failed := s.choices[i].holds(sc)
		if failed != nil {
			return "", failed
		}
		if holds {
			return s.choices[i].next, nil
		}
	}
	if s.otherwise == "" {
		return "", namedFailure(ErrorNoChoiceMatched, "No choice matched, and there is no default")
	}
	return s.otherwise, nil
}

// wildcardMatches compares with a pattern in which * stands for anything, and \ takes the meaning from * and \.
func wildcardMatches(pattern, text string) bool {
	type token struct {
		char byte
		any  bool
	}
	var tokens []token
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern) && (pattern[i+1] == '*' || pattern[i+1] == '\\'):
			i++
			tokens = append(tokens, token{char: pattern[i]})
		case pattern[i] == '*':
			tokens = append(tokens, token{any: true})
		default:
			tokens = append(tokens, token{char: pattern[i]})
		}
	}
	// Where a * has taken too little, it takes one more: only the last one passed need be tried again.
	at, t, star, taken := 0, 0, -1, 0
	for at < len(text) {
		switch {
		case t < len(tokens) && tokens[t].any:
			star, taken = t, at
			t++
		case t < len(tokens) && tokens[t].char == text[at]:
			t++
			at++
		case star >= 0:
			taken++
			at, t = taken, star+1
		default:
			return false
		}
	}
	for t < len(tokens) && tokens[t].any {
		t++
	}
	return t == len(tokens)
}

// parseTimestamp reads RFC 3339 with its capital T and Z: date, time and zone must be there.
func parseTimestamp(text string) (time.Time, error) {
	if !timestampPattern.MatchString(text) {
		return time.Time{}, fmt.Errorf("'%s' is no timestamp", shortened(text))
	}
	return time.Parse(time.RFC3339Nano, text)
}
