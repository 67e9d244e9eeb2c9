package datadoctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/schema"
)

// The limits by which data are judged.
const (
	usualMinInteractions = 1000
	// year2000 is before what anyone recommends; times below it are mostly days, minutes or nothing at all.
	year2000 = 946_684_800_000
	// tolerance is how wrong clocks may be.
	tolerance = 24 * time.Hour
	// fewItems need no recommender.
	fewItems = 50
	// Shares of what is judged.
	nearlyAll, most, some, few = 0.9, 0.5, 0.1, 0.01
	// A user with so many times the mean, and so many events, is a machine, or several people; as is one with a share
	// like this where there are enough users for it to be odd.
	botTimesMean, botEvents = 100, 500
	botShare, botUsers      = 0.1, 50
	// judgeable is the least number of values that show whether a column has categories.
	judgeable = 50
	// personalizeTypes is how many event types Amazon Personalize takes.
	personalizeTypes = 10
)

// Report returns what was found. The Examiner must not be used afterwards.
func (e *Examiner) Report() *Report {
	f := &e.interactions
	r := &Report{
		AsOf: awsapi.At(e.options.AsOf), Interactions: f.rows - f.repeats, Users: e.userCount(), Items: e.itemCount(),
		Findings: append([]Finding{}, e.refused...),
	}
	if f.newest >= f.oldest {
		r.Oldest, r.Newest = awsapi.At(time.UnixMilli(f.oldest)), awsapi.At(time.UnixMilli(f.newest))
	}
	for _, t := range slices.Sorted(maps.Keys(e.cut)) {
		r.Partial = append(r.Partial, t.DatasetType())
	}
	for _, examine := range []func() []Finding{
		e.invalidRows, e.size, e.repeatedRows, e.times, e.order, e.eventTypes, e.usersFindings, e.itemsFindings,
		e.columnFindings,
	} {
		r.Findings = append(r.Findings, examine()...)
	}
	rank := map[Level]int{Error: 0, Warning: 1, Note: 2}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(rank[a.Level], rank[b.Level]) })
	for _, found := range r.Findings {
		switch found.Level {
		case Error:
			r.Errors++
		case Warning:
			r.Warnings++
		case Note:
			r.Notes++
		}
	}
	r.Recipes = e.verdicts()
	return r
}

var interactionsName = schema.Interactions.DatasetType()

// userCount and itemCount are those with interactions.
func (e *Examiner) userCount() int64 {
	return e.users.count(func(u *userFacts) bool { return u.events > 0 })
}

func (e *Examiner) itemCount() int64 {
	return e.items.count(func(i *itemFacts) bool { return i.events > 0 })
}

// level grades a share.
func level(n, of int64, warning, failure float64) Level {
	switch share := float64(n) / float64(max(of, 1)); {
	case share >= failure:
		return Error
	case share >= warning:
		return Warning
	}
	return Note
}

// never is a share that no finding reaches.
const never = 2

func percent(n, of int64) string {
	switch share := 100 * float64(n) / float64(max(of, 1)); {
	case share >= 1:
		return fmt.Sprintf("%.0f %%", share)
	case share >= 0.01:
		return fmt.Sprintf("%.2f %%", share)
	}
	return "less than 0.01 %"
}

// of writes "12 of 40 users (30 %)".
func of(n, all int64, noun string) string {
	return fmt.Sprintf("%d of %s (%s)", n, counted(all, noun), percent(n, all))
}

func (e *Examiner) whole(t schema.Type) bool {
	return !e.cut[t]
}

func (e *Examiner) invalidRows() (found []Finding) {
	for _, key := range slices.SortedFunc(maps.Keys(e.invalid), func(a, b invalidKey) int {
		return cmp.Or(cmp.Compare(a.dataset, b.dataset), cmp.Compare(e.invalid[a].line, e.invalid[b].line))
	}) {
		f := e.invalid[key]
		finding := Finding{
			Code: "INVALID_VALUE", Level: Error, Dataset: key.dataset.DatasetType(), Column: key.column, Count: f.rows,
			Message: fmt.Sprintf("%s cannot be imported, the first on line %d: the value %s", counted(f.rows, "row"),
				f.line, key.reason),
			Fix: "correct or leave out these rows: an import with one of them fails",
		}
		if key.column == "" {
			finding.Message = fmt.Sprintf("%s cannot be imported, the first on line %d: %s", counted(f.rows, "row"),
				f.line, key.reason)
		}
		if strings.Contains(key.reason, "milliseconds") {
			finding.Code, finding.Fix = "TIMESTAMP_IN_MILLISECONDS", "divide the column by 1000: times are Unix seconds"
		}
		found = append(found, finding)
	}
	return found
}

func (e *Examiner) size() (found []Finding) {
	rows := e.interactions.rows - e.interactions.repeats
	if !e.whole(schema.Interactions) {
		return nil
	}
	if least := int64(e.options.MinInteractions); rows < least {
		found = append(found, Finding{
			Code: "TOO_FEW_INTERACTIONS", Level: Error, Dataset: interactionsName, Count: rows, Of: least,
			Message: fmt.Sprintf("there are %s, training needs %d", counted(rows, "interaction"), least),
			Fix:     "gather or import more of them",
		})
	}
	users := e.activeUsers(-1)
	if least := int64(e.options.MinUsers); users < least {
		found = append(found, Finding{
			Code: "TOO_FEW_USERS", Level: Error, Dataset: interactionsName, Count: users, Of: least,
			Message: fmt.Sprintf("%s two interactions or more, training needs %d", have(users, "user"), least),
			Fix:     "gather or import more of them; check that USER_ID is the same on each of a user's visits",
		})
	}
	if items := e.itemCount(); items < fewItems && rows > 0 {
		found = append(found, Finding{
			Code: "FEW_ITEMS", Level: Warning, Dataset: interactionsName, Count: items, Of: fewItems,
			Message: fmt.Sprintf("%s interactions: a list of recommendations shows most of them to everyone",
				have(items, "item")),
		})
	}
	if n := e.interactions.unknown; n > 0 {
		found = append(found, Finding{
			Code: "INCOMPLETE_INTERACTIONS", Level: level(n, e.interactions.rows, few, most), Dataset: interactionsName,
			Count: n, Of: e.interactions.rows,
			Message: of(n, e.interactions.rows, "interaction") + " name no user or no item, and count for nothing",
		})
	}
	return found
}

func have(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun + " has"
	}
	return fmt.Sprintf("%d %ss have", n, noun)
}

// activeUsers have two interactions or more, of the type of a number in e.types, or of any for -1.
func (e *Examiner) activeUsers(t int) int64 {
	return e.users.count(func(u *userFacts) bool {
		if t >= 0 {
			return u.byType[t] >= 2
		}
		return u.events >= 2
	})
}

func (e *Examiner) repeatedRows() (found []Finding) {
	f := &e.interactions
	repeats, all := again(&e.rows)+f.dropped, f.rows+f.dropped
	if repeats > 0 {
		found = append(found, Finding{
			Code: "DUPLICATE_ROWS", Level: level(repeats, all, few, never), Dataset: interactionsName, Count: repeats,
			Of: all, Estimated: !e.rows.exact(),
			Message: of(repeats, all, "row") + " repeat another in every column, and count once",
			Fix:     "export each event once; events that differ in nothing but are several need a column that tells them apart",
		})
	}
	for _, t := range []schema.Type{schema.Items, schema.Users, schema.Actions} {
		f := e.entities[t]
		if f == nil {
			continue
		}
		if repeats := again(&f.ids); repeats > 0 {
			found = append(found, Finding{
				Code: "DUPLICATE_IDS", Level: level(repeats, f.rows, few, never), Dataset: t.DatasetType(),
				Count: repeats, Of: f.rows, Estimated: !f.ids.exact(),
				Message: of(repeats, f.rows, "row") + " have an id that another row has; the last one counts",
				Fix:     "export one row for each id",
			})
		}
	}
	return found
}

// again counts the rows that repeat another.
func again(rows *sample[rowFacts]) (repeats int64) {
	for _, kept := range rows.kept {
		repeats += int64(kept.again)
	}
	return rows.scaled(repeats)
}

func (e *Examiner) times() (found []Finding) {
	f := &e.interactions
	rows := f.rows - f.repeats - f.unknown
	add := func(code string, n int64, grade Level, message, fix string) {
		if n > 0 {
			found = append(found, Finding{
				Code: code, Level: grade, Dataset: interactionsName, Column: "TIMESTAMP", Count: n, Of: rows,
				Message: of(n, rows, "interaction") + " " + message, Fix: fix,
			})
		}
	}
	add("TIMESTAMP_IN_FUTURE", f.future, level(f.future, rows, 0, some),
		"lie in the future: they count as the newest of all in every training, and what is measured on them is known from nowhere",
		"check the time zone and the unit of the column, and leave out what is planned and has not happened")
	add("TIMESTAMP_BEFORE_1970", f.negative, level(f.negative, rows, 0, most), "lie before 1970",
		"check the unit of the column: times are Unix seconds")
	add("TIMESTAMP_BEFORE_2000", f.early, level(f.early, rows, 0, never), "lie between 1970 and 2000",
		"check the unit of the column: times are Unix seconds; 0 often stands for a time that is not known")
	if rows > 1 && f.dates == rows && f.oldest != f.newest {
		found = append(found, Finding{
			Code: "TIMESTAMPS_ARE_DATES", Level: Note, Dataset: interactionsName, Column: "TIMESTAMP", Count: rows,
			Of:      rows,
			Message: "all times are midnight: in which order things happened on a day is known from the order of the rows only",
			Fix:     "export the time of day",
		})
	}
	created := e.items.count(func(i *itemFacts) bool { return i.dated && i.events > 0 })
	late := e.items.count(func(i *itemFacts) bool { return i.dated && i.events > 0 && i.first < i.created })
	if late > 0 {
		found = append(found, Finding{
			Code: "ITEM_CREATED_AFTER_USE", Level: level(late, created, few, never),
			Dataset: schema.Items.DatasetType(), Column: "CREATION_TIMESTAMP",
			Count: late, Of: created, Estimated: !e.items.exact(),
			Message: of(late, created, "item") + " were created after their first interaction: they are taken for new when they are not",
			Fix:     "CREATION_TIMESTAMP is when the item could first be seen, not when its row was changed; both columns are Unix seconds, UTC",
		})
	}
	return found
}

// order asks whether a user's interactions can be put in an order.
func (e *Examiner) order() []Finding {
	several := e.activeUsers(-1)
	tied := e.users.count(func(u *userFacts) bool { return u.events >= 2 && !u.severalTimes })
	if tied == 0 || several == 0 {
		return nil
	}
	grade := level(tied, several, some, nearlyAll)
	if several < int64(e.options.MinUsers) {
		grade = Note // too few to be trained on anyway
	}
	return []Finding{{
		Code: "ORDER_UNKNOWN", Level: grade, Dataset: interactionsName, Column: "TIMESTAMP", Count: tied, Of: several,
		Estimated: !e.users.exact(),
		Message:   of(tied, several, "user") + " with several interactions had them all at one time: what leads to what cannot be learned from them",
		Fix:       "TIMESTAMP is when the interaction happened, not when it was exported",
	}}
}

func (e *Examiner) eventTypes() (found []Finding) {
	types := slices.Sorted(maps.Keys(e.interactions.byType))
	switch {
	case len(types) == 1:
		named := "no event type"
		if types[0] != "" {
			named = "the event type " + types[0]
		}
		found = append(found, Finding{
			Code: "ONE_EVENT_TYPE", Level: Note, Dataset: interactionsName, Column: "EVENT_TYPE", Count: 1,
			Message: "all interactions have " + named + ": solutions cannot weigh types, and filters cannot tell what was bought from what was seen",
			Fix:     "export purchases, views and so on with types of their own",
		})
	case len(types) > personalizeTypes:
		found = append(found, Finding{
			Code: "MANY_EVENT_TYPES", Level: Warning, Dataset: interactionsName, Column: "EVENT_TYPE",
			Count: int64(len(types)), Of: personalizeTypes,
			Estimated: len(types) == keptTypes,
			Message: fmt.Sprintf("there are %d event types, or more; Amazon Personalize takes %d", len(types),
				personalizeTypes),
			Fix: "check that the column holds types such as view and purchase",
		})
	}
	return found
}

func (e *Examiner) usersFindings() (found []Finding) {
	users := e.userCount()
	single := e.users.count(func(u *userFacts) bool { return u.events > 0 && !u.severalItems })
	if single > 0 {
		found = append(found, Finding{
			Code: "ONE_ITEM_USERS", Level: level(single, users, most, never), Dataset: interactionsName,
			Column: "USER_ID", Count: single, Of: users,
			Estimated: !e.users.exact(),
			Message:   of(single, users, "user") + " have interactions with one item only: nothing about which items go together is learned from them",
			Fix:       "check that USER_ID is the same on each of a user's visits",
		})
	}
	found = append(found, e.bots(users)...)
	if f := e.entities[schema.Users]; f != nil && f.rows > 0 && e.whole(schema.Users) {
		named := e.users.count(func(u *userFacts) bool { return u.named })
		strangers := e.users.count(func(u *userFacts) bool { return u.named && !u.hasRow })
		if strangers > 0 {
			found = append(found, Finding{
				Code: "UNKNOWN_USERS", Level: level(strangers, named, few, nearlyAll), Dataset: interactionsName,
				Column: "USER_ID", Count: strangers, Of: named,
				Estimated: !e.users.exact(),
				Message:   of(strangers, named, "user") + " with interactions are not in the Users dataset",
				Fix:       "import their rows; where there are many, check that both datasets write ids in the same way",
			})
		}
	}
	return found
}

// bots are users with more events than people have.
func (e *Examiner) bots(users int64) []Finding {
	events := e.interactions.rows - e.interactions.repeats - e.interactions.unknown
	if users == 0 {
		return nil
	}
	absurd := func(n int64) bool {
		return n >= botEvents && float64(n) >= botTimesMean*float64(events)/float64(users) ||
			users >= botUsers && float64(n) >= botShare*float64(events)
	}
	counts := map[uint64]int64{}
	for hash, u := range e.users.kept {
		if absurd(int64(u.events)) {
			counts[hash] = int64(u.events)
		}
	}
	if e.heavy != nil {
		for hash, n := range e.heavy.counts {
			if absurd(n) {
				counts[hash] = max(counts[hash], n)
			}
		}
	}
	if len(counts) == 0 {
		return nil
	}
	total := int64(0)
	for _, n := range counts {
		total += n
	}
	finding := Finding{
		Code: "BOTS", Level: Warning, Dataset: interactionsName, Column: "USER_ID", Count: int64(len(counts)),
		Of: users,
		Message: fmt.Sprintf("%s %s of all interactions, as no person can: machines, or one id for many people",
			have(int64(len(counts)), "user"), percent(total, events)),
		Fix: "leave them out",
	}
	for _, hash := range slices.SortedFunc(maps.Keys(counts),
		func(a, b uint64) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) }) {
		if name := e.names[hash]; name != "" && len(finding.Examples) < examples {
			finding.Examples = append(finding.Examples, fmt.Sprintf("%s (%d)", name, counts[hash]))
		}
	}
	return []Finding{finding}
}

func (e *Examiner) itemsFindings() (found []Finding) {
	f := e.entities[schema.Items]
	if f == nil || f.rows == 0 {
		return nil
	}
	used, unknown, events, strange := int64(0), int64(0), int64(0), int64(0)
	rows, dead := int64(0), int64(0)
	for _, i := range e.items.kept {
		if i.hasRow {
			rows++
		}
		switch {
		case i.events == 0:
			dead++
			continue
		case !i.hasRow:
			unknown++
			strange += int64(i.events)
		}
		used++
		events += int64(i.events)
	}
	if unknown > 0 && e.whole(schema.Items) {
		found = append(found, Finding{
			Code: "UNKNOWN_ITEMS", Level: level(strange, events, few, nearlyAll), Dataset: interactionsName,
			Column: "ITEM_ID",
			Count:  e.items.scaled(unknown), Of: e.items.scaled(used), Estimated: !e.items.exact(),
			Message: fmt.Sprintf("%s with interactions are not in the Items dataset; they have %s of the interactions",
				of(e.items.scaled(unknown), e.items.scaled(used), "item"), percent(strange, events)),
			Fix: "import their rows; where there are many, check that both datasets write ids in the same way",
		})
	}
	if dead > 0 && e.interactions.rows > 0 && e.whole(schema.Interactions) {
		found = append(found, Finding{
			Code: "DEAD_ITEMS", Level: level(dead, rows, most, never), Dataset: schema.Items.DatasetType(),
			Column: "ITEM_ID",
			Count:  e.items.scaled(dead), Of: e.items.scaled(rows), Estimated: !e.items.exact(),
			Message: of(e.items.scaled(dead), e.items.scaled(rows),
				"item") + " of the Items dataset have no interactions: they are recommended by their columns, or by exploration, or not at all",
			Fix: "leave out what can no longer be had",
		})
	}
	return found
}

func (e *Examiner) columnFindings() (found []Finding) {
	for _, t := range []schema.Type{schema.Interactions, schema.Items, schema.Users, schema.Actions} {
		for _, name := range slices.Sorted(maps.Keys(e.columns[t])) {
			c := e.columns[t][name]
			if f := e.columnFinding(t, name, c); f != nil {
				f.Dataset, f.Column, f.Of = t.DatasetType(), name, c.rows
				found = append(found, *f)
			}
		}
	}
	return found
}

// columnFinding returns the worst finding about a column.
func (e *Examiner) columnFinding(t schema.Type, name string, c *columnFacts) *Finding {
	optional := t == schema.Interactions && name == eventValue
	if optional && c.filled() == 0 {
		return nil // nobody has values
	}
	field, known := e.fieldOf(t, name)
	distinct := c.values.size()
	switch {
	case c.filled() == 0:
		return &Finding{Code: "EMPTY_COLUMN", Level: Warning, Count: c.nulls,
			Message: "the column has no values at all", Fix: "fill it, or leave it out of the schema"}
	case distinct == 1 && c.filled() > 1 && !optional:
		return &Finding{
			Code: "CONSTANT_COLUMN", Level: Warning, Count: c.filled(),
			Message: "the column has one value only: it tells nothing apart", Fix: "leave it out of the schema",
		}
	case float64(c.nulls) >= most*float64(c.rows):
		grade := Warning
		if optional {
			grade = Note
		}
		return &Finding{Code: "MOSTLY_NULL", Level: grade, Count: c.nulls,
			Message: of(c.nulls, c.rows, "row") + " have no value", Fix: "fill the column, or leave it out"}
	case c.isCategorical(field, known) && c.filled() >= judgeable && float64(distinct) >= nearlyAll*float64(c.filled()):
		grade := Note
		if field.Categorical {
			grade = Warning
		}
		return &Finding{
			Code: "NEARLY_UNIQUE_COLUMN", Level: grade, Count: distinct, Estimated: !c.values.exact(),
			Message: fmt.Sprintf("%d different values in %s: rows have nothing in common by it", distinct,
				counted(c.filled(), "row")),
			Fix: "leave ids and the like out; prose belongs into a textual column (of items), numbers into numeric ones",
		}
	case float64(c.nulls) >= some*float64(c.rows):
		return &Finding{Code: "NULLS", Level: Note, Count: c.nulls,
			Message: of(c.nulls, c.rows, "row") + " have no value"}
	}
	return nil
}

const eventValue = "EVENT_VALUE"

func (e *Examiner) fieldOf(t schema.Type, name string) (schema.Field, bool) {
	if s := e.options.Schemas[t]; s != nil {
		return s.Field(name)
	}
	return schema.Field{}, false
}

// isCategorical reports whether a column is to group rows: by its schema, or where none is known, by its being text
// that does not read like prose or a number.
func (c *columnFacts) isCategorical(f schema.Field, known bool) bool {
	if known {
		return f.Kind == schema.String && !f.Textual
	}
	return c.texts == c.filled() && c.words < 5*c.texts
}
