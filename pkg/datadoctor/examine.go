package datadoctor

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Bounds of what an Examiner keeps: exact answers up to here, estimates beyond.
const (
	defaultKeptIDs  = 1 << 20 // users and items, about 64 bytes each
	defaultKeptRows = 1 << 20 // rows, by their hashes
	// keptValues are those of one column, keptTypes those of the event type.
	keptValues = 1 << 12
	keptTypes  = 1000
	// heavyCounters finds every user with more than a thousandth of the events.
	heavyCounters = 2000
	// judgedItems are the rows that show what the columns of the items hold.
	judgedItems = 2000
	// judgedText is how many bytes of each string they keep: more than a cell with categories has.
	judgedText = 4 * schema.MaxCategorical
	examples   = 3
)

// Options say by which rules data are judged.
type Options struct {
	// AsOf is when the data were taken: what is later lies in the future. Zero: now.
	AsOf time.Time
	// MinInteractions and MinUsers are the least that is trained on; 0: 1000, and 25 users with two interactions each.
	MinInteractions, MinUsers int
	// Domain of the dataset group, "" for a custom one: it decides which recipes are judged.
	Domain string
	// Schemas of the datasets, as far as they are known: columns are judged by their values without one.
	Schemas map[schema.Type]*schema.Schema
	// KeepExamples lets findings name ids. Reports that are kept do not: a user may be forgotten, a report is not.
	KeepExamples bool
	// KeptIDs and KeptRows bound the memory; 0: a million ids, and a million rows.
	KeptIDs, KeptRows int
}

func (o *Options) setDefaults() {
	if o.AsOf.IsZero() {
		o.AsOf = time.Now()
	}
	set(&o.MinInteractions, usualMinInteractions)
	set(&o.MinUsers, 25)
	set(&o.KeptIDs, defaultKeptIDs)
	set(&o.KeptRows, defaultKeptRows)
}

func set(field *int, value int) {
	if *field <= 0 {
		*field = value
	}
}

// Examiner looks at rows, in any order, one by one, and reports on them. It holds a bounded amount of memory, about 200
// MB at most, whatever the number of rows. It is not for concurrent use.
type Examiner struct {
	options Options
	// types are the event types that recipes train on alone.
	types []string

	interactions interactionFacts
	users        sample[userFacts]
	items        sample[itemFacts]
	rows         sample[rowFacts] // distinct interactions
	heavy        *heavy           // nil while the sample of users is exact
	entities     map[schema.Type]*entityFacts
	columns      map[schema.Type]map[string]*columnFacts
	judged       map[string]map[string]any // the columns of some items
	actions      map[string]int64          // how often actions were taken

	// cut names the datasets of which only the beginning was read.
	cut     map[schema.Type]bool
	invalid map[invalidKey]*invalidFacts
	refused []Finding
	scratch []byte
	names   map[uint64]string // of users, for examples
}

type interactionFacts struct {
	rows, repeats int64
	dropped       int64 // repeats that imports have left out
	unknown       int64 // without user or item
	byType        map[string]int64
	future        int64
	negative      int64
	early         int64 // from 1970 to 2000
	dates         int64 // on midnight, UTC
	oldest        int64
	newest        int64
}

type userFacts struct {
	events uint32
	// byType counts the events of types that recipes train on alone, up to two.
	byType       [4]uint8
	severalItems bool
	severalTimes bool
	hasRow       bool
	named        bool // by a user id, not only by a session
	item         uint64
	timeMS       int64
}

type itemFacts struct {
	events uint32
	hasRow bool
	// first is when the item had its first event, created the time in its row; both in milliseconds.
	first, created int64
	dated          bool
}

// rowFacts is what is known of equal rows, or of rows with one id.
type rowFacts struct {
	known  bool
	again  uint32 // how many there are but for the first of each import
	origin int32
}

// seen counts a row, and reports whether there was one in the same import.
func (r *rowFacts) seen(origin int32) bool {
	if r == nil {
		return false // not of the sample
	}
	before := r.known && r.origin == origin
	if before {
		r.again++
	}
	r.known, r.origin = true, origin
	return before
}

type entityFacts struct {
	rows    int64
	ids     sample[rowFacts]
	imports int32
}

type invalidKey struct {
	dataset        schema.Type
	column, reason string
}

type invalidFacts struct {
	rows int64
	line int
}

// NewExaminer starts without rows.
func NewExaminer(o Options) *Examiner {
	o.setDefaults()
	e := &Examiner{
		options: o, types: soleTypes(),
		interactions: interactionFacts{byType: map[string]int64{}, oldest: math.MaxInt64, newest: math.MinInt64},
		users:        newSample[userFacts](o.KeptIDs), items: newSample[itemFacts](o.KeptIDs),
		rows:     newSample[rowFacts](o.KeptRows),
		entities: map[schema.Type]*entityFacts{}, columns: map[schema.Type]map[string]*columnFacts{},
		judged: map[string]map[string]any{}, actions: map[string]int64{}, cut: map[schema.Type]bool{},
		invalid: map[invalidKey]*invalidFacts{}, names: map[uint64]string{},
	}
	e.users.thinning = e.countHeavy
	return e
}

// soleTypes are the event types that recipes train on alone.
func soleTypes() (types []string) {
	for _, r := range recipe.All() {
		if r.EventType != "" && !slices.Contains(types, r.EventType) {
			types = append(types, r.EventType)
		}
	}
	return types[:min(len(types), len(userFacts{}.byType))]
}

// Interaction takes a row of the Interactions dataset, or an event. The caller may reuse it.
func (e *Examiner) Interaction(i *reco.Interaction) {
	f := &e.interactions
	f.rows++
	if i.ItemID == "" || i.Key() == "" {
		f.unknown++
		return
	}
	if e.repeats(i) {
		f.repeats++
		return
	}
	e.time(i.TimestampMS)
	if _, known := f.byType[i.EventType]; known || len(f.byType) < keptTypes {
		f.byType[i.EventType]++
	}
	user, item := hashID(i.Key()), hashID(i.ItemID)
	e.user(user, item, i)
	if kept := e.items.at(item); kept != nil {
		if kept.events == 0 || i.TimestampMS < kept.first {
			kept.first = i.TimestampMS
		}
		kept.events++
	}
	columns := e.columnsOf(schema.Interactions)
	if i.EventValue != nil {
		column(columns, eventValue).add(*i.EventValue)
	} else {
		column(columns, eventValue).add(nil)
	}
	for name, value := range i.Properties {
		column(columns, name).add(value)
	}
}

// repeats reports whether the sample holds an equal row.
func (e *Examiner) repeats(i *reco.Interaction) bool {
	var hash uint64
	hash, e.scratch = hashInteraction(i, e.scratch)
	return e.rows.at(hash).seen(0)
}

func (e *Examiner) time(ms int64) {
	f := &e.interactions
	f.oldest, f.newest = min(f.oldest, ms), max(f.newest, ms)
	switch {
	case ms < 0:
		f.negative++
	case ms < year2000:
		f.early++
	case ms > e.options.AsOf.Add(tolerance).UnixMilli():
		f.future++
	}
	if ms%(24*time.Hour).Milliseconds() == 0 {
		f.dates++
	}
}

func (e *Examiner) user(hash, item uint64, i *reco.Interaction) {
	kept := e.users.at(hash)
	if e.heavy != nil {
		e.heavy.add(hash)
	}
	if kept == nil {
		return
	}
	if kept.events == 0 {
		kept.item, kept.timeMS = item, i.TimestampMS
		if e.options.KeepExamples && len(e.names) < e.options.KeptIDs {
			e.names[hash] = strings.Clone(i.Key())
		}
	}
	kept.events++
	kept.severalItems = kept.severalItems || kept.item != item
	kept.severalTimes = kept.severalTimes || kept.timeMS != i.TimestampMS
	kept.named = kept.named || i.UserID != ""
	if t := slices.Index(e.types, i.EventType); t >= 0 && kept.byType[t] < 2 {
		kept.byType[t]++
	}
}

// countHeavy goes on, where the sample of users stops being exact, with the counts of those who have most.
func (e *Examiner) countHeavy() {
	type user struct {
		hash   uint64
		events uint32
	}
	most := make([]user, 0, len(e.users.kept))
	for hash, kept := range e.users.kept {
		most = append(most, user{hash, kept.events})
	}
	slices.SortFunc(most, func(a, b user) int { return cmp.Compare(b.events, a.events) })
	e.heavy = &heavy{counters: heavyCounters, counts: map[uint64]int64{}}
	for _, u := range most[:min(len(most), heavyCounters)] {
		if u.events > 0 {
			e.heavy.counts[u.hash] = int64(u.events)
		}
	}
}

// ActionInteraction takes a row of the Action_Interactions dataset, or an event.
func (e *Examiner) ActionInteraction(i *reco.Interaction) {
	e.entity(schema.ActionInteractions).rows++
	if _, known := e.actions[i.ItemID]; i.EventType == "TAKEN" && (known || len(e.actions) < keptTypes) {
		e.actions[strings.Clone(i.ItemID)]++
	}
}

// Entity takes a row of the Items, Users or Actions dataset. The caller may reuse it.
func (e *Examiner) Entity(t schema.Type, row *reco.Entity) {
	f, hash := e.entity(t), hashID(row.ID)
	f.rows++
	f.ids.at(hash).seen(f.imports)
	switch t {
	case schema.Users:
		if kept := e.users.at(hash); kept != nil {
			kept.hasRow = true
		}
	case schema.Items:
		e.item(hash, row)
	}
	columns := e.columnsOf(t)
	for name, value := range row.Properties {
		column(columns, name).add(value)
	}
}

func (e *Examiner) item(hash uint64, row *reco.Entity) {
	if kept := e.items.at(hash); kept != nil {
		kept.hasRow = true
		if created, ok := row.Properties["CREATION_TIMESTAMP"].(int64); ok {
			kept.created, kept.dated = created*1000, true
		}
	}
	if len(e.judged) < judgedItems {
		e.judged[row.ID] = beginnings(row.Properties)
	}
}

// beginnings are properties without what is too long to be kept of each row.
func beginnings(properties map[string]any) map[string]any {
	kept := maps.Clone(properties)
	for name, value := range kept {
		if text, ok := value.(string); ok && len(text) > judgedText {
			kept[name] = strings.ToValidUTF8(strings.Clone(text[:judgedText]), "")
		}
	}
	return kept
}

func (e *Examiner) entity(t schema.Type) *entityFacts {
	f := e.entities[t]
	if f == nil {
		f = &entityFacts{ids: newSample[rowFacts](e.options.KeptIDs)}
		e.entities[t] = f
	}
	return f
}

// NextImport marks that the rows of a dataset that follow come from another import, or were put: they may replace
// earlier ones.
func (e *Examiner) NextImport(t schema.Type) { e.entity(t).imports++ }

// Invalid takes a row that an import would refuse.
func (e *Examiner) Invalid(t schema.Type, row *dataset.RowError) {
	key := invalidKey{t, row.Column, row.Reason}
	f := e.invalid[key]
	if f == nil {
		f = &invalidFacts{line: row.Line}
		e.invalid[key] = f
	}
	f.rows++
}

// Refused takes why a whole file would be refused.
func (e *Examiner) Refused(t schema.Type, reason string) {
	e.refused = append(e.refused, Finding{
		Code: "FILE_REFUSED", Level: Error, Dataset: t.DatasetType(), Message: reason,
		Fix: "correct the file: an import refuses it whole",
	})
}

// Dropped adds the number of repeats that the imports of interactions have left out.
func (e *Examiner) Dropped(rows int64) { e.interactions.dropped += rows }

// Cut marks that a dataset has more rows than were shown.
func (e *Examiner) Cut(t schema.Type) { e.cut[t] = true }
