package filter

import (
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// How many of the newest events of a user and event type filters see.
const (
	EventsPerType       = 100
	ActionEventsPerType = 300
)

// Subject is for whom a filter is evaluated. Parts that a filter does not ask for need not be set.
type Subject struct {
	// History is what Interactions.EVENT_TYPE sees: of each event type the newest EventsPerType count.
	History []reco.RecentInteraction
	// ActionHistory is what Action_Interactions.EVENT_TYPE sees, with the action in ItemID: of each event type the
	// newest ActionEventsPerType count.
	ActionHistory []reco.RecentInteraction
	// User holds the attributes of the current user by schema name. A user with events but no record has an empty map;
	// nil means that nothing is known of the user, and no IF holds.
	User map[string]any
	// UserID is what CurrentUser.USER_ID sees.
	UserID string
	// CurrentItem is the id of the item for which related ones are wanted.
	CurrentItem string
	// EventTypes is what Interactions.EVENT_TYPE sees in a UserID filter, whose rows are users: the types of the events
	// that a user has, in any order. It is asked at most once for each row, and must not call the table. Which events
	// count makes no difference here, since the newest of each type always do.
	EventTypes func(userID string) []string
}

// Selection is the rows that a filter leaves of those that the table had. It does not change when the table does.
type Selection struct {
	rows  bitset
	size  int
	count int
	// clauses is what Explain gives.
	clauses []Clause
}

// Clause is what one expression did.
type Clause struct {
	// Text is the expression as it was written.
	Text string
	// Kind is INCLUDE or EXCLUDE.
	Kind string
	// HasIf is set if the expression has an IF, and IfHeld if it holds, or if there is none.
	HasIf, IfHeld bool
	// Missing is the parameter without a value for which the expression was ignored.
	Missing string
	// Matched is how many rows the condition after WHERE matched; 0 if the expression did nothing.
	Matched int
	// Removed is how many rows the expression removed of what was left. INCLUDE expressions work together before any
	// EXCLUDE does: what none of them matches is counted with the last of them. EXCLUDE expressions follow in order.
	Removed int
}

// Applied reports whether the expression took part.
func (c *Clause) Applied() bool { return c.Missing == "" && c.IfHeld }

// Has reports whether a row is selected; false for rows that were added later.
func (s *Selection) Has(row int32) bool {
	return row >= 0 && int(row) < s.size && s.rows.has(row)
}

// Count is the number of selected rows.
func (s *Selection) Count() int { return s.count }

// Rows walks the selected rows in ascending order.
func (s *Selection) Rows() iter.Seq[int32] { return s.rows.rows() }

// Explain returns what each expression did, in the order of the filter.
func (s *Selection) Explain() []Clause { return slices.Clone(s.clauses) }

// Select evaluates the filter for a subject against all rows that the table has at this moment.
func (b *Bound) Select(t *Table, s Subject) *Selection {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := evaluation{table: t, subject: &s, target: b.filter.target, rows: len(t.ids)}
	selection := &Selection{rows: make(bitset, words(e.rows)), size: e.rows, clauses: make([]Clause, len(b.clauses))}
	e.include(b.clauses, selection.rows, selection.clauses)
	e.exclude(b.clauses, selection.rows, selection.clauses)
	selection.count = selection.rows.count()
	return selection
}

// evaluation is one Select at work.
type evaluation struct {
	table   *Table
	subject *Subject
	target  schema.Type
	rows    int
	// events are the rows that the subject has events with, by event type in lower case; nil until someone asks.
	events map[string][]int32
}

// include puts the rows into left that some INCLUDE matches, or all if none applies.
func (e *evaluation) include(clauses []clause, left bitset, explained []Clause) {
	last := -1
	for i := range clauses {
		if !clauses[i].include || !e.begin(&clauses[i], &explained[i]) {
			continue
		}
		if last < 0 {
			e.where(clauses[i].where, left)
			explained[i].Matched = left.count()
		} else {
			matched := e.borrow()
			e.where(clauses[i].where, matched)
			explained[i].Matched = matched.count()
			left.or(matched)
			e.giveBack(matched)
		}
		last = i
	}
	if last < 0 {
		left.fill(e.rows)
		return
	}
	explained[last].Removed = e.rows - left.count()
}

// exclude removes the rows that an EXCLUDE matches.
func (e *evaluation) exclude(clauses []clause, left bitset, explained []Clause) {
	for i := range clauses {
		if !clauses[i].include && e.begin(&clauses[i], &explained[i]) {
			matched := e.borrow()
			e.where(clauses[i].where, matched)
			explained[i].Matched = matched.count()
			explained[i].Removed = left.countBoth(matched)
			left.andNot(matched)
			e.giveBack(matched)
		}
	}
}

// begin starts the explanation of a clause and reports whether it applies.
func (e *evaluation) begin(c *clause, explained *Clause) bool {
	*explained = Clause{Text: c.text, Kind: effect(c.include), HasIf: len(c.expression.onlyIf) > 0, Missing: c.missing}
	if c.missing != "" {
		return false
	}
	explained.IfHeld = e.holds(c.onlyIf)
	return explained.IfHeld
}

// holds evaluates the conditions after IF.
func (e *evaluation) holds(tests []test) bool {
	if len(tests) > 0 && e.subject.User == nil {
		return false
	}
	for i := range tests {
		t := &tests[i]
		value := e.subject.User[t.column.name]
		if t.column.kind == identifiers && e.subject.UserID != "" {
			value = e.subject.UserID
		}
		if t.matchesValue(value) == t.op.negated() {
			return false
		}
	}
	return true
}

// matchesValue reports whether an attribute matches the values; of a negated operator, its opposite.
func (t *test) matchesValue(value any) bool {
	if t.column.kind == numbers {
		return slices.ContainsFunc(t.numbers, func(n number) bool { return n.compares(value, t.op) })
	}
	text, ok := value.(string)
	if !ok {
		return false
	}
	if !t.column.split {
		return slices.Contains(t.texts, text)
	}
	for part := range strings.SplitSeq(text, "|") {
		if slices.Contains(t.texts, part) {
			return true
		}
	}
	return false
}

// where puts the rows that match a disjunction of conjunctions into b, which is empty.
func (e *evaluation) where(groups [][]test, b bitset) {
	e.all(groups[0], b)
	for _, group := range groups[1:] {
		matched := e.borrow()
		e.all(group, matched)
		b.or(matched)
		e.giveBack(matched)
	}
}

// all puts the rows that match all of the tests into b, which is empty.
func (e *evaluation) all(tests []test, b bitset) {
	e.match(&tests[0], nil, b)
	if tests[0].complement() {
		b.complement(e.rows)
	}
	for i := range tests[1:] {
		t := &tests[1+i]
		matched := e.borrow()
		e.match(t, b, matched)
		if t.complement() {
			b.andNot(matched)
		} else {
			b.and(matched)
		}
		e.giveBack(matched)
	}
}

// complement reports whether a test selects the rows that match does not. NOT IN of event types is no complement: it
// asks for an event of another type, not for the absence of one.
func (t *test) complement() bool { return t.op.negated() && t.column.kind != eventTypes }

// match adds the rows that match a test to b, which is empty; if it is a complement, those that match its opposite.
// Rows that are not in within may be left out; nil: all rows count.
func (e *evaluation) match(t *test, within, b bitset) {
	if t.current != nil {
		t = e.withCurrentItem(t)
	}
	switch t.column.kind {
	case eventTypes:
		e.matchEvents(t, b)
	case identifiers:
		for _, id := range t.texts {
			if row, ok := e.table.rows[id]; ok {
				b.set(row)
			}
		}
	case texts:
		if c, ok := e.table.columns[t.column.name].(*textColumn); ok {
			for _, text := range t.texts {
				if number, known := c.numbers[text]; known {
					c.rows[number].addTo(b)
				}
			}
		}
	case numbers:
		if c, ok := e.table.columns[t.column.name].(*numberColumn); ok {
			c.match(t, within, b)
		}
	}
}

// withCurrentItem puts the values of the current item into a test; an item without any leaves none to match.
func (e *evaluation) withCurrentItem(t *test) *test {
	with := &test{predicate: t.predicate}
	row, ok := e.table.rows[e.subject.CurrentItem]
	if !ok {
		return with
	}
	switch c := e.table.columns[t.current.name].(type) {
	case *textColumn:
		with.texts = c.texts(row)
	case *numberColumn:
		if n, ok := attributeNumber(c.value(row)); ok {
			with.numbers = []number{n}
		}
	case nil:
		if t.current.kind == identifiers {
			with.texts = []string{e.subject.CurrentItem}
		}
	}
	return with
}

// matchEvents adds the rows that the subject has a fitting event with.
func (e *evaluation) matchEvents(t *test, b bitset) {
	for eventType, rows := range e.eventRows() {
		if listed := t.any || slices.Contains(t.texts, eventType); listed != t.op.negated() {
			for _, row := range rows {
				b.set(row)
			}
		}
	}
}

func (e *evaluation) eventRows() map[string][]int32 {
	if e.events != nil {
		return e.events
	}
	e.events = make(map[string][]int32)
	switch {
	case e.target == schema.Users:
		e.eventsOfUsers()
	case eventsOf(e.target) == schema.ActionInteractions:
		e.eventsOfSubject(e.subject.ActionHistory, ActionEventsPerType)
	default:
		e.eventsOfSubject(e.subject.History, EventsPerType)
	}
	return e.events
}

func (e *evaluation) eventsOfSubject(history []reco.RecentInteraction, perType int) {
	if !slices.IsSortedFunc(history, reco.CompareRecent) {
		history = slices.SortedFunc(slices.Values(history), reco.CompareRecent)
	}
	seen := make(map[string]int)
	for i := len(history) - 1; i >= 0; i-- {
		eventType := foldEventType(history[i].EventType)
		if seen[eventType]++; seen[eventType] > perType {
			continue
		}
		if row, ok := e.table.rows[history[i].ItemID]; ok {
			e.events[eventType] = append(e.events[eventType], row)
		}
	}
}

func (e *evaluation) eventsOfUsers() {
	if e.subject.EventTypes == nil {
		return
	}
	for row, id := range e.table.ids {
		for _, eventType := range e.subject.EventTypes(id) {
			eventType = foldEventType(eventType)
			e.events[eventType] = append(e.events[eventType], int32(row))
		}
	}
}

// scratch keeps bitsets to be used again: at a million rows one costs more to make than most conditions to evaluate.
var scratch sync.Pool

// borrow gives an empty bitset for the rows.
func (e *evaluation) borrow() bitset {
	size := words(e.rows)
	if used, ok := scratch.Get().(*bitset); ok && cap(*used) >= size {
		b := (*used)[:size]
		clear(b)
		return b
	}
	// With room to grow, since tables do.
	return make(bitset, size, size+size/8)
}

func (e *evaluation) giveBack(b bitset) { scratch.Put(&b) }
