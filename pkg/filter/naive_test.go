package filter_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// scenario is a random filter with random data, evaluated here row by row and value by value, as the language is
// described and with nothing of package filter.
type scenario struct {
	target      schema.Type
	schemas     filter.Schemas
	ids         []string
	records     map[string]map[string]any
	subject     filter.Subject
	userEvents  map[string][]string
	expressions []naiveExpression
	text        string
	values      map[string]string
	table       *filter.Table
	// counted are the event types that count with each row.
	counted map[string][]string
}

type naiveExpression struct {
	include bool
	missing bool
	where   [][]naivePredicate
	onlyIf  []naivePredicate
}

type naivePredicate struct {
	field   schema.Field
	events  bool
	id      bool
	op      string
	texts   []string // strings, or numbers as they are written
	current *schema.Field
}

// dice draws choices from the fuzzer's bytes, and goes on at random, but the same each time, behind their end.
type dice struct {
	data   []byte
	random *rand.Rand
}

func newDice(data []byte) *dice {
	seed := uint64(len(data))
	for _, b := range data {
		seed = seed*1099511628211 + uint64(b)
	}
	return &dice{data: data, random: rand.New(rand.NewPCG(seed, 0))}
}

func (d *dice) below(n int) int {
	if len(d.data) == 0 {
		return d.random.IntN(n)
	}
	v := int(d.data[0])
	d.data = d.data[1:]
	if n > 256 && len(d.data) > 0 {
		v = v<<8 | int(d.data[0])
		d.data = d.data[1:]
	}
	return v % n
}

func (d *dice) chance(oneIn int) bool { return d.below(oneIn) == 0 }

func pick[T any](d *dice, list []T) T { return list[d.below(len(list))] }

var (
	somePlain   = []string{"a", "b", "A", "ab", "x y", "é", `q"`, `b\`, "'", "c, d", "AND", "$p", "7", "a|b", "", "long " + strings.Repeat("z", 30)}
	someParts   = []string{"a", "b", "A", "c d", "é", `q"`, "", "7", "c, d"}
	someInts    = []int64{0, 1, -1, 2, 7, 1970, math.MaxInt32, math.MinInt32}
	someLongs   = []int64{0, 1, -1, 7, 1 << 53, 1<<53 + 1, 1<<53 - 1, -1<<53 - 1, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1}
	someReals   = []float64{0, math.Copysign(0, -1), 0.1, 1, 1.5, -1.5, 7, 1 << 53, 1e18, 1e300, -1e-300, 5e-324, math.MaxFloat64, math.MinInt64, math.MaxInt64}
	someNumbers = []string{"0", "-0", "0.1", "1", "1.0", "+1", "15e-1", "1.5", "-1.5", "7", "1970", "0.1000000000000000055", "9007199254740992", "9007199254740993",
		"9007199254740992.5", "-9007199254740992.5", "9223372036854775807", "9223372036854775806.5", "9223372036854775807.5", "9223372036854775808", "-9223372036854775808",
		"-9223372036854775808.5", "-9223372036854775809", "1e300", "-1e300", "-1e-300", "1e-400", "0e99999999999999999999", "1E18", "2147483647", "922337203685477580.7e1", "00000000000000000000001", "1."}
	someTypes = []string{"click", "Click", "CLICK", "watch", "Watch", "buy", "ÉTÉ", "été"}
)

func newScenario(data []byte) *scenario {
	d := newDice(data)
	s := &scenario{target: []schema.Type{schema.Items, schema.Users, schema.Actions}[d.below(3)], records: make(map[string]map[string]any), values: make(map[string]string), userEvents: make(map[string][]string)}
	events := schema.Interactions
	if s.target == schema.Actions {
		events = schema.ActionInteractions
	}
	entity := randomSchema(d, s.target, 4)
	s.schemas = filter.Schemas{s.target.DatasetType(): entity, events.DatasetType(): {Type: events, Fields: []schema.Field{{Name: "EVENT_TYPE"}}}}
	if s.target != schema.Users {
		s.schemas["USERS"] = randomSchema(d, schema.Users, 1)
	}
	s.fill(d, entity)
	s.think(d, events)
	s.subject = s.randomSubject(d)
	return s
}

func randomSchema(d *dice, t schema.Type, most int) *schema.Schema {
	s := &schema.Schema{Type: t}
	s.Fields = append(s.Fields, schema.Field{Name: s.IDField()})
	for i := range 1 + d.below(most) {
		f := schema.Field{Name: fmt.Sprintf("c%d_%s", i, t), Nullable: true}
		switch d.below(8) {
		case 0, 1:
			f.Categorical = true
		case 2:
			f.Kind = schema.Int
		case 3:
			f.Kind = schema.Long
		case 4:
			f.Kind = schema.Float
		case 5:
			f.Kind = schema.Double
		}
		s.Fields = append(s.Fields, f)
	}
	s.Fields = append(s.Fields, schema.Field{Name: "flag", Kind: schema.Boolean}, schema.Field{Name: "prose", Textual: true})
	return s
}

func randomRecord(d *dice, s *schema.Schema) map[string]any {
	record := make(map[string]any)
	for _, f := range s.Fields[1:] {
		if v := randomValue(d, f); v != nil || d.chance(2) {
			record[f.Name] = v
		}
	}
	return record
}

func randomValue(d *dice, f schema.Field) any {
	if d.chance(5) {
		return nil
	}
	switch {
	case f.Kind == schema.Boolean:
		return d.chance(2)
	case f.Kind == schema.Int:
		return pick(d, someInts)
	case f.Kind == schema.Long:
		return pick(d, someLongs)
	case f.Kind.Numeric():
		return pick(d, someReals)
	case f.Categorical:
		parts := make([]string, 1+d.below(3))
		for i := range parts {
			parts[i] = pick(d, someParts)
		}
		return strings.Join(parts, "|")
	}
	return pick(d, somePlain)
}

// fill puts records into the table, some of them several times.
func (s *scenario) fill(d *dice, entity *schema.Schema) {
	s.table = filter.NewTable(entity)
	rows := d.below(100)
	if d.chance(40) {
		rows = 1500 + d.below(1500)
	}
	for range rows {
		id := fmt.Sprint("id", d.below(max(1, rows)))
		if d.chance(6) {
			s.table.Add(id)
			if _, ok := s.records[id]; !ok {
				s.ids = append(s.ids, id)
				s.records[id] = nil
			}
			continue
		}
		record := randomRecord(d, entity)
		s.table.Put(reco.Entity{ID: id, Properties: record})
		if _, ok := s.records[id]; !ok {
			s.ids = append(s.ids, id)
		}
		s.records[id] = record
	}
}

func (s *scenario) randomSubject(d *dice) filter.Subject {
	subject := filter.Subject{EventTypes: func(id string) []string { return s.userEvents[id] }}
	events := d.below(30)
	if d.chance(6) {
		events = 100 + d.below(500)
	}
	var history []reco.RecentInteraction
	for i := range events {
		history = append(history, reco.RecentInteraction{EventID: fmt.Sprint(i), ItemID: fmt.Sprint("id", d.below(2+len(s.ids))), EventType: pick(d, someTypes[:2+d.below(len(someTypes)-1)]), TimestampMS: int64(d.below(500))})
	}
	if d.chance(2) {
		slices.SortFunc(history, reco.CompareRecent)
	}
	switch s.target {
	case schema.Items:
		subject.History = history
	case schema.Actions:
		subject.ActionHistory = history
	default:
		for _, h := range history {
			s.userEvents[h.ItemID] = append(s.userEvents[h.ItemID], h.EventType)
		}
	}
	if users := s.schemas["USERS"]; users != nil && s.target != schema.Users && !d.chance(4) {
		subject.User = randomRecord(d, users)
		subject.UserID = "id" + fmt.Sprint(d.below(3))
	}
	subject.CurrentItem = fmt.Sprint("id", d.below(2+len(s.ids)))
	return subject
}

// think makes the filter up.
func (s *scenario) think(d *dice, events schema.Type) {
	entity := s.schemas[s.target.DatasetType()]
	var b strings.Builder
	for i := range 1 + d.below(4) {
		if i > 0 {
			b.WriteString(pick(d, []string{"|", " | ", "\n|\t"}))
		}
		e := naiveExpression{include: d.chance(2)}
		b.WriteString(anyCase(d, map[bool]string{true: "INCLUDE ", false: "EXCLUDE "}[e.include]) + anyCase(d, filter.TargetName(s.target)) + anyCase(d, " WHERE "))
		aboutEvents := d.chance(3)
		for g := range 1 + d.below(3) {
			if g > 0 {
				b.WriteString(anyCase(d, " OR "))
			}
			var group []naivePredicate
			for p := range 1 + d.below(3) {
				if p > 0 {
					b.WriteString(anyCase(d, " AND "))
				}
				if aboutEvents {
					group = append(group, s.predicate(d, &b, &e, naivePredicate{events: true, field: schema.Field{Name: "EVENT_TYPE"}}, string(events), nil))
				} else {
					f := entity.Fields[d.below(len(entity.Fields)-2)]
					group = append(group, s.predicate(d, &b, &e, naivePredicate{field: f, id: f.Name == entity.IDField()}, string(entity.Type), entity))
				}
			}
			e.where = append(e.where, group)
		}
		if users := s.schemas["USERS"]; s.target != schema.Users && d.chance(3) {
			b.WriteString(anyCase(d, " IF "))
			for p := range 1 + d.below(2) {
				if p > 0 {
					b.WriteString(anyCase(d, " AND "))
				}
				f := users.Fields[d.below(2)]
				e.onlyIf = append(e.onlyIf, s.predicate(d, &b, &e, naivePredicate{field: f, id: f.Name == "USER_ID"}, "CurrentUser", nil))
			}
		}
		s.expressions = append(s.expressions, e)
	}
	s.text = b.String()
}

func anyCase(d *dice, text string) string {
	switch d.below(4) {
	case 0:
		return strings.ToLower(text)
	case 1:
		return strings.ToUpper(text)
	}
	return text
}

func (s *scenario) predicate(d *dice, b *strings.Builder, e *naiveExpression, p naivePredicate, prefix string, entity *schema.Schema) naivePredicate {
	numeric := p.field.Kind.Numeric()
	operators := []string{"IN", "NOT IN", "=", "!="}
	if numeric {
		operators = append(operators, "<", "<=", ">", ">=")
	}
	p.op = pick(d, operators)
	b.WriteString(anyCase(d, prefix) + "." + anyCase(d, p.field.Name) + " " + anyCase(d, p.op) + " ")
	if entity != nil && s.target == schema.Items && d.chance(4) {
		if f := entity.Fields[d.below(len(entity.Fields)-2)]; f.Kind.Numeric() == numeric {
			p.current = &f
			b.WriteString("CurrentItem." + f.Name)
			return p
		}
	}
	list := p.op == "IN" || p.op == "NOT IN"
	count := 1
	if list {
		count = 1 + d.below(4)
		if d.chance(10) {
			count = 14
		}
		b.WriteString("(")
	}
	for i := range count {
		if i > 0 {
			b.WriteString(",")
		}
		s.operand(d, b, e, &p, list)
	}
	if list {
		b.WriteString(")")
	}
	return p
}

func (s *scenario) operand(d *dice, b *strings.Builder, e *naiveExpression, p *naivePredicate, list bool) {
	literal := func() (value, spelled string) {
		switch {
		case p.field.Kind.Numeric():
			value = pick(d, someNumbers)
			return value, value
		case p.events:
			if d.chance(8) {
				return "*", `"*"`
			}
			value = pick(d, someTypes)
		case p.id:
			value = fmt.Sprint("id", d.below(2+len(s.ids)))
		case d.chance(2):
			value = pick(d, someParts)
		default:
			value = pick(d, somePlain)
		}
		if d.chance(3) {
			return value, "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
		}
		return value, `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	if !d.chance(4) {
		value, spelled := literal()
		p.texts = append(p.texts, value)
		b.WriteString(spelled)
		return
	}
	name := fmt.Sprint("p", len(s.values))
	if !e.include && d.chance(4) {
		e.missing = true
		b.WriteString("$never" + name)
		return
	}
	var values []string
	count := 1
	if list {
		count += d.below(3)
	}
	for range count {
		value, spelled := literal()
		if p.field.Kind.Numeric() && d.chance(3) {
			spelled = `"` + spelled + `"`
		}
		p.texts = append(p.texts, value)
		values = append(values, spelled)
	}
	s.values[name] = strings.Join(values, pick(d, []string{",", ", ", " ,"}))
	if list || d.chance(2) {
		b.WriteString("$" + name)
	} else {
		b.WriteString("( $" + name + ")")
	}
}

// verdict is which rows an expression's condition matches, and whether the expression applies.
type verdict struct {
	applies bool
	matched map[string]bool
}

func (s *scenario) judge() (left map[string]bool, verdicts []verdict) {
	included, anyInclude := make(map[string]bool), false
	excluded := make(map[string]bool)
	for i := range s.expressions {
		e := &s.expressions[i]
		v := verdict{applies: !e.missing && s.ifHolds(e), matched: make(map[string]bool)}
		verdicts = append(verdicts, v)
		if !v.applies {
			continue
		}
		for _, id := range s.ids {
			if s.rowMatches(id, e) {
				v.matched[id] = true
				if e.include {
					included[id] = true
				} else {
					excluded[id] = true
				}
			}
		}
		anyInclude = anyInclude || e.include
	}
	left = make(map[string]bool)
	for _, id := range s.ids {
		if (!anyInclude || included[id]) && !excluded[id] {
			left[id] = true
		}
	}
	return left, verdicts
}

func (s *scenario) ifHolds(e *naiveExpression) bool {
	for i := range e.onlyIf {
		p := &e.onlyIf[i]
		if s.subject.User == nil {
			return false
		}
		value := s.subject.User[p.field.Name]
		if p.id {
			value = s.subject.UserID
		}
		if !valueMatches(value, p, p.texts) {
			return false
		}
	}
	return true
}

func (s *scenario) rowMatches(id string, e *naiveExpression) bool {
	for _, group := range e.where {
		all := true
		for i := range group {
			all = all && s.predicateMatches(id, &group[i])
		}
		if all {
			return true
		}
	}
	return false
}

func (s *scenario) predicateMatches(id string, p *naivePredicate) bool {
	if p.events {
		for _, eventType := range s.eventTypes(id) {
			listed := slices.ContainsFunc(p.texts, func(text string) bool { return text == "*" || strings.EqualFold(text, eventType) })
			if listed == (p.op == "IN" || p.op == "=") {
				return true
			}
		}
		return false
	}
	value := s.records[id][p.field.Name]
	if p.id {
		value = id
	}
	if p.current == nil {
		return valueMatches(value, p, p.texts)
	}
	var texts []string
	record, known := s.records[s.subject.CurrentItem]
	switch current := record[p.current.Name].(type) {
	case string:
		texts = []string{current}
		if p.current.Categorical {
			texts = strings.Split(current, "|")
		}
	case int64:
		texts = []string{strconv.FormatInt(current, 10)}
	case float64:
		texts = []string{new(big.Rat).SetFloat64(current).FloatString(1100)}
	}
	if p.current.Name == "ITEM_ID" && known {
		texts = []string{s.subject.CurrentItem}
	}
	return valueMatches(value, p, texts)
}

// eventTypes are the types of the events that count with a row.
func (s *scenario) eventTypes(id string) []string {
	if s.target == schema.Users {
		return s.userEvents[id]
	}
	if s.counted == nil {
		history, most := s.subject.History, 100
		if s.target == schema.Actions {
			history, most = s.subject.ActionHistory, 300
		}
		s.counted = make(map[string][]string)
		upper := make([]string, len(history))
		for i, h := range history {
			upper[i] = strings.ToUpper(h.EventType)
		}
		for i, h := range history {
			newer := 0
			for j, other := range history {
				if upper[i] == upper[j] && reco.CompareRecent(other, h) > 0 {
					newer++
				}
			}
			if newer < most {
				s.counted[h.ItemID] = append(s.counted[h.ItemID], h.EventType)
			}
		}
	}
	return s.counted[id]
}

func valueMatches(value any, p *naivePredicate, texts []string) bool {
	negated := p.op == "NOT IN" || p.op == "!="
	for _, text := range texts {
		if oneMatches(value, p, text) {
			return !negated
		}
	}
	return negated
}

// exact keeps the numbers that exactly has read: fractions of some hundred digits take their time.
var exact sync.Map

func exactly(text string) *big.Rat {
	if known, ok := exact.Load(text); ok {
		return known.(*big.Rat)
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		value = new(big.Rat) // a zero with an exponent that big.Rat gives up on
	}
	exact.Store(text, value)
	return value
}

// oneMatches applies the operator, without its negation, to one value.
func oneMatches(value any, p *naivePredicate, text string) bool {
	order := 0
	switch v := value.(type) {
	case nil:
		return false
	case string:
		if p.field.Categorical {
			return slices.Contains(strings.Split(v, "|"), text)
		}
		return v == text
	case int64:
		order = new(big.Rat).SetInt64(v).Cmp(exactly(text))
	case float64:
		other, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(err)
		}
		switch {
		case v < other:
			order = -1
		case v > other:
			order = 1
		}
	}
	switch p.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	}
	return order == 0
}
