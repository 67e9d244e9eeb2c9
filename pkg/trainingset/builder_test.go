package trainingset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/penchant-io/penchant/pkg/reco"
)

// streamed is an event as the archive gives it.
func streamed(id, user, session, item string, second int64) reco.Interaction {
	return reco.Interaction{
		EventID: id, UserID: user, SessionID: session, ItemID: item, EventType: "view", TimestampMS: 1000 * second,
		Origin: reco.Origin{TopicID: [16]byte{1}, Offset: second},
	}
}

// imported is an event as an import gives it: the n-th row.
func imported(n int64, user, item string, second int64) reco.Interaction {
	return reco.Interaction{
		EventID: fmt.Sprintf("i%012d", n), UserID: user, ItemID: item, EventType: "view", TimestampMS: 1000 * second,
	}
}

func build(t *testing.T, options Options, events ...reco.Interaction) *Set {
	t.Helper()
	b := NewBuilder(options)
	for i := range events {
		b.Add(&events[i])
	}
	set, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// histories writes a set as user: items, one line a user.
func histories(set *Set) string {
	var lines []string
	for u, user := range set.Users {
		var items []string
		for _, r := range set.History(u) {
			items = append(items, r.ItemID)
		}
		lines = append(lines, user+": "+strings.Join(items, " "))
	}
	return strings.Join(lines, "\n")
}

func TestBuilderOrdersUsersItemsAndEvents(t *testing.T) {
	t.Parallel()
	set := build(t, Options{},
		imported(0, "u2", "b", 5), imported(1, "u2", "a", 5), imported(2, "u1", "c", 9), imported(3, "u2", "c", 1),
		streamed("z", "u2", "", "d", 5), streamed("a", "u2", "", "e", 5))
	if diff := cmp.Diff("u1: c\nu2: c e b a d", histories(set)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, set.Items); diff != "" {
		t.Error(diff)
	}
}

func TestBuilderDropsRepeats(t *testing.T) {
	t.Parallel()
	withValue := func(i reco.Interaction, v float64) reco.Interaction { i.EventValue = &v; return i }
	withProperty := func(i reco.Interaction, v any) reco.Interaction {
		i.Properties = map[string]any{"DEVICE": v, "A": nil}
		return i
	}
	for name, c := range map[string]struct {
		events []reco.Interaction
		want   string
	}{
		"same event id": {[]reco.Interaction{
			streamed("x", "u", "", "late", 2), streamed("x", "u", "", "early", 1), streamed("y", "u", "", "other", 3),
		},
			"u: early other"},
		"same event id of two users": {
			[]reco.Interaction{streamed("x", "u", "", "a", 1), streamed("x", "v", "", "a", 1)}, "u: a\nv: a",
		},
		"equal imported rows": {[]reco.Interaction{imported(1, "u", "a", 1), imported(2, "u", "a", 1)}, "u: a"},
		"other time": {
			[]reco.Interaction{imported(1, "u", "a", 1), imported(2, "u", "a", 2)}, "u: a a",
		},
		"other value": {
			[]reco.Interaction{withValue(imported(1, "u", "a", 1), 1), imported(2, "u", "a", 1)}, "u: a a",
		},
		"equal properties": {
			[]reco.Interaction{
				withProperty(imported(1, "u", "a", 1), "x"), withProperty(imported(2, "u", "a", 1), "x"),
			},
			"u: a",
		},
		"other property": {
			[]reco.Interaction{
				withProperty(imported(1, "u", "a", 1), int64(1)), withProperty(imported(2, "u", "a", 1), 1.0),
			},
			"u: a a",
		},
		"equal streamed events": {
			[]reco.Interaction{streamed("x", "u", "", "a", 1), streamed("y", "u", "", "a", 1)}, "u: a a",
		},
		"without event ids": {
			[]reco.Interaction{streamed("", "u", "", "a", 1), streamed("", "u", "", "b", 1)}, "u: a b",
		},
		"incomplete events": {
			[]reco.Interaction{streamed("x", "", "", "a", 1), streamed("y", "u", "", "", 1)}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, histories(build(t, Options{}, c.events...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBuilderGivesSessionsToTheirUser(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events []reco.Interaction
		want   string
	}{
		"a stranger": {[]reco.Interaction{streamed("1", "", "s", "a", 1), streamed("2", "", "s", "b", 2)}, "s: a b"},
		"known later": {[]reco.Interaction{
			streamed("1", "", "s", "a", 1), streamed("2", "u", "s", "b", 2), streamed("3", "", "s", "c", 3),
		},
			"u: a b c"},
		"known by an event of another type": {[]reco.Interaction{streamed(
			"1", "", "s", "a", 1,
		), func() reco.Interaction {
			i := streamed("2", "u", "s", "b", 2)
			i.EventType = "login"
			return i
		}()}, "u: a"},
		"shared by two users": {
			[]reco.Interaction{
				streamed("1", "", "s", "a", 1), streamed("2", "u", "s", "b", 2), streamed("3", "v", "s", "c", 3),
			},
			"s: a\nu: b\nv: c",
		},
		"a session called like user": {
			[]reco.Interaction{streamed("1", "s", "", "a", 1), streamed("2", "u", "s", "b", 2)}, "s: a\nu: b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, histories(build(t, Options{EventType: "view"}, c.events...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBuilderFilters(t *testing.T) {
	t.Parallel()
	of := func(n int64, kind string, value float64) reco.Interaction {
		i := imported(n, "u", fmt.Sprint("item", n), n)
		i.EventType, i.EventValue = kind, &value
		if math.IsNaN(value) {
			i.EventValue = nil
		}
		return i
	}
	events := []reco.Interaction{
		of(1, "buy", 1), of(2, "Buy", 5), of(3, "buy", 5), of(4, "view", 9), of(5, "buy", math.NaN()),
	}
	threshold := 4.5
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{}, "u: item1 item2 item3 item4 item5"},
		{Options{EventType: "buy"}, "u: item1 item3 item5"},
		{Options{EventValueThreshold: &threshold}, "u: item2 item3 item4"},
		{Options{EventType: "buy", EventValueThreshold: &threshold}, "u: item3"},
	} {
		if diff := cmp.Diff(c.want, histories(build(t, c.options, events...))); diff != "" {
			t.Errorf("%+v: %s", c.options, diff)
		}
	}
}

func TestBuilderKeepsRows(t *testing.T) {
	t.Parallel()
	b := NewBuilder(Options{})
	for _, i := range []reco.Interaction{imported(1, "u", "a", 1), imported(2, "u", "c", 2)} {
		b.Add(&i)
	}
	row := func(id string, n int64) reco.Entity {
		return reco.Entity{ID: id, Properties: map[string]any{"N": n}}
	}
	b.AddItem(row("b", 1))
	b.AddItem(row("c", 2))
	b.AddItem(row("c", 3))
	b.AddUser(row("u", 4))
	b.AddUser(row("nobody", 5))
	set, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, set.Items); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[int32]reco.Entity{1: row("b", 1), 2: row("c", 3)}, set.ItemRows); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[int32]reco.Entity{0: row("u", 4)}, set.UserRows); diff != "" {
		t.Error(diff)
	}
}

func TestBuilderForgetsTheOrderOfItsInput(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var events []reco.Interaction
	for n := range 3000 {
		user, session := fmt.Sprint("u", r.IntN(40)), fmt.Sprint("s", r.IntN(80))
		if r.IntN(3) == 0 {
			user = ""
		}
		i := streamed(fmt.Sprint("e", r.IntN(2000)), user, session, fmt.Sprint("i", r.IntN(100)), int64(r.IntN(50)))
		if r.IntN(2) == 0 {
			i = imported(int64(n), fmt.Sprint("u", r.IntN(40)), fmt.Sprint("i", r.IntN(20)), int64(r.IntN(20)))
		}
		i.EventType = []string{"view", "buy"}[r.IntN(2)]
		if r.IntN(2) == 0 {
			v := float64(r.IntN(3))
			i.EventValue = &v
		}
		events = append(events, i)
	}
	want := build(t, Options{}, events...)
	if want.Events() == 0 || want.Events() == len(events) {
		t.Fatalf("%d of %d events stayed: the test tests nothing", want.Events(), len(events))
	}
	for range 5 {
		r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		if diff := cmp.Diff(want, build(t, Options{}, events...), cmpopts.EquateNaNs()); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestHistoryCarriesTypesAndValues(t *testing.T) {
	t.Parallel()
	value := 2.5
	i := imported(1, "u", "a", 7)
	i.EventValue = &value
	set := build(t, Options{}, i, imported(2, "u", "b", 8))
	want := []reco.RecentInteraction{
		{ItemID: "a", EventType: "view", EventValue: &value, TimestampMS: 7000},
		{ItemID: "b", EventType: "view", TimestampMS: 8000},
	}
	if diff := cmp.Diff(want, set.History(0)); diff != "" {
		t.Error(diff)
	}
}

func TestCheckMinimum(t *testing.T) {
	t.Parallel()
	events := []reco.Interaction{imported(1, "u", "a", 1), imported(2, "u", "b", 2), imported(3, "v", "a", 1)}
	for _, c := range []struct {
		options             Options
		interactions, users int
		want                string
	}{
		{Options{}, 3, 1, ""},
		{Options{}, 4, 1, "Dataset has fewer than 4 interactions"},
		{Options{EventType: "buy"}, 1, 1, "Dataset has fewer than 1 interactions after filtering by event type: buy"},
		{Options{}, 3, 2, "Dataset has fewer than 2 users with at least 2 interactions each"},
	} {
		err := build(t, c.options, events...).CheckMinimum(c.interactions, c.users)
		if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func BenchmarkBuilder(b *testing.B) {
	const n = 1_000_000
	r := rand.New(rand.NewPCG(1, 2))
	events := make([]reco.Interaction, n)
	for i := range events {
		events[i] = imported(
			int64(i), fmt.Sprint("user-", r.IntN(6000)), fmt.Sprint("item-", int(3500*math.Pow(r.Float64(), 2))),
			int64(i),
		)
	}
	b.ReportAllocs()
	for b.Loop() {
		builder := NewBuilder(Options{})
		for i := range events {
			builder.Add(&events[i])
		}
		if set, err := builder.Build(); err != nil || set.Events() != n {
			b.Fatal(err, set.Events())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
}
