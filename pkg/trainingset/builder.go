package trainingset

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Options say which interactions count.
type Options struct {
	// EventType, if set, leaves out all others; it is compared exactly.
	EventType string
	// EventValueThreshold, if set, leaves out events whose value is lower, and those without one.
	EventValueThreshold *float64
	// Events, if not empty, leaves out all types of event but these. Their names are compared exactly.
	Events []EventRule
	// Columns says which columns models may learn from. Events are selected before columns are taken away.
	Columns Columns
	// Objective is what items bring in; its attribute counts even if Columns hides it.
	Objective Objective
	// ItemSchema and UserSchema describe the items' and the users' columns; they are handed on to the training set. Nil
	// where they are not known.
	ItemSchema, UserSchema *schema.Schema
}

// EventRule says which events of a type count, and how much.
type EventRule struct {
	Type string
	// Threshold, if set, leaves out events of the type whose value is lower, and those without one.
	Threshold *float64
	// Weight is 0 or more. What counts is how the weights of the types compare; events of a type with weight 0 are left
	// out.
	Weight float64
}

// Builder collects interactions and rows for a Set. It holds about 50 bytes and the event id per interaction,
// whatever strings its caller's rows share memory with.
//
// Of several interactions of a user with the same event id the earliest counts. Imported interactions (those without a
// place in the log) that are equal in time and all properties count once, whatever their event ids.
type Builder struct {
	options Options
	users   interner
	items   interner
	types   interner
	events  []*eventChunk
	count   int
	ids     arena
	// named says of each user index that an event gave it as user id, rather than as the session id of a stranger.
	named []bool
	// links maps a session id to the one user who was seen in it, or to severalUsers.
	links    map[string]int32
	itemRows entityRows
	userRows entityRows
	actions  actions
	scratch  []byte
	// weighted is true where the events' rules have different weights.
	weighted bool
}

const severalUsers = -1

// event is one interaction; strings are interned.
type event struct {
	timeMS int64
	// content is the hash of everything but the event id, 0 for events that are told apart by their id only.
	content uint64
	id      span
	user    int32
	item    int32
	value   float32
	typ     uint16
	rule    uint16 // index of the rule in options.Events
}

const chunkEvents = 1 << 14

// eventChunk keeps growing from copying: a slice of all events would need twice its size while it grows.
type eventChunk [chunkEvents]event

// NewBuilder starts an empty set.
func NewBuilder(options Options) *Builder {
	return &Builder{
		options: options, weighted: differ(options.Events), users: newInterner(), items: newInterner(),
		types: newInterner(), links: map[string]int32{},
		itemRows: entityRows{}, userRows: entityRows{}, actions: actions{rows: entityRows{}},
	}
}

// Add takes an interaction; the caller may reuse it. One without item, or without user and session, is left out.
func (b *Builder) Add(i *reco.Interaction) {
	b.link(i)
	if i.ItemID == "" || i.Key() == "" {
		return
	}
	rule, wanted := b.wanted(i)
	if !wanted {
		return
	}
	e := event{
		rule: rule, timeMS: i.TimestampMS, user: b.user(i.Key()), item: b.items.index(i.ItemID),
		value: float32(math.NaN()),
	}
	if i.UserID != "" {
		b.named[e.user] = true
	}
	if i.EventValue != nil {
		e.value = float32(*i.EventValue)
	}
	e.typ = b.eventType(i.EventType)
	e.id = b.ids.put(i.EventID)
	if i.Origin == (reco.Origin{}) {
		e.content = b.content(i)
	}
	if b.count%chunkEvents == 0 {
		b.events = append(b.events, new(eventChunk))
	}
	*b.event(b.count) = e
	b.count++
}

func (b *Builder) event(n int) *event { return &b.events[n/chunkEvents][n%chunkEvents] }

// eventType numbers a type. More of them than the columns can tell apart are nothing anyone means: they share the last.
func (b *Builder) eventType(name string) uint16 {
	if _, known := b.types.find(name); !known && b.types.len() == math.MaxUint16 {
		return math.MaxUint16 - 1
	}
	return uint16(b.types.index(name))
}

// wanted reports whether an event counts, and by which of the rules.
func (b *Builder) wanted(i *reco.Interaction) (rule uint16, ok bool) {
	if b.options.EventType != "" && i.EventType != b.options.EventType || !reaches(i, b.options.EventValueThreshold) {
		return 0, false
	}
	if len(b.options.Events) == 0 {
		return 0, true
	}
	k := slices.IndexFunc(b.options.Events, func(r EventRule) bool { return r.Type == i.EventType })
	if k < 0 {
		return 0, false
	}
	r := b.options.Events[k]
	return uint16(k), r.Weight > 0 && reaches(i, r.Threshold)
}

func reaches(i *reco.Interaction, threshold *float64) bool {
	return threshold == nil || i.EventValue != nil && *i.EventValue >= *threshold
}

// differ reports whether two rules under which events count have different weights.
func differ(rules []EventRule) bool {
	first := 0.0
	for _, r := range rules {
		if r.Weight > 0 && first > 0 && r.Weight != first {
			return true
		}
		first = max(first, r.Weight)
	}
	return false
}

// weights are those of the rules, the largest of them 1.
func weights(rules []EventRule) []float32 {
	largest := 0.0
	for _, r := range rules {
		largest = max(largest, r.Weight)
	}
	w := make([]float32, len(rules))
	for k, r := range rules {
		w[k] = float32(r.Weight / largest)
	}
	return w
}

func (b *Builder) user(id string) int32 {
	u := b.users.index(id)
	if int(u) == len(b.named) {
		b.named = append(b.named, false)
	}
	return u
}

// link notes who was seen in a session. Events of other types count here too: they say who the visitor is.
func (b *Builder) link(i *reco.Interaction) {
	if i.UserID == "" || i.SessionID == "" || i.UserID == i.SessionID {
		return
	}
	user := b.user(i.UserID)
	other, known := b.links[i.SessionID]
	switch {
	case !known:
		b.links[strings.Clone(i.SessionID)] = user
	case other != user:
		b.links[i.SessionID] = severalUsers
	}
}

// content hashes all that makes two imported rows of a user the same.
func (b *Builder) content(i *reco.Interaction) uint64 {
	s := b.scratch[:0]
	text := func(v string) {
		s = binary.LittleEndian.AppendUint32(s, uint32(len(v)))
		s = append(s, v...)
	}
	s = binary.LittleEndian.AppendUint64(s, uint64(i.TimestampMS))
	text(i.ItemID)
	text(i.EventType)
	text(i.RecommendationID)
	text(i.EventAttributionSource)
	if i.EventValue != nil {
		s = binary.LittleEndian.AppendUint64(s, math.Float64bits(*i.EventValue))
	}
	for _, shown := range i.Impression {
		text(shown)
	}
	if len(i.Properties) > 0 {
		for _, name := range slices.Sorted(maps.Keys(i.Properties)) {
			text(name)
			s = appendValue(s, i.Properties[name])
		}
	}
	b.scratch = s
	// 0 marks events without a content hash.
	return max(xxhash.Sum64(s), 1)
}

func appendValue(s []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		s = append(s, 's')
		s = binary.LittleEndian.AppendUint32(s, uint32(len(v)))
		return append(s, v...)
	case int64:
		return binary.LittleEndian.AppendUint64(append(s, 'i'), uint64(v))
	case float64:
		return binary.LittleEndian.AppendUint64(append(s, 'f'), math.Float64bits(v))
	case bool:
		if v {
			return append(s, 't')
		}
		return append(s, 'u')
	default:
		return append(s, 'n')
	}
}

// AddItem takes an item's metadata. Of several rows with one id the one that arrived last counts; imported rows, which
// have no arrival, come before all that have one, and among themselves count in the order of the calls.
func (b *Builder) AddItem(e reco.Entity) { b.AddEntity(schema.Items, e, e.Origin.Arrival) }

// AddUser takes a user's metadata; see AddItem.
func (b *Builder) AddUser(e reco.Entity) { b.AddEntity(schema.Users, e, e.Origin.Arrival) }

// AddAction takes an action's metadata; see AddItem.
func (b *Builder) AddAction(e reco.Entity) { b.AddEntity(schema.Actions, e, e.Origin.Arrival) }

// AddEntity takes a row of the Items, Users or Actions dataset that counts from the given time on: an imported row from
// the end of its import. Of several rows with one id the newest counts.
func (b *Builder) AddEntity(t schema.Type, e reco.Entity, since time.Time) {
	switch t {
	case schema.Items:
		b.itemRows.add(e, since)
	case schema.Users:
		b.userRows.add(e, since)
	case schema.Actions:
		b.actions.rows.add(e, since)
	}
}

// entityRows holds the newest row of each id.
type entityRows map[string]versionedRow

// versionedRow is a row with the time from which it counts.
type versionedRow struct {
	reco.Entity
	since time.Time
}

// add keeps a row unless there is a newer one with its id. Equal times are ordered by the offset in the log: one topic
// has all records of an id in one partition.
func (rows entityRows) add(e reco.Entity, since time.Time) {
	other, ok := rows[e.ID]
	if ok && cmp.Or(other.since.Compare(since), cmp.Compare(other.Origin.Offset, e.Origin.Offset)) > 0 {
		return
	}
	rows[e.ID] = versionedRow{e, since}
}

// Build makes the set. The Builder must not be used afterwards.
func (b *Builder) Build() (*Set, error) {
	if b.count > math.MaxInt32 {
		return nil, errors.New("building the training set: more than 2147483647 interactions")
	}
	if b.items.len()+len(b.itemRows) > math.MaxInt32 {
		return nil, errors.New("building the training set: more than 2147483647 items")
	}
	for id := range b.itemRows {
		b.items.index(id)
	}
	t := &Set{
		EventType: b.options.EventType, Columns: b.options.Columns, Objective: b.options.Objective,
		ItemSchema: b.options.Columns.schema(b.options.ItemSchema),
		UserSchema: b.options.Columns.schema(b.options.UserSchema),
	}
	var newItem, newType []int32
	t.Items, newItem = b.items.sorted()
	t.EventTypes, newType = b.types.sorted()
	b.fill(t, newItem, newType)
	t.ItemRows = make(map[int32]reco.Entity, len(b.itemRows))
	for id, row := range b.itemRows {
		t.ItemRows[newItem[b.items.index(id)]] = row.Entity
	}
	t.Reward = rewards(b.options.Objective.Attribute, len(t.Items), t.ItemRows)
	for i, row := range t.ItemRows {
		t.ItemRows[i] = b.options.Columns.entity(schema.Items, row)
	}
	t.UserRows = map[int32]reco.Entity{}
	for u, id := range t.Users {
		if row, ok := b.userRows[id]; ok {
			t.UserRows[int32(u)] = b.options.Columns.entity(schema.Users, row.Entity)
		}
	}
	t.Actions = b.actions.build(&b.users, b.claimed())
	for a, row := range t.Actions.Rows {
		t.Actions.Rows[a] = b.options.Columns.entity(schema.Actions, row)
	}
	b.options.Columns.events(t)
	return t, nil
}

// fill writes the event columns, user after user.
func (b *Builder) fill(t *Set, newItem, newType []int32) {
	byUser := b.group()
	names, order := b.users.names, b.users.order()
	t.Item = make([]int32, 0, b.count)
	t.TimeMS = make([]int64, 0, b.count)
	t.Type = make([]uint16, 0, b.count)
	t.Value = make([]float32, 0, b.count)
	var weight []float32
	if b.weighted {
		weight = weights(b.options.Events)
		t.Weight = make([]float32, 0, b.count)
	}
	t.UserStart = append(t.UserStart, 0)
	var seen seenHashes
	for _, u := range order {
		events := byUser.of(u)
		if len(events) == 0 {
			continue
		}
		slices.SortFunc(events, b.compare)
		seen.reset(2 * len(events))
		for _, n := range events {
			e := b.event(int(n))
			if b.repeated(e, &seen) {
				continue
			}
			t.Item = append(t.Item, newItem[e.item])
			t.TimeMS = append(t.TimeMS, e.timeMS)
			t.Type = append(t.Type, uint16(newType[e.typ]))
			t.Value = append(t.Value, e.value)
			if weight != nil {
				t.Weight = append(t.Weight, weight[e.rule])
			}
		}
		t.Users = append(t.Users, names[u])
		t.UserStart = append(t.UserStart, int32(len(t.Item)))
	}
}

// compare is reco.CompareRecent; what it leaves equal differs in no way that is kept, except for the content of events
// that share an id, which decides which of them stays.
func (b *Builder) compare(x, y int32) int {
	p, q := b.event(int(x)), b.event(int(y))
	if c := cmp.Compare(p.timeMS, q.timeMS); c != 0 {
		return c
	}
	if c := strings.Compare(b.ids.get(p.id), b.ids.get(q.id)); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(b.items.names[p.item], b.items.names[q.item]),
		cmp.Compare(b.types.names[p.typ], b.types.names[q.typ]),
		cmp.Compare(p.value, q.value),
	)
}

// repeated reports whether the user's earlier events include this one.
func (b *Builder) repeated(e *event, seen *seenHashes) bool {
	if id := b.ids.get(e.id); id != "" && !seen.add(xxhash.Sum64String(id)) {
		return true
	}
	return e.content != 0 && !seen.add(e.content)
}

// userEvents lists event numbers by user.
type userEvents struct {
	events []int32
	start  []int32 // by user, and the end
}

func (g *userEvents) of(u int32) []int32 { return g.events[g.start[u]:g.start[u+1]] }

// group sorts the events by user (counting sort), strangers' sessions under the user they turned out to be.
func (b *Builder) group() userEvents {
	target := b.claimed()
	g := userEvents{events: make([]int32, b.count), start: make([]int32, b.users.len()+1)}
	for n := range b.count {
		g.start[target[b.event(n).user]+1]++
	}
	for u := range b.users.len() {
		g.start[u+1] += g.start[u]
	}
	next := slices.Clone(g.start)
	for n := range b.count {
		u := target[b.event(n).user]
		g.events[next[u]] = int32(n)
		next[u]++
	}
	return g
}

// claimed maps each user index to the one its events belong to: itself, or for the session id of a stranger the one
// user who was later seen in that session.
func (b *Builder) claimed() []int32 {
	target := make([]int32, b.users.len())
	for u := range target {
		target[u] = int32(u)
	}
	for session, user := range b.links {
		if stranger, ok := b.users.find(session); ok && user != severalUsers && !b.named[stranger] {
			target[stranger] = user
		}
	}
	return target
}

// seenHashes is a set that is cheap to empty: clearing a map costs what it once held.
type seenHashes struct{ set map[uint64]struct{} }

func (s *seenHashes) reset(expected int) {
	if s.set == nil || len(s.set) > 4*expected+64 {
		s.set = make(map[uint64]struct{}, expected)
		return
	}
	clear(s.set)
}

func (s *seenHashes) add(hash uint64) bool {
	before := len(s.set)
	s.set[hash] = struct{}{}
	return len(s.set) > before
}

// interner numbers strings by first appearance.
type interner struct {
	names   []string
	numbers map[string]int32
}

func newInterner() interner { return interner{numbers: map[string]int32{}} }

func (t *interner) len() int { return len(t.names) }

func (t *interner) find(name string) (int32, bool) {
	n, ok := t.numbers[name]
	return n, ok
}

// index clones what it keeps: a row's strings may hold a whole batch in memory.
func (t *interner) index(name string) int32 {
	if n, ok := t.numbers[name]; ok {
		return n
	}
	name = strings.Clone(name)
	n := int32(len(t.names))
	t.names = append(t.names, name)
	t.numbers[name] = n
	return n
}

// order lists the numbers in ascending order of their names.
func (t *interner) order() []int32 {
	order := make([]int32, len(t.names))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(t.names[a], t.names[b]) })
	return order
}

// sorted returns the names in ascending order, and each number's place in it.
func (t *interner) sorted() (names []string, place []int32) {
	order := t.order()
	names, place = make([]string, len(order)), make([]int32, len(order))
	for to, from := range order {
		names[to], place[from] = t.names[from], int32(to)
	}
	return names, place
}

// arena keeps many short strings without a header and an allocation for each.
type arena struct{ chunks [][]byte }

// span is a string's chunk, offset and length.
type span struct {
	chunk  uint32
	offset uint32
	length uint32
}

const arenaChunk = 1 << 20

func (a *arena) put(text string) span {
	last := len(a.chunks) - 1
	if last < 0 || cap(a.chunks[last])-len(a.chunks[last]) < len(text) {
		a.chunks = append(a.chunks, make([]byte, 0, max(arenaChunk, len(text))))
		last++
	}
	s := span{uint32(last), uint32(len(a.chunks[last])), uint32(len(text))}
	a.chunks[last] = append(a.chunks[last], text...)
	return s
}

// get returns a string over the chunk's memory, which is never written again.
func (a *arena) get(s span) string {
	if s.length == 0 {
		return ""
	}
	return unsafe.String(&a.chunks[s.chunk][s.offset], s.length)
}
