package demo

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Shop is generated data: visitors with planted tastes, so that anyone can tell by eye whether a list suits its
// visitor. The same seed gives the same shop.
type Shop struct {
	items  []Item
	byID   map[string]Item
	clicks []click
}

// Item is something that the shop sells.
type Item struct{ ID, Title, Department string }

type click struct {
	visitor, item, kind string
	at                  time.Time
}

const (
	shopVisitors        = 900
	itemsADepartment    = 40
	meanClicksAVisitor  = 28
	shopDays            = 30
	purchaseShare       = 0.12
	shareOfMainTaste    = 0.68
	shareOfSecondTaste  = 0.22 // the rest goes anywhere
	popularitySkew      = 1.1
	departmentsInTheLot = 8
)

// departments holds, for each department, the words its items are named from.
var departments = [departmentsInTheLot]struct {
	name       string
	materials  [8]string
	sorts      [5]string
	popularity float64
}{
	{"Coffee", [8]string{"Copper", "Slow", "Double", "Ristretto", "Highland", "Ceramic", "Paper", "Travel"},
		[5]string{"Kettle", "Grinder", "Dripper", "Beans", "Tamper"}, 1.5},
	{"Climbing", [8]string{"Granite", "Feather", "Dynamic", "Grip", "Summit", "Chalk", "Alpine", "Boulder"},
		[5]string{"Rope", "Shoes", "Harness", "Carabiner", "Helmet"}, 0.8},
	{"Garden", [8]string{"Cedar", "Rain", "Heirloom", "Copper", "Wild", "Terracotta", "Bamboo", "Rooted"},
		[5]string{"Planter", "Trowel", "Seeds", "Trellis", "Hose"}, 1.0},
	{"Synths", [8]string{"Analog", "Modular", "Pocket", "Velvet", "Stereo", "Drift", "Acid", "Tape"},
		[5]string{"Sequencer", "Filter", "Keyboard", "Drum Machine", "Delay"}, 0.6},
	{"Kitchen", [8]string{"Cast Iron", "Steel", "Olive Wood", "Non-Stick", "Marble", "Damascus", "Enamel", "Carbon"},
		[5]string{"Skillet", "Knife", "Board", "Whisk", "Stockpot"}, 1.7},
	{"Cycling", [8]string{"Gravel", "Carbon", "Commuter", "Tubeless", "Reflective", "Merino", "Winter", "Folding"},
		[5]string{"Saddle", "Tyre", "Jersey", "Lamp", "Pedals"}, 1.2},
	{"Board Games", [8]string{"Medieval", "Cooperative", "Abstract", "Pirate", "Galactic", "Legacy", "Tiny", "Solo"},
		[5]string{"Dungeon", "Card Game", "Puzzle", "Strategy", "Expansion"}, 0.9},
	{"Photography", [8]string{"Prime", "Analog", "Tripod", "Wide", "Macro", "Leather", "Instant", "Silent"},
		[5]string{"Lens", "Film", "Strap", "Filter Kit", "Flash"}, 0.7},
}

// NewShop generates a shop whose newest clicks are from shortly before now.
func NewShop(seed uint64, now time.Time) *Shop {
	random := rand.New(rand.NewPCG(seed, seed))
	s := &Shop{byID: map[string]Item{}}
	for d, department := range departments {
		for n := range itemsADepartment {
			item := Item{
				ID:         fmt.Sprintf("%s-%02d", strings.ToLower(department.name[:3]), n),
				Title:      department.materials[n%8] + " " + department.sorts[n/8],
				Department: departments[d].name,
			}
			s.items = append(s.items, item)
			s.byID[item.ID] = item
		}
	}
	for v := range shopVisitors {
		s.visit(random, "visitor-"+strconv.Itoa(v), now)
	}
	slices.SortStableFunc(s.clicks, func(a,
		b click) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.visitor, b.visitor))
	})
	return s
}

// visit lets one visitor with a main and a second taste click through the shop.
func (s *Shop) visit(random *rand.Rand, visitor string, now time.Time) {
	main, second := weightedDepartment(random), random.IntN(departmentsInTheLot)
	popular := rand.NewZipf(random, popularitySkew, 4, itemsADepartment-1)
	at := now.Add(-time.Duration(random.Float64() * float64(shopDays*24*time.Hour)))
	for range 5 + random.IntN(2*(meanClicksAVisitor-5)) {
		department := random.IntN(departmentsInTheLot)
		switch draw := random.Float64(); {
		case draw < shareOfMainTaste:
			department = main
		case draw < shareOfMainTaste+shareOfSecondTaste:
			department = second
		}
		kind := "view"
		if random.Float64() < purchaseShare {
			kind = "purchase"
		}
		at = at.Add(time.Duration(20+random.IntN(600)) * time.Second)
		if at.After(now) {
			return
		}
		// The most popular item of a department has another number in each, so that ids reveal nothing.
		n := (int(popular.Uint64()) + 7*department) % itemsADepartment
		s.clicks = append(s.clicks, click{visitor, s.items[department*itemsADepartment+n].ID, kind, at})
	}
}

func weightedDepartment(random *rand.Rand) int {
	total := 0.0
	for _, d := range departments {
		total += d.popularity
	}
	draw := random.Float64() * total
	for i, d := range departments {
		if draw -= d.popularity; draw < 0 {
			return i
		}
	}
	return departmentsInTheLot - 1
}

// Item returns the item with the id, or the zero Item.
func (s *Shop) Item(id string) Item { return s.byID[id] }

// Department returns the items of one department, as listed.
func (s *Shop) Department(name string) []Item {
	var items []Item
	for _, item := range s.items {
		if item.Department == name {
			items = append(items, item)
		}
	}
	return items
}

// InteractionsSchema and ItemsSchema are the shop's Personalize schemas.
const (
	InteractionsSchema = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"},
		{"name":"EVENT_TYPE","type":"string"}],"version":"1.0"}`
	ItemsSchema = `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"ITEM_ID","type":"string"},{"name":"TITLE","type":"string"},
		{"name":"DEPARTMENT","type":"string","categorical":true}],"version":"1.0"}`
)

// InteractionsCSV returns the clicks as a file that Personalize imports.
func (s *Shop) InteractionsCSV() string {
	var b strings.Builder
	b.WriteString("USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\n")
	for _, c := range s.clicks {
		fmt.Fprintf(&b, "%s,%s,%d,%s\n", c.visitor, c.item, c.at.Unix(), c.kind)
	}
	return b.String()
}

// ItemsCSV returns the items as a file that Personalize imports.
func (s *Shop) ItemsCSV() string {
	var b strings.Builder
	b.WriteString("ITEM_ID,TITLE,DEPARTMENT\n")
	for _, item := range s.items {
		fmt.Fprintf(&b, "%s,%s,%s\n", item.ID, item.Title, item.Department)
	}
	return b.String()
}
