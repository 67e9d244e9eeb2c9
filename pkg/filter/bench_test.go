package filter

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

var benchSchemas = Schemas{
	"ITEMS": {Type: schema.Items, Fields: []schema.Field{
		{Name: "ITEM_ID"}, {Name: "GENRES", Categorical: true, Nullable: true}, {Name: "BRAND", Nullable: true},
		{Name: "PRICE", Kind: schema.Float, Nullable: true}, {Name: "YEAR", Kind: schema.Int}, {Name: "CREATION_TIMESTAMP", Kind: schema.Long},
	}},
	"INTERACTIONS": {Type: schema.Interactions, Fields: []schema.Field{{Name: "ITEM_ID"}, {Name: "EVENT_TYPE"}}},
	"USERS":        {Type: schema.Users, Fields: []schema.Field{{Name: "USER_ID"}, {Name: "AGE", Kind: schema.Int}}},
}

// benchTable has a genre in half of the items (g0), one in one of a hundred (rare), some in between, 1000 brands, and
// numbers spread evenly.
func benchTable(rows int) *Table {
	random := rand.New(rand.NewPCG(1, 2))
	t := NewTable(benchSchemas["ITEMS"])
	for row := range rows {
		t.Put(benchItem(random, row))
	}
	return t
}

func benchItem(random *rand.Rand, row int) reco.Entity {
	genres := []string{"g" + fmt.Sprint(2+random.IntN(20))}
	if random.IntN(2) == 0 {
		genres = append(genres, "g0")
	}
	if random.IntN(100) == 0 {
		genres = append(genres, "rare")
	}
	return reco.Entity{ID: fmt.Sprint("item-", row), Properties: map[string]any{
		"GENRES": strings.Join(genres, "|"), "BRAND": fmt.Sprint("brand-", random.IntN(1000)),
		"PRICE": random.Float64() * 100, "YEAR": int64(1924 + random.IntN(100)), "CREATION_TIMESTAMP": 1_600_000_000 + random.Int64N(100_000_000),
	}}
}

func BenchmarkSelect(b *testing.B) {
	subject := Subject{User: map[string]any{"AGE": int64(30)}, CurrentItem: "item-7"}
	for i := range 200 {
		subject.History = append(subject.History, reco.RecentInteraction{ItemID: fmt.Sprint("item-", i*7), EventType: []string{"click", "watch"}[i%2], TimestampMS: int64(i)})
	}
	for _, rows := range []int{100_000, 1_000_000} {
		table := benchTable(rows)
		for _, c := range []struct{ name, text string }{
			{"category 1%", `INCLUDE ItemID WHERE Items.GENRES IN ("rare")`},
			{"category 50%", `INCLUDE ItemID WHERE Items.GENRES IN ("g0")`},
			{"brand 0.1%", `INCLUDE ItemID WHERE Items.BRAND = "brand-7"`},
			{"price 1%", `INCLUDE ItemID WHERE Items.PRICE < 1`},
			{"price 50%", `INCLUDE ItemID WHERE Items.PRICE < 50`},
			{"timestamp 1%", `INCLUDE ItemID WHERE Items.CREATION_TIMESTAMP >= 1699000000`},
			{"years listed", `INCLUDE ItemID WHERE Items.YEAR IN (1950, 1960, 1970, 1980, 1990)`},
			{"decade", `INCLUDE ItemID WHERE Items.YEAR >= 1970 AND Items.YEAR < 1980`},
			{"category 1% and price", `INCLUDE ItemID WHERE Items.GENRES IN ("rare") AND Items.PRICE < 50`},
			{"seen", `EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")`},
			{"unseen comedies", `INCLUDE ItemID WHERE Items.GENRES IN ("rare") | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")`},
			{"cheaper alike", `INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE AND Items.GENRES IN CurrentItem.GENRES`},
			{"if", `EXCLUDE ItemID WHERE Items.GENRES NOT IN ("g0") IF CurrentUser.AGE > 18`},
		} {
			f, err := Compile(c.text, benchSchemas)
			if err != nil {
				b.Fatal(err)
			}
			bound, err := f.Bind(nil)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%dk", c.name, rows/1000), func(b *testing.B) {
				b.ReportAllocs()
				count := 0
				for b.Loop() {
					count = bound.Select(table, subject).Count()
				}
				b.ReportMetric(float64(count), "rows")
			})
		}
	}
}

func BenchmarkSelectionHas(b *testing.B) {
	table := benchTable(100_000)
	f, err := Compile(`INCLUDE ItemID WHERE Items.GENRES IN ("g0")`, benchSchemas)
	if err != nil {
		b.Fatal(err)
	}
	bound, err := f.Bind(nil)
	if err != nil {
		b.Fatal(err)
	}
	selection := bound.Select(table, Subject{})
	for b.Loop() {
		found := 0
		for row := range int32(100_000) {
			if selection.Has(row) {
				found++
			}
		}
		if found != selection.Count() {
			b.Fatal(found, selection.Count())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/row")
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(`INCLUDE ItemID WHERE Items.GENRES IN ($G) AND Items.PRICE < $P IF CurrentUser.AGE > 18 | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")`, benchSchemas); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBind(b *testing.B) {
	f, err := Compile(`INCLUDE ItemID WHERE Items.GENRES IN ($G) AND Items.PRICE < $P`, benchSchemas)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Bind(map[string]string{"G": `"Comedy","Drama"`, "P": "10"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPut fills a table of a million items, and then replaces records of it; it reports the memory of an item.
func BenchmarkPut(b *testing.B) {
	const rows = 1_000_000
	random := rand.New(rand.NewPCG(1, 2))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := benchTable(rows)
	runtime.GC()
	runtime.ReadMemStats(&after)
	replacements := make([]reco.Entity, 10_000)
	for i := range replacements {
		replacements[i] = benchItem(random, random.IntN(rows))
	}
	i := 0
	for b.Loop() {
		table.Put(replacements[i%len(replacements)])
		i++
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/rows, "B/item")
}
