package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Path is a JSONPath in the dialect of Step Functions, which is that of the Java library it uses: a path that can lead
// to one place only gives the value there, and any other one an array, which may be empty. Members of an object are
// walked in the order of their names. A path that begins with $$ reads the context object.
type Path struct {
	text    string
	context bool
	steps   []pathStep
	length  bool // ends with .length()
}

type stepKind int

const (
	stepNames   stepKind = iota + 1 // .name, ['name'], ['a','b']
	stepIndices                     // [0], [-1], [0,2]
	stepSlice                       // [from:to:by]
	stepAll                         // .*, [*]
	stepFilter                      // [?(…)]
)

type pathStep struct {
	kind     stepKind
	descends bool // ..: at any depth below
	names    []string
	indices  []int
	from, to *int
	by       int
	filter   condition
}

// errAbsent means that a path leads nowhere.
var errAbsent = errors.New("no results for path")

// errTooMany means that a path leads to more places than anybody wants.
var errTooMany = errors.New("the path leads to too many places")

// maxFound bounds the places to which one step of a path leads: several .. in a row multiply them.
const maxFound = 100_000

// maxPathDepth bounds how deep filters and brackets nest, for the parser's stack.
const maxPathDepth = 50

// ParsePath reads a path.
func ParsePath(text string) (*Path, error) {
	p := &pathParser{text: text}
	path, err := p.whole()
	if err != nil {
		return nil, fmt.Errorf("invalid path '%s': %w", shortened(text), err)
	}
	return path, nil
}

func (p *Path) String() string { return p.text }

// definite says whether the path can lead to one place only.
func (p *Path) definite() bool {
	for i := range p.steps {
		s := &p.steps[i]
		switch {
		case s.descends, s.kind == stepAll, s.kind == stepSlice, s.kind == stepFilter, len(s.indices) > 1:
			return false
		case len(s.names) > 1 && i < len(p.steps)-1:
			return false
		}
	}
	return true
}

// reference says whether it is a reference path: names and single indices only, so that a value can be put there.
func (p *Path) reference() bool {
	if p.length {
		return false
	}
	for i := range p.steps {
		s := &p.steps[i]
		if s.descends || s.kind != stepNames && s.kind != stepIndices || len(s.names) > 1 || len(s.indices) > 1 {
			return false
		}
	}
	return true
}

// find returns what the path leads to; the result is shared with the value.
func (p *Path) find(root jsonValue) (jsonValue, error) {
	found := jsonArray{root}
	for i := range p.steps {
		if found = p.steps[i].follow(found, root, i == len(p.steps)-1); len(found) > maxFound {
			return nil, errTooMany
		}
	}
	if !p.definite() {
		if found == nil {
			found = jsonArray{}
		}
		if p.length {
			return number(int64(len(found))), nil
		}
		return found, nil
	}
	if len(found) == 0 {
		return nil, errAbsent
	}
	if p.length {
		switch v := found[0].(type) {
		case jsonArray:
			return number(int64(len(v))), nil
		case jsonObject:
			return number(int64(len(v))), nil
		}
		return nil, errAbsent
	}
	return found[0], nil
}

func (s *pathStep) follow(from jsonArray, root jsonValue, last bool) jsonArray {
	if s.descends {
		var all jsonArray
		for _, v := range from {
			all = appendTree(all, v)
		}
		if len(all) > maxFound {
			return all // not all of them: find refuses it
		}
		from = all
	}
	var to jsonArray
	for _, v := range from {
		if to = s.pick(to, v, root, last); len(to) > maxFound {
			break
		}
	}
	return to
}

// appendTree appends a value and all below it.
func appendTree(all jsonArray, v jsonValue) jsonArray {
	if len(all) > maxFound {
		return all
	}
	all = append(all, v)
	for _, child := range children(v) {
		all = appendTree(all, child)
	}
	return all
}

func children(v jsonValue) jsonArray {
	switch v := v.(type) {
	case jsonArray:
		return v
	case jsonObject:
		list := make(jsonArray, 0, len(v))
		for _, name := range sortedKeys(v) {
			list = append(list, v[name])
		}
		return list
	}
	return nil
}

func (s *pathStep) pick(to jsonArray, v, root jsonValue, last bool) jsonArray {
	switch s.kind {
	case stepNames:
		return s.pickNames(to, v, last)
	case stepIndices:
		array, _ := v.(jsonArray)
		for _, i := range s.indices {
			if i < 0 {
				i += len(array)
			}
			if i >= 0 && i < len(array) {
				to = append(to, array[i])
			}
		}
	case stepSlice:
		if array, ok := v.(jsonArray); ok {
			to = append(to, s.slice(array)...)
		}
	case stepAll:
		to = append(to, children(v)...)
	case stepFilter:
		candidates := children(v)
		if object, ok := v.(jsonObject); ok && !s.descends {
			candidates = jsonArray{object} // a filter on an object asks the object itself
		}
		for _, candidate := range candidates {
			if s.filter.holds(candidate, root) {
				to = append(to, candidate)
			}
		}
	}
	return to
}

func (s *pathStep) pickNames(to jsonArray, v jsonValue, last bool) jsonArray {
	object, ok := v.(jsonObject)
	if !ok {
		return to
	}
	if len(s.names) > 1 && last {
		chosen := jsonObject{}
		for _, name := range s.names {
			if member, ok := object[name]; ok {
				chosen[name] = member
			}
		}
		return append(to, chosen)
	}
	for _, name := range s.names {
		if member, ok := object[name]; ok {
			to = append(to, member)
		}
	}
	return to
}

func (s *pathStep) slice(array jsonArray) jsonArray {
	bound := func(at *int, otherwise int) int {
		if at == nil {
			return otherwise
		}
		i := *at
		if i < 0 {
			i += len(array)
		}
		return min(max(i, 0), len(array))
	}
	from, to := bound(s.from, 0), bound(s.to, len(array))
	var picked jsonArray
	for i := from; i < to; i += s.by {
		picked = append(picked, array[i])
		if s.by > len(array) {
			break // i could overflow
		}
	}
	return picked
}

// put returns the value with another one in the path's place; p is a reference path. Objects that are missing on the
// way are made.
func (p *Path) put(into, v jsonValue) (jsonValue, error) {
	return putAt(clone(into), p.steps, v)
}

var errCannotPut = errors.New("the path does not lead to a place where a value can be put")

func putAt(into jsonValue, steps []pathStep, v jsonValue) (jsonValue, error) {
	if len(steps) == 0 {
		return v, nil
	}
	s := steps[0]
	if s.kind == stepIndices {
		array, ok := into.(jsonArray)
		i := s.indices[0]
		if ok && i < 0 {
			i += len(array)
		}
		if !ok || i < 0 || i >= len(array) {
			return nil, errCannotPut
		}
		element, err := putAt(array[i], steps[1:], v)
		if err != nil {
			return nil, err
		}
		array[i] = element
		return array, nil
	}
	object, ok := into.(jsonObject)
	if !ok {
		return nil, errCannotPut
	}
	member, present := object[s.names[0]]
	if !present {
		member = jsonObject{}
	}
	member, err := putAt(member, steps[1:], v)
	if err != nil {
		return nil, err
	}
	object[s.names[0]] = member
	return object, nil
}

// pathParser reads a path, or the paths inside of a filter.
type pathParser struct {
	text  string
	at    int
	depth int
}

func (p *pathParser) whole() (*Path, error) {
	path := &Path{text: p.text}
	switch {
	case p.accept("$$"):
		path.context = true
	case p.accept("$"):
	default:
		return nil, errors.New("it must begin with $")
	}
	var err error
	if path.steps, path.length, err = p.steps(); err != nil {
		return nil, err
	}
	if p.at < len(p.text) {
		return nil, fmt.Errorf("unexpected '%s' at position %d", shortened(p.text[p.at:]), p.at+1)
	}
	return path, nil
}

// steps reads steps until something else comes.
func (p *pathParser) steps() (steps []pathStep, length bool, err error) {
	for p.at < len(p.text) {
		var s pathStep
		switch {
		case p.accept(".."):
			s, err = p.afterDots()
			s.descends = true
		case p.accept("."):
			if p.accept("length()") {
				return steps, true, nil
			}
			s, err = p.afterDot()
		case p.accept("["):
			s, err = p.bracket()
		default:
			return steps, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		steps = append(steps, s)
	}
	return steps, false, nil
}

func (p *pathParser) afterDots() (pathStep, error) {
	if p.accept("[") {
		return p.bracket()
	}
	return p.afterDot()
}

func (p *pathParser) afterDot() (pathStep, error) {
	if p.accept("*") {
		return pathStep{kind: stepAll}, nil
	}
	start := p.at
	for p.at < len(p.text) {
		r, size := utf8.DecodeRuneInString(p.text[p.at:])
		if !isNameRune(r) {
			break
		}
		p.at += size
	}
	if p.at == start {
		return pathStep{}, fmt.Errorf("a name is missing at position %d", start+1)
	}
	if p.at < len(p.text) && p.text[p.at] == '(' {
		return pathStep{}, fmt.Errorf("there is no function %s()", p.text[start:p.at])
	}
	return pathStep{kind: stepNames, names: []string{p.text[start:p.at]}}, nil
}

// isNameRune says what a name may hold behind a dot; other names stand in brackets.
func isNameRune(r rune) bool {
	return r == '_' || r == '-' || r == ':' || r == '$' || r == '@' || unicode.IsLetter(r) || unicode.IsDigit(r) ||
		r > unicode.MaxASCII && unicode.IsGraphic(r) && !unicode.IsSpace(r)
}

func (p *pathParser) bracket() (pathStep, error) {
	p.blanks()
	switch {
	case p.accept("*"):
		return pathStep{kind: stepAll}, p.close("]")
	case p.accept("?"):
		return p.filterStep()
	case p.peek() == '\'' || p.peek() == '"':
		return p.nameList()
	}
	return p.indexList()
}

func (p *pathParser) filterStep() (pathStep, error) {
	p.blanks()
	if !p.accept("(") {
		return pathStep{}, errors.New("a filter is written [?( … )]")
	}
	filter, err := p.either()
	if err != nil {
		return pathStep{}, err
	}
	if err := p.close(")"); err != nil {
		return pathStep{}, err
	}
	return pathStep{kind: stepFilter, filter: filter}, p.close("]")
}

func (p *pathParser) nameList() (pathStep, error) {
	s := pathStep{kind: stepNames}
	for {
		name, err := p.quoted()
		if err != nil {
			return s, err
		}
		s.names = append(s.names, name)
		p.blanks()
		if !p.accept(",") {
			return s, p.close("]")
		}
		p.blanks()
	}
}

func (p *pathParser) indexList() (pathStep, error) {
	s := pathStep{kind: stepIndices}
	first, err := p.index()
	if err != nil {
		return s, err
	}
	p.blanks()
	if p.accept(":") {
		return p.sliceFrom(first)
	}
	for {
		if first == nil {
			return s, fmt.Errorf("an index, a name in quotes, * or a filter is missing at position %d", p.at+1)
		}
		s.indices = append(s.indices, *first)
		p.blanks()
		if !p.accept(",") {
			return s, p.close("]")
		}
		p.blanks()
		if first, err = p.index(); err != nil {
			return s, err
		}
	}
}

func (p *pathParser) sliceFrom(from *int) (pathStep, error) {
	s := pathStep{kind: stepSlice, from: from, by: 1}
	var err error
	p.blanks()
	if s.to, err = p.index(); err != nil {
		return s, err
	}
	p.blanks()
	if p.accept(":") {
		p.blanks()
		by, err := p.index()
		if err != nil {
			return s, err
		}
		if by != nil {
			s.by = *by
		}
		if s.by < 1 {
			return s, errors.New("the step of a slice must be positive")
		}
	}
	return s, p.close("]")
}

// index reads a whole number, nil if there is none.
func (p *pathParser) index() (*int, error) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	if p.at == start {
		return nil, nil
	}
	i, err := strconv.Atoi(p.text[start:p.at])
	if err != nil || i > math.MaxInt32 || i < math.MinInt32 {
		return nil, fmt.Errorf("%s is no index", shortened(p.text[start:p.at]))
	}
	return &i, nil
}

// quoted reads a string in single or double quotes.
func (p *pathParser) quoted() (string, error) {
	quote := p.peek()
	if quote != '\'' && quote != '"' {
		return "", fmt.Errorf("a name in quotes is missing at position %d", p.at+1)
	}
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '\\' && i+1 < len(p.text):
			i++
			b.WriteByte(p.text[i])
		case c == quote:
			p.at = i + 1
			return b.String(), nil
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("the quote at position %d is not closed", p.at+1)
}

func (p *pathParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *pathParser) accept(token string) bool {
	if !strings.HasPrefix(p.text[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *pathParser) close(token string) error {
	p.blanks()
	if !p.accept(token) {
		return fmt.Errorf("'%s' is missing at position %d", token, p.at+1)
	}
	return nil
}

func (p *pathParser) blanks() {
	for p.peek() == ' ' {
		p.at++
	}
}

// A condition is what a filter asks of a value.
type condition interface {
	holds(v, root jsonValue) bool
}

type (
	anyOf      []condition
	allOf      []condition
	not        struct{ condition }
	comparison struct {
		left, right operand
		operator    string
	}
	existence struct{ operand }
	// operand is a literal, or a path from the candidate (@) or from the root ($).
	operand struct {
		literal  jsonValue
		path     *Path
		fromRoot bool
	}
)

func (c anyOf) holds(v, root jsonValue) bool {
	for _, one := range c {
		if one.holds(v, root) {
			return true
		}
	}
	return false
}

func (c allOf) holds(v, root jsonValue) bool {
	for _, one := range c {
		if !one.holds(v, root) {
			return false
		}
	}
	return true
}

func (c not) holds(v, root jsonValue) bool { return !c.condition.holds(v, root) }

func (c existence) holds(v, root jsonValue) bool {
	found, err := c.find(v, root)
	if list, ok := found.(jsonArray); ok && !c.path.definite() {
		return len(list) > 0
	}
	return err == nil
}

func (c comparison) holds(v, root jsonValue) bool {
	left, err := c.left.find(v, root)
	if err != nil {
		return false
	}
	right, err := c.right.find(v, root)
	if err != nil {
		return false
	}
	switch c.operator {
	case "==":
		return equal(left, right)
	case "!=":
		return !equal(left, right)
	}
	order, comparable := compare(left, right)
	return comparable && orderHolds(c.operator, order)
}

// compare orders two numbers, or two strings.
func compare(a, b jsonValue) (order int, comparable bool) {
	switch a := a.(type) {
	case json.Number:
		if b, ok := b.(json.Number); ok {
			return compareNumbers(a, b), true
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), true
		}
	}
	return 0, false
}

func orderHolds(operator string, order int) bool {
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (o operand) find(v, root jsonValue) (jsonValue, error) {
	switch {
	case o.path == nil:
		return o.literal, nil
	case o.fromRoot:
		return o.path.find(root)
	}
	return o.path.find(v)
}

func (p *pathParser) either() (condition, error) {
	if p.depth++; p.depth > maxPathDepth {
		return nil, errors.New("it is nested too deeply")
	}
	defer func() { p.depth-- }()
	return p.joined("||", p.both, func(list []condition) condition { return anyOf(list) })
}

func (p *pathParser) both() (condition, error) {
	return p.joined("&&", p.single, func(list []condition) condition { return allOf(list) })
}

func (p *pathParser) joined(
	operator string, next func() (condition, error), join func([]condition) condition,
) (condition, error) {
	var list []condition
	for {
		c, err := next()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
		p.blanks()
		if !p.accept(operator) {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return join(list), nil
}

func (p *pathParser) single() (condition, error) {
	p.blanks()
	switch {
	case strings.HasPrefix(p.text[p.at:], "!") && !strings.HasPrefix(p.text[p.at:], "!="):
		p.at++
		if p.depth++; p.depth > maxPathDepth {
			return nil, errors.New("it is nested too deeply")
		}
		defer func() { p.depth-- }()
		c, err := p.single()
		return not{c}, err
	case p.accept("("):
		c, err := p.either()
		if err != nil {
			return nil, err
		}
		return c, p.close(")")
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	p.blanks()
	for _, operator := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if p.accept(operator) {
			right, err := p.operand()
			return comparison{left: left, right: right, operator: operator}, err
		}
	}
	if left.path == nil {
		return nil, fmt.Errorf("a comparison is missing at position %d; there are ==, !=, <, <=, > and >=", p.at+1)
	}
	return existence{left}, nil
}

func (p *pathParser) operand() (operand, error) {
	p.blanks()
	start := p.at
	switch {
	case p.accept("@"), p.accept("$"):
		if p.depth++; p.depth > maxPathDepth {
			return operand{}, errors.New("it is nested too deeply")
		}
		defer func() { p.depth-- }()
		steps, length, err := p.steps()
		return operand{
			path:     &Path{text: p.text[start:p.at], steps: steps, length: length},
			fromRoot: p.text[start] == '$',
		}, err
	case p.peek() == '\'', p.peek() == '"':
		text, err := p.quoted()
		return operand{literal: text}, err
	case p.accept("true"):
		return operand{literal: true}, nil
	case p.accept("false"):
		return operand{literal: false}, nil
	case p.accept("null"):
		return operand{}, nil
	}
	n, ok := p.number()
	if !ok {
		return operand{}, fmt.Errorf("a path or a literal is missing at position %d", start+1)
	}
	return operand{literal: n}, nil
}

// number reads a number as JSON writes it.
func (p *pathParser) number() (json.Number, bool) {
	end := p.at
	for end < len(p.text) && strings.IndexByte("+-.0123456789eE", p.text[end]) >= 0 {
		end++
	}
	text := p.text[p.at:end]
	v, err := decodeValue([]byte(text))
	n, ok := v.(json.Number)
	if err != nil || !ok {
		return "", false
	}
	p.at = end
	return n, true
}

// shortened keeps messages short.
func shortened(text string) string {
	const longest = 256
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
