package asl

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"
)

const (
	// maxCalls is how deep calls of intrinsic functions may nest.
	maxCalls = 10
	// maxRange is how many elements States.ArrayRange makes at most.
	maxRange = 1000
	// maxEncoded is the longest text for the Base64 and hash functions.
	maxEncoded = 10_000
)

// An expression is what stands behind a member whose name ends in .$: a path, or a call of an intrinsic function.
type expression struct {
	text    string
	path    *Path
	call    *intrinsic
	literal jsonValue // an argument that is neither
}

type intrinsic struct {
	name      string
	function  function
	arguments []expression
}

// function computes a call; the arguments are shared with the state's data and must not be changed.
type function struct {
	least, most int // arguments; most < 0: any number
	compute     func(s *scope, arguments jsonArray) (jsonValue, error)
}

// functions are all intrinsic functions.
var functions = map[string]function{
	"States.Format":         {1, -1, format},
	"States.StringToJson":   {1, 1, stringToJSON},
	"States.JsonToString":   {1, 1, jsonToString},
	"States.Array":          {0, -1, array},
	"States.ArrayPartition": {2, 2, arrayPartition},
	"States.ArrayContains":  {2, 2, arrayContains},
	"States.ArrayRange":     {3, 3, arrayRange},
	"States.ArrayGetItem":   {2, 2, arrayGetItem},
	"States.ArrayLength":    {1, 1, arrayLength},
	"States.ArrayUnique":    {1, 1, arrayUnique},
	"States.Base64Encode":   {1, 1, base64Encode},
	"States.Base64Decode":   {1, 1, base64Decode},
	"States.Hash":           {2, 2, hash},
	"States.JsonMerge":      {3, 3, jsonMerge},
	"States.MathRandom":     {2, 3, mathRandom},
	"States.MathAdd":        {2, 2, mathAdd},
	"States.StringSplit":    {2, 2, stringSplit},
	"States.UUID":           {0, 0, newUUID},
}

// parseExpression reads a path or a call.
func parseExpression(text string) (*expression, error) {
	if strings.HasPrefix(text, "$") {
		path, err := ParsePath(text)
		if err != nil {
			return nil, err
		}
		return &expression{text: text, path: path}, nil
	}
	p := &callParser{text: text}
	e, err := p.call(1)
	if err == nil && p.at < len(text) {
		err = fmt.Errorf("unexpected '%s' at position %d", shortened(text[p.at:]), p.at+1)
	}
	if err != nil {
		return nil, fmt.Errorf("'%s' is neither a path nor an intrinsic function: %w", shortened(text), err)
	}
	e.text = text
	return &e, nil
}

type callParser struct {
	text string
	at   int
}

func (p *callParser) call(depth int) (expression, error) {
	if depth > maxCalls {
		return expression{}, fmt.Errorf("calls nest deeper than %d", maxCalls)
	}
	start := p.at
	for p.at < len(p.text) && (p.text[p.at] == '.' || p.text[p.at] < unicode.MaxASCII && (unicode.IsLetter(rune(p.text[p.at])) || unicode.IsDigit(rune(p.text[p.at])))) {
		p.at++
	}
	c := &intrinsic{name: p.text[start:p.at]}
	var known bool
	if c.function, known = functions[c.name]; !known {
		return expression{}, fmt.Errorf("there is no function '%s'", shortened(c.name))
	}
	p.blanks()
	if p.next() != '(' {
		return expression{}, fmt.Errorf("'(' is missing behind %s", c.name)
	}
	p.at++
	if err := p.arguments(c, depth); err != nil {
		return expression{}, err
	}
	if n := len(c.arguments); n < c.function.least || c.function.most >= 0 && n > c.function.most {
		return expression{}, fmt.Errorf("%s takes %s, not %d", c.name, c.function.arity(), n)
	}
	return expression{text: p.text[start:p.at], call: c}, nil
}

func (f function) arity() string {
	switch {
	case f.most < 0:
		return fmt.Sprintf("%d arguments or more", f.least)
	case f.least == f.most:
		return fmt.Sprintf("%d arguments", f.least)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

func (p *callParser) arguments(c *intrinsic, depth int) error {
	p.blanks()
	if p.next() == ')' {
		p.at++
		return nil
	}
	for {
		argument, err := p.argument(depth)
		if err != nil {
			return err
		}
		c.arguments = append(c.arguments, argument)
		p.blanks()
		switch p.next() {
		case ',':
			p.at++
			p.blanks()
		case ')':
			p.at++
			return nil
		default:
			return fmt.Errorf("',' or ')' is missing at position %d", p.at+1)
		}
	}
}

func (p *callParser) argument(depth int) (expression, error) {
	switch c := p.next(); {
	case c == '\'':
		text, err := p.quoted()
		return expression{literal: text}, err
	case c == '$':
		text := p.pathText()
		path, err := ParsePath(text)
		return expression{text: text, path: path}, err
	case strings.HasPrefix(p.text[p.at:], "States."):
		return p.call(depth + 1)
	}
	end := p.at
	for end < len(p.text) && p.text[end] != ',' && p.text[end] != ')' && p.text[end] != ' ' {
		end++
	}
	v, err := decodeValue([]byte(p.text[p.at:end]))
	if err != nil {
		return expression{}, fmt.Errorf("'%s' is no argument", shortened(p.text[p.at:end]))
	}
	switch v.(type) {
	case json.Number, bool, nil:
		p.at = end
		return expression{literal: v}, nil
	}
	return expression{}, fmt.Errorf(
		"'%s' is no argument: strings stand in single quotes, arrays and objects come from paths",
		shortened(p.text[p.at:end]),
	)
}

// pathText is a path up to the comma or bracket that ends the argument.
func (p *callParser) pathText() string {
	start, depth := p.at, 0
	var quote byte
	for ; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case quote != 0:
			switch c {
			case '\\':
				p.at++
			case quote:
				quote = 0
			}
		case depth > 0 && (c == '\'' || c == '"'):
			quote = c
		case c == '[', c == '(':
			depth++
		case depth > 0 && (c == ']' || c == ')'):
			depth--
		case depth == 0 && (c == ',' || c == ')'):
			return strings.TrimRight(p.text[start:p.at], " ")
		}
	}
	p.at = len(p.text)
	return p.text[start:]
}

// quoted reads a string in single quotes. \', \{, \} and \\ are escapes; the curly ones are left for States.Format.
func (p *callParser) quoted() (string, error) {
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '\\' && i+1 < len(p.text):
			i++
			switch p.text[i] {
			case '\'':
				b.WriteByte('\'')
			case '\\', '{', '}':
				b.WriteByte('\\')
				b.WriteByte(p.text[i])
			default:
				return "", fmt.Errorf(`'\%c' is no escape: there are \', \{, \} and \\`, p.text[i])
			}
		case c == '\'':
			p.at = i + 1
			return b.String(), nil
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("the quote at position %d is not closed", p.at+1)
}

// unescape resolves the escapes that quoted has left.
func unescape(text string) string {
	return strings.NewReplacer(`\\`, `\`, `\{`, `{`, `\}`, `}`).Replace(text)
}

func (p *callParser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *callParser) blanks() {
	for p.next() == ' ' {
		p.at++
	}
}

// scope is what an expression can see.
type scope struct {
	input, context jsonValue
	random         *source
}

// source gives numbers that look random and follow from its seed.
type source struct {
	seed  string
	drawn uint64
}

func (s *source) bytes() [32]byte {
	s.drawn++
	return sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", s.seed, s.drawn))
}

// below is a number from 0 to n-1.
func (s *source) below(n uint64) uint64 {
	b := s.bytes()
	high := new(big.Int).SetBytes(b[:])
	return high.Mod(high, new(big.Int).SetUint64(n)).Uint64()
}

// fraction is a number from 0 up to, but not including, 1.
func (s *source) fraction() float64 { return float64(s.below(1<<53)) / (1 << 53) }

// value computes an expression. Its error is errAbsent, or says what is wrong with a call.
func (e *expression) value(s *scope) (jsonValue, error) {
	switch {
	case e.path != nil:
		return e.path.in(s)
	case e.call == nil:
		return e.literal, nil
	}
	c := e.call
	arguments := make(jsonArray, len(c.arguments))
	for i := range c.arguments {
		var err error
		if arguments[i], err = c.arguments[i].value(s); err != nil {
			return nil, err
		}
		// Only States.Format tells \{ from {, and only in its template.
		if text, ok := c.arguments[i].literal.(string); ok && (i > 0 || c.name != "States.Format") {
			arguments[i] = unescape(text)
		}
	}
	v, err := c.function.compute(s, arguments)
	if err != nil {
		return nil, &callError{fmt.Errorf("%s: %w", c.name, err)}
	}
	return v, nil
}

// callError is why an intrinsic function failed.
type callError struct{ error }

func (e *callError) Unwrap() error { return e.error }

// pathError is an argument's path that leads nowhere.
type pathError struct {
	path *Path
	err  error
}

func (e *pathError) Error() string { return e.err.Error() + ": " + e.path.text }
func (e *pathError) Unwrap() error { return e.err }

// in finds the path in the input, or in the context object.
func (p *Path) in(s *scope) (jsonValue, error) {
	root := s.input
	if p.context {
		root = s.context
	}
	v, err := p.find(root)
	if err != nil {
		return nil, &pathError{p, err}
	}
	return v, nil
}

func wantText(v jsonValue, what string) (string, error) {
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s must be a string, not %s", what, typeName(v))
	}
	return text, nil
}

func wantArray(v jsonValue) (jsonArray, error) {
	list, ok := v.(jsonArray)
	if !ok {
		return nil, fmt.Errorf("the first argument must be an array, not %s", typeName(v))
	}
	return list, nil
}

// wantWhole is a number, rounded half up as Step Functions does.
func wantWhole(v jsonValue, what string) (int64, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%s must be a number, not %s", what, typeName(v))
	}
	r := rational(n)
	r.Add(r, big.NewRat(1, 2))
	floor := new(big.Int).Div(r.Num(), r.Denom()) // Euclidean; denominators are positive: rounds down
	if !floor.IsInt64() {
		return 0, fmt.Errorf("%s is out of range: %s", what, shortened(string(n)))
	}
	return floor.Int64(), nil
}

func format(_ *scope, arguments jsonArray) (jsonValue, error) {
	template, err := wantText(arguments[0], "the template")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	used := 1
	for i := 0; i < len(template); i++ {
		switch c := template[i]; {
		case c == '\\' && i+1 < len(template) && strings.IndexByte(`\{}`, template[i+1]) >= 0:
			i++
			b.WriteByte(template[i])
		case c == '{':
			if i+1 == len(template) || template[i+1] != '}' {
				return nil, errors.New(`the template holds a { without its }; written itself, it is \{`)
			}
			if used == len(arguments) {
				return nil, errors.New("the template has more {} than there are arguments")
			}
			b.WriteString(formatted(arguments[used]))
			used++
			i++
		case c == '}':
			return nil, errors.New(`the template holds a } without its {; written itself, it is \}`)
		default:
			b.WriteByte(c)
		}
	}
	if used < len(arguments) {
		return nil, errors.New("the template has fewer {} than there are arguments")
	}
	return b.String(), nil
}

// formatted writes strings without quotes, and objects and arrays as Java does: Step Functions does so.
func formatted(v jsonValue) string {
	switch v := v.(type) {
	case string:
		return v
	case jsonArray:
		parts := make([]string, len(v))
		for i, element := range v {
			parts[i] = formatted(element)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case jsonObject:
		parts := make([]string, 0, len(v))
		for _, name := range sortedKeys(v) {
			parts = append(parts, name+"="+formatted(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return string(encodeValue(v))
}

func stringToJSON(_ *scope, arguments jsonArray) (jsonValue, error) {
	text, err := wantText(arguments[0], "the argument")
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	return decodeValue([]byte(text))
}

func jsonToString(_ *scope, arguments jsonArray) (jsonValue, error) {
	return string(encodeValue(arguments[0])), nil
}

func array(_ *scope, arguments jsonArray) (jsonValue, error) { return arguments, nil }

func arrayPartition(_ *scope, arguments jsonArray) (jsonValue, error) {
	list, err := wantArray(arguments[0])
	if err != nil {
		return nil, err
	}
	size, err := wantWhole(arguments[1], "the chunk size")
	if err != nil {
		return nil, err
	}
	if size < 1 {
		return nil, fmt.Errorf("the chunk size must be positive, not %d", size)
	}
	chunks := jsonArray{}
	for chunk := range slices.Chunk(list, int(min(size, int64(len(list)+1)))) {
		chunks = append(chunks, chunk)
	}
	return chunks, nil
}

func arrayContains(_ *scope, arguments jsonArray) (jsonValue, error) {
	list, err := wantArray(arguments[0])
	if err != nil {
		return nil, err
	}
	return slices.ContainsFunc(list, func(v jsonValue) bool { return equal(v, arguments[1]) }), nil
}

func arrayRange(_ *scope, arguments jsonArray) (jsonValue, error) {
	var bounds [3]int64
	for i, what := range []string{"the first element", "the last element", "the step"} {
		var err error
		if bounds[i], err = wantWhole(arguments[i], what); err != nil {
			return nil, err
		}
	}
	first, last, step := bounds[0], bounds[1], bounds[2]
	if step == 0 {
		return nil, errors.New("the step must not be 0")
	}
	list := jsonArray{}
	for n := first; step > 0 && n <= last || step < 0 && n >= last; n += step {
		if len(list) == maxRange {
			return nil, fmt.Errorf("the range has more than %d elements", maxRange)
		}
		list = append(list, number(n))
		if step > 0 && n > math.MaxInt64-step || step < 0 && n < math.MinInt64-step {
			break
		}
	}
	return list, nil
}

func arrayGetItem(_ *scope, arguments jsonArray) (jsonValue, error) {
	list, err := wantArray(arguments[0])
	if err != nil {
		return nil, err
	}
	i, err := wantWhole(arguments[1], "the index")
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= int64(len(list)) {
		return nil, fmt.Errorf("the index %d is outside of the array of %d", i, len(list))
	}
	return list[i], nil
}

func arrayLength(_ *scope, arguments jsonArray) (jsonValue, error) {
	list, err := wantArray(arguments[0])
	if err != nil {
		return nil, err
	}
	return number(int64(len(list))), nil
}

func arrayUnique(_ *scope, arguments jsonArray) (jsonValue, error) {
	list, err := wantArray(arguments[0])
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	unique := jsonArray{}
	for _, v := range list {
		if key := string(encodeValue(canonical(v))); !seen[key] {
			seen[key] = true
			unique = append(unique, v)
		}
	}
	return unique, nil
}

// canonical makes equal values encode alike.
func canonical(v jsonValue) jsonValue {
	switch v := v.(type) {
	case json.Number:
		return jsonObject{"number": rational(v).RatString()}
	case jsonArray:
		c := make(jsonArray, len(v))
		for i := range v {
			c[i] = canonical(v[i])
		}
		return c
	case jsonObject:
		members := make(jsonArray, 0, 2*len(v))
		for _, name := range sortedKeys(v) {
			members = append(members, name, canonical(v[name]))
		}
		return jsonObject{"object": members}
	}
	return v
}

func base64Encode(_ *scope, arguments jsonArray) (jsonValue, error) {
	text, err := boundedText(arguments[0])
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString([]byte(text)), nil
}

func base64Decode(_ *scope, arguments jsonArray) (jsonValue, error) {
	text, err := boundedText(arguments[0])
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("the argument is no Base64")
	}
	return strings.ToValidUTF8(string(data), "\uFFFD"), nil
}

func boundedText(v jsonValue) (string, error) {
	text, err := wantText(v, "the argument")
	if err == nil && len(text) > maxEncoded {
		err = fmt.Errorf("the argument is longer than %d characters", maxEncoded)
	}
	return text, err
}

func hash(_ *scope, arguments jsonArray) (jsonValue, error) {
	text, ok := arguments[0].(string)
	if !ok {
		text = string(encodeValue(arguments[0]))
	}
	if len(text) > maxEncoded {
		return nil, fmt.Errorf("the data is longer than %d characters", maxEncoded)
	}
	algorithm, err := wantText(arguments[1], "the algorithm")
	if err != nil {
		return nil, err
	}
	var sum []byte
	switch data := []byte(text); algorithm {
	case "MD5":
		s := md5.Sum(data)
		sum = s[:]
	case "SHA-1":
		s := sha1.Sum(data)
		sum = s[:]
	case "SHA-256":
		s := sha256.Sum256(data)
		sum = s[:]
	case "SHA-384":
		s := sha512.Sum384(data)
		sum = s[:]
	case "SHA-512":
		s := sha512.Sum512(data)
		sum = s[:]
	default:
		return nil, fmt.Errorf(
			"there is no algorithm %s: there are MD5, SHA-1, SHA-256, SHA-384 and SHA-512", shortened(algorithm),
		)
	}
	return hex.EncodeToString(sum), nil
}

func jsonMerge(_ *scope, arguments jsonArray) (jsonValue, error) {
	deep, ok := arguments[2].(bool)
	switch {
	case !ok:
		return nil, fmt.Errorf("the third argument must be a boolean, not %s", typeName(arguments[2]))
	case deep:
		return nil, errors.New("deep merging is not supported: the third argument must be false")
	}
	merged := jsonObject{}
	for i := range 2 {
		object, ok := arguments[i].(jsonObject)
		if !ok {
			return nil, fmt.Errorf("what is merged must be objects, not %s", typeName(arguments[i]))
		}
		for name, member := range object {
			merged[name] = member
		}
	}
	return merged, nil
}

func mathRandom(s *scope, arguments jsonArray) (jsonValue, error) {
	from, err := wantWhole(arguments[0], "the start")
	if err != nil {
		return nil, err
	}
	to, err := wantWhole(arguments[1], "the end")
	if err != nil {
		return nil, err
	}
	if from >= to {
		return nil, fmt.Errorf("the start %d must be less than the end %d", from, to)
	}
	random := s.random
	if len(arguments) == 3 {
		seed, err := wantWhole(arguments[2], "the seed")
		if err != nil {
			return nil, err
		}
		random = &source{seed: fmt.Sprint("seed ", seed)}
	}
	return number(from + int64(random.below(uint64(to)-uint64(from)))), nil
}

func mathAdd(_ *scope, arguments jsonArray) (jsonValue, error) {
	a, err := wantWhole(arguments[0], "the first argument")
	if err != nil {
		return nil, err
	}
	b, err := wantWhole(arguments[1], "the second argument")
	if err != nil {
		return nil, err
	}
	sum := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
	if !sum.IsInt64() {
		return nil, errors.New("the sum is out of range")
	}
	return number(sum.Int64()), nil
}

func stringSplit(_ *scope, arguments jsonArray) (jsonValue, error) {
	text, err := wantText(arguments[0], "the text")
	if err != nil {
		return nil, err
	}
	delimiters, err := wantText(arguments[1], "the delimiter")
	if err != nil {
		return nil, err
	}
	parts := jsonArray{}
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(delimiters, r) }) {
		parts = append(parts, part)
	}
	return parts, nil
}

func newUUID(s *scope, _ jsonArray) (jsonValue, error) {
	random := s.random.bytes()
	id := uuid.UUID(random[:16])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4
	return id.String(), nil
}
