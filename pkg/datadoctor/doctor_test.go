package datadoctor

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

var asOf = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// shop is data without a fault; faults are planted into copies of it.
type shop struct {
	interactions []reco.Interaction
	items, users []reco.Entity
}

// healthy has 60 users with 30 interactions each with 100 items, all of which have rows.
func healthy() *shop {
	s := &shop{}
	for n := range 60 * 30 {
		user, step := n%60, n/60
		kind := "view"
		if n%7 == 0 {
			kind = "purchase"
		}
		s.interactions = append(s.interactions, reco.Interaction{
			UserID: fmt.Sprintf("u%d", user), ItemID: fmt.Sprintf("i%d", (user*7+step*step*3+step)%100), EventType: kind,
			TimestampMS: asOf.Add(-time.Duration(2000-n) * time.Hour).UnixMilli(),
		})
	}
	for i := range 100 {
		s.items = append(s.items, reco.Entity{ID: fmt.Sprintf("i%d", i), Properties: map[string]any{
			"GENRE": []string{"jazz", "rock", "jazz|funk"}[i%3], "PRICE": float64(i%9) + 0.5, "CREATION_TIMESTAMP": asOf.Add(-time.Duration(3000+10*i) * time.Hour).Unix(),
		}})
	}
	for u := range 60 {
		s.users = append(s.users, reco.Entity{ID: fmt.Sprintf("u%d", u), Properties: map[string]any{"AGE": int64(20 + u%5)}})
	}
	return s
}

func (s *shop) examine(o Options) *Report {
	if o.AsOf.IsZero() {
		o.AsOf = asOf
	}
	e := NewExaminer(o)
	for n := range s.interactions {
		e.Interaction(&s.interactions[n])
	}
	for n := range s.items {
		e.Entity(schema.Items, &s.items[n])
	}
	for n := range s.users {
		e.Entity(schema.Users, &s.users[n])
	}
	return e.Report()
}

func (s *shop) setItems(column string, value func(n int) any) {
	for n := range s.items {
		s.items[n].Properties[column] = value(n)
	}
}

func TestHealthyDataHaveNoFindings(t *testing.T) {
	t.Parallel()
	r := healthy().examine(Options{})
	if len(r.Findings) != 0 || r.Interactions != 1800 || r.Users != 60 || r.Items != 100 {
		t.Errorf("%s", r.Page())
	}
	for _, v := range r.Recipes {
		trainable := v.Recipe != "aws-semantic-similarity" // there are no textual columns
		if v.Recipe == coldStart {
			trainable = false // none of the items is cold
		}
		if v.Trainable != trainable {
			t.Errorf("%+v", v)
		}
	}
}

// TestPlantedFaultsAreFound plants one fault after the other.
func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, column string
		plant        func(s *shop)
		level        Level
		count        int64
	}{
		{"TOO_FEW_INTERACTIONS", "", func(s *shop) { s.interactions = s.interactions[:900] }, Error, 900},
		{"TOO_FEW_USERS", "", func(s *shop) {
			for n := range s.interactions {
				if n%60 >= 20 {
					s.interactions[n].UserID = fmt.Sprintf("once%d", n)
				}
			}
		}, Error, 20},
		{"FEW_ITEMS", "", func(s *shop) {
			for n := range s.interactions {
				s.interactions[n].ItemID = fmt.Sprintf("i%d", n%40)
			}
		}, Warning, 40},
		{"INCOMPLETE_INTERACTIONS", "", func(s *shop) { s.interactions[3].ItemID = "" }, Note, 1},
		{"DUPLICATE_ROWS", "", func(s *shop) { s.interactions = append(s.interactions, s.interactions[:300]...) }, Warning, 300},
		{"DUPLICATE_IDS", "", func(s *shop) { s.items = append(s.items, s.items[:5]...) }, Warning, 5},
		{"TIMESTAMP_IN_FUTURE", "TIMESTAMP", func(s *shop) { s.interactions[9].TimestampMS = asOf.Add(48 * time.Hour).UnixMilli() }, Warning, 1},
		{"TIMESTAMP_IN_FUTURE", "TIMESTAMP", func(s *shop) {
			for n := range 600 {
				s.interactions[n].TimestampMS += (5000 * time.Hour).Milliseconds()
			}
		}, Error, 600},
		{"TIMESTAMP_BEFORE_1970", "TIMESTAMP", func(s *shop) { s.interactions[9].TimestampMS = -1000 }, Warning, 1},
		{"TIMESTAMP_BEFORE_2000", "TIMESTAMP", func(s *shop) { s.interactions[9].TimestampMS = 0 }, Warning, 1},
		{"TIMESTAMPS_ARE_DATES", "TIMESTAMP", func(s *shop) {
			for n := range s.interactions {
				s.interactions[n].TimestampMS -= s.interactions[n].TimestampMS % (24 * time.Hour).Milliseconds()
				s.interactions[n].ItemID = fmt.Sprintf("i%d", n%97)
			}
		}, Note, 1800},
		{"ITEM_CREATED_AFTER_USE", "CREATION_TIMESTAMP", func(s *shop) {
			s.setItems("CREATION_TIMESTAMP", func(int) any { return asOf.Unix() })
		}, Warning, 100},
		{"ORDER_UNKNOWN", "TIMESTAMP", func(s *shop) {
			for n := range s.interactions {
				s.interactions[n].TimestampMS = asOf.Add(-time.Hour).UnixMilli() + int64(n%60)
				s.interactions[n].ItemID = fmt.Sprintf("i%d", (n/60*7+n%60)%100)
			}
		}, Error, 60},
		{"ONE_EVENT_TYPE", "EVENT_TYPE", func(s *shop) {
			for n := range s.interactions {
				s.interactions[n].EventType = "view"
			}
		}, Note, 1},
		{"MANY_EVENT_TYPES", "EVENT_TYPE", func(s *shop) {
			for n := range s.interactions {
				s.interactions[n].EventType = fmt.Sprintf("click-%d", n%25)
			}
		}, Warning, 25},
		{"ONE_ITEM_USERS", "USER_ID", func(s *shop) {
			for n := range 100 {
				s.interactions = append(s.interactions, reco.Interaction{UserID: fmt.Sprintf("u-%d", n), ItemID: "i1", EventType: "view", TimestampMS: asOf.UnixMilli()})
			}
		}, Warning, 100},
		{"BOTS", "USER_ID", func(s *shop) {
			for n := range 4000 {
				s.interactions = append(s.interactions, reco.Interaction{
					UserID: "u1", ItemID: fmt.Sprintf("i%d", n%100), EventType: "view", TimestampMS: asOf.Add(-time.Duration(n) * time.Second).UnixMilli(),
				})
			}
		}, Warning, 1},
		{"UNKNOWN_USERS", "USER_ID", func(s *shop) { s.users = s.users[:30] }, Warning, 30},
		{"UNKNOWN_USERS", "USER_ID", func(s *shop) {
			for n := range s.users {
				s.users[n].ID = "user-" + s.users[n].ID
			}
		}, Error, 60},
		{"UNKNOWN_ITEMS", "ITEM_ID", func(s *shop) { s.items = s.items[:90] }, Warning, 10},
		{"UNKNOWN_ITEMS", "ITEM_ID", func(s *shop) {
			for n := range s.items {
				s.items[n].ID = "sku-" + s.items[n].ID
			}
		}, Error, 100},
		{"DEAD_ITEMS", "ITEM_ID", func(s *shop) {
			for n := range 20 {
				s.items = append(s.items, reco.Entity{ID: fmt.Sprintf("dead%d", n), Properties: s.items[n].Properties})
			}
		}, Note, 20},
		{"CONSTANT_COLUMN", "GENRE", func(s *shop) { s.setItems("GENRE", func(int) any { return "jazz" }) }, Warning, 100},
		{"EMPTY_COLUMN", "GENRE", func(s *shop) { s.setItems("GENRE", func(int) any { return nil }) }, Warning, 100},
		{"NEARLY_UNIQUE_COLUMN", "GENRE", func(s *shop) { s.setItems("GENRE", func(n int) any { return fmt.Sprint("sku", n) }) }, Note, 100},
		{"MOSTLY_NULL", "PRICE", func(s *shop) {
			for n := range 80 {
				s.items[n].Properties["PRICE"] = nil
			}
		}, Warning, 80},
		{"NULLS", "PRICE", func(s *shop) {
			for n := range 20 {
				s.items[n].Properties["PRICE"] = nil
			}
		}, Note, 20},
	} {
		t.Run(c.code+"/"+string(c.level), func(t *testing.T) {
			s := healthy()
			c.plant(s)
			r := s.examine(Options{})
			f := r.Finding(c.code, c.column)
			if f == nil {
				t.Fatalf("not found:\n%s", r.Page())
			}
			if f.Level != c.level || f.Count != c.count || f.Estimated || f.Message == "" {
				t.Errorf("%+v, want level %s and count %d", f, c.level, c.count)
			}
		})
	}
}

func TestSchemasSayWhatColumnsAreFor(t *testing.T) {
	t.Parallel()
	s := healthy()
	s.setItems("GENRE", func(n int) any { return fmt.Sprint("sku", n) })
	document := func(marks string) *schema.Schema {
		parsed, err := schema.Parse(`{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","version":"1.0","fields":[
			{"name":"ITEM_ID","type":"string"},{"name":"GENRE","type":"string"`+marks+`},{"name":"PRICE","type":"float"},{"name":"CREATION_TIMESTAMP","type":"long"}]}`, "")
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	r := s.examine(Options{Schemas: map[schema.Type]*schema.Schema{schema.Items: document(`,"categorical":true`)}})
	if f := r.Finding("NEARLY_UNIQUE_COLUMN", "GENRE"); f == nil || f.Level != Warning {
		t.Errorf("a categorical column: %+v", f)
	}
	r = s.examine(Options{Schemas: map[schema.Type]*schema.Schema{schema.Items: document(`,"textual":true`)}})
	if f := r.Finding("NEARLY_UNIQUE_COLUMN", "GENRE"); f != nil {
		t.Errorf("a textual column: %+v", f)
	}
	if v := verdict(t, r, "aws-semantic-similarity"); !v.Trainable {
		t.Errorf("with a textual column: %+v", v)
	}
}

func verdict(t *testing.T, r *Report, name string) Verdict {
	t.Helper()
	i := slices.IndexFunc(r.Recipes, func(v Verdict) bool { return v.Recipe == name })
	if i < 0 {
		t.Fatalf("there is no verdict on %s", name)
	}
	return r.Recipes[i]
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	few := healthy()
	few.interactions, few.items = few.interactions[:900], nil
	r := few.examine(Options{})
	if v := verdict(t, r, "aws-sims"); v.Trainable || v.Reason != "Dataset has fewer than 1000 interactions" {
		t.Errorf("%+v", v)
	}
	r = few.examine(Options{MinInteractions: 100})
	if v := verdict(t, r, "aws-item-attribute-affinity"); v.Trainable || !strings.Contains(v.Reason, "needs an Items dataset") {
		t.Errorf("%+v", v)
	}
	if v := verdict(t, r, "aws-hrnn-metadata"); !v.Trainable || !strings.Contains(strings.Join(v.But, ""), "it is aws-hrnn") {
		t.Errorf("%+v", v)
	}
	if v := verdict(t, r, "aws-next-best-action"); !v.Trainable || len(v.But) == 0 {
		t.Errorf("%+v", v)
	}

	// Use cases train on one type of event.
	video := healthy()
	for n := range video.interactions {
		if video.interactions[n].EventType = "Watch"; n%60 >= 10 {
			video.interactions[n].EventType = "Click"
		}
	}
	r = video.examine(Options{Domain: "VIDEO_ON_DEMAND", MinInteractions: 100})
	if v := verdict(t, r, "aws-vod-most-popular"); v.Trainable || !strings.Contains(v.Reason, "25 users") {
		t.Errorf("%+v", v)
	}
	if v := verdict(t, r, "aws-vod-top-picks"); !v.Trainable {
		t.Errorf("%+v", v)
	}

	cold := healthy()
	for n := range 150 {
		cold.items = append(cold.items, reco.Entity{ID: fmt.Sprint("new", n), Properties: map[string]any{
			"GENRE": "jazz", "PRICE": 2.5, "CREATION_TIMESTAMP": asOf.Unix(),
		}})
	}
	if v := verdict(t, cold.examine(Options{}), coldStart); !v.Trainable {
		t.Errorf("%+v", v)
	}
}

// TestBoundedMemory shows more users, items and rows than are kept: counts are estimates, and the bot is found all the
// same.
func TestBoundedMemory(t *testing.T) {
	t.Parallel()
	const users, bot = 40_000, "the bot"
	e := NewExaminer(Options{AsOf: asOf, KeptIDs: 2000, KeptRows: 4000, KeepExamples: true})
	show := func(user, item string, n int) {
		e.Interaction(&reco.Interaction{UserID: user, ItemID: item, EventType: "view", TimestampMS: asOf.Add(-time.Duration(n) * time.Second).UnixMilli()})
	}
	for n := range users {
		user := fmt.Sprint("user", n)
		show(user, fmt.Sprint("item", n%5000), n)
		if n%2 == 0 { // half of them come back
			show(user, fmt.Sprint("item", (n+7)%5000), n+1)
		}
		if n%4 == 0 { // and one in four is told twice
			show(user, fmt.Sprint("item", n%5000), n)
		}
		show(bot, fmt.Sprint("item", n%5000), users+n)
	}
	if kept := len(e.users.kept) + len(e.items.kept); kept > 4000 || len(e.rows.kept) > 4000 || len(e.heavy.counts) > heavyCounters {
		t.Errorf("it keeps %d ids, %d rows and %d counts", kept, len(e.rows.kept), len(e.heavy.counts))
	}
	r := e.Report()
	near := func(code, column string, want float64) {
		t.Helper()
		f := r.Finding(code, column)
		if f == nil || !f.Estimated || float64(f.Count) < 0.85*want || float64(f.Count) > 1.15*want {
			t.Errorf("%s: %+v, want about %.0f", code, f, want)
		}
	}
	near("ONE_ITEM_USERS", "USER_ID", users/2)
	near("DUPLICATE_ROWS", "", users/4)
	if f := r.Finding("BOTS", "USER_ID"); f == nil || f.Count != 1 {
		t.Errorf("bots: %+v", f)
	}
}

// Of the rows that are kept to judge columns by, long strings are not kept whole.
func TestLongStringsAreNotKept(t *testing.T) {
	t.Parallel()
	e := NewExaminer(Options{AsOf: asOf})
	for n := range 100 {
		note := fmt.Sprint(n, strings.Repeat("é", 1<<19))
		e.Entity(schema.Items, &reco.Entity{ID: fmt.Sprint("item", n), Properties: map[string]any{"NOTE": note, "GENRES": "a|b"}})
	}
	kept := 0
	for id, properties := range e.judged {
		note, _ := properties["NOTE"].(string)
		if kept += len(note); note == "" || !utf8.ValidString(note) || properties["GENRES"] != "a|b" {
			t.Errorf("of %s it keeps %d bytes and %v", id, len(note), properties["GENRES"])
		}
	}
	if kept > 100*judgedText {
		t.Errorf("it keeps %d bytes", kept)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	var csv strings.Builder
	csv.WriteString("USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\n")
	for n, i := range healthy().interactions {
		at := i.TimestampMS / 1000
		if n%2 == 1 {
			at = i.TimestampMS // milliseconds
		}
		fmt.Fprintf(&csv, "%s,%s,%d,%s\n", i.UserID, i.ItemID, at, i.EventType)
	}
	csv.WriteString("u1,i1\nu1,,1700000000,view\n")
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r, err := Files{Interactions: write("events.csv", csv.String()), Items: write("items.csv", "SKU,GENRE\n1,jazz\n")}.Examine(Options{AsOf: asOf})
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Finding("TIMESTAMP_IN_MILLISECONDS", "TIMESTAMP"); f == nil || f.Level != Error || f.Count != 900 || !strings.Contains(f.Message, "line 3") {
		t.Errorf("milliseconds: %+v", f)
	}
	if f := r.Finding("INVALID_VALUE", "ITEM_ID"); f == nil || f.Count != 1 {
		t.Errorf("a row without an item: %+v", f)
	}
	if f := r.Finding("INVALID_VALUE", ""); f == nil || f.Count != 1 {
		t.Errorf("a short row: %+v", f)
	}
	if f := r.Finding("FILE_REFUSED", ""); f == nil || f.Dataset != "ITEMS" || !strings.Contains(f.Message, "missing the following columns:[ITEM_ID]") {
		t.Errorf("a file without ids: %+v", f)
	}
	if _, err := (Files{Interactions: filepath.Join(folder, "absent.csv")}).Examine(Options{}); err == nil {
		t.Error("a file that is not there was examined")
	}
}

// beginning copies the first lines of a packed file.
func beginning(t *testing.T, path string, lines int) string {
	t.Helper()
	packed, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	text, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	var content strings.Builder
	for scanner := bufio.NewScanner(text); lines > 0 && scanner.Scan(); lines-- {
		content.WriteString(scanner.Text() + "\n")
	}
	copied := filepath.Join(t.TempDir(), "beginning.csv")
	if err := os.WriteFile(copied, []byte(content.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// TestRealDataRaiseNoFalseAlarm looks at the research data, of which every custom recipe that takes them can be
// trained.
func TestRealDataRaiseNoFalseAlarm(t *testing.T) {
	t.Parallel()
	const folder = "../../../shared/data"
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("no research data: %v", err)
	}
	const lines = 40_000
	path := func(set, name string) string { return filepath.Join(folder, set, name+".csv.gz") }
	for set, files := range map[string]Files{
		"ml-1m":  {beginning(t, path("ml-1m", "interactions"), lines), path("ml-1m", "items"), path("ml-1m", "users")},
		"toys":   {beginning(t, path("toys", "interactions"), lines), path("toys", "items"), ""},
		"retail": {beginning(t, path("retail", "interactions"), lines), "", ""},
	} {
		t.Run(set, func(t *testing.T) {
			r, err := files.Examine(Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Errors > 0 || r.Finding("BOTS", "USER_ID") != nil || r.Finding("DUPLICATE_ROWS", "") != nil {
				t.Errorf("a false alarm:\n%s", r.Page())
			}
			if v := verdict(t, r, "aws-user-personalization"); !v.Trainable {
				t.Errorf("%+v", v)
			}
		})
	}
}
