package recipe_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/nextaction"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// archive is what has come in of a small group that has everything any recipe needs: enough cold items, text,
// attributes, answers to actions, and all types of event that use cases train on.
type archive struct {
	events, answers []reco.Interaction
	items, actions  []reco.Entity
	users           []reco.Entity
}

const (
	// archiveUsers have enough interactions for stacks to train all their components, the network, too.
	archiveUsers = 260
	// warm items are old and have nearly all interactions, cold ones are new and have hardly any.
	warmItems = 30
	coldItems = 110
	// noon is when everything happens.
	noon = 1_700_000_000
)

var archiveSchema = &schema.Schema{Type: schema.Items, Fields: []schema.Field{
	{Name: "ITEM_ID"}, {Name: "KIND", Categorical: true}, {Name: "PRICE", Kind: schema.Float},
	{Name: "STORY", Textual: true}, {Name: "CREATION_TIMESTAMP", Kind: schema.Long},
}}

var archiveUserSchema = &schema.Schema{Type: schema.Users, Fields: []schema.Field{
	{Name: "USER_ID"}, {Name: "TOWN", Categorical: true}, {Name: "AGE", Kind: schema.Int},
}}

func newArchive() *archive {
	random := rand.New(rand.NewPCG(5, 6))
	a := &archive{}
	for n := range warmItems + coldItems {
		created := int64(noon - 3600)
		if n < warmItems {
			created -= 100 * 24 * 3600
		}
		a.items = append(a.items, reco.Entity{ID: fmt.Sprintf("i%03d", n), Properties: map[string]any{
			"KIND": fmt.Sprintf("kind %d|kind %d", n%4, n%7), "PRICE": float64(n % 11), "CREATION_TIMESTAMP": created,
			"STORY": fmt.Sprintf(
				"about a %s and the %s", []string{"kettle", "tent", "novel", "chair"}[n%4],
				[]string{"sea", "night", "garden", "road", "winter"}[n%5],
			),
		}})
	}
	for offer := range 2 {
		a.actions = append(a.actions, reco.Entity{ID: fmt.Sprintf("offer%d", offer)})
	}
	types := []string{"View", "Purchase", "Watch"}
	for u := range archiveUsers {
		user := fmt.Sprintf("u%03d", u)
		happens := func(id, item, eventType string, second int) reco.Interaction {
			return reco.Interaction{
				EventID: user + id, UserID: user, ItemID: item, EventType: eventType,
				TimestampMS: 1000 * int64(noon+u+second),
			}
		}
		a.users = append(
			a.users,
			reco.Entity{
				ID: user, Properties: map[string]any{"TOWN": []string{"Here", "There"}[u%2], "AGE": int64(20 + u%30)},
			},
		)
		for e := range 9 {
			item := random.IntN(warmItems/2)*2 + u%2 // each likes every other item
			// Three happen at the same moment.
			a.events = append(a.events, happens(fmt.Sprint("-e", e), fmt.Sprintf("i%03d", item), types[e%3], 60*(e/3)))
		}
		if u%2 == 0 {
			a.events = append(
				a.events, happens("-cold", fmt.Sprintf("i%03d", warmItems+random.IntN(coldItems)), types[u%3], 600),
			)
		}
		for offer := range 2 {
			answer := nextaction.NotTaken
			if random.IntN(10) < 3+5*((u+offer)%2) {
				answer = nextaction.Taken
			}
			a.answers = append(
				a.answers, happens(fmt.Sprint("-a", offer), fmt.Sprintf("offer%d", offer), answer, 300+offer),
			)
		}
	}
	return a
}

// shuffled is the same, as it came in in another order.
func (a *archive) shuffled() *archive {
	random := rand.New(rand.NewPCG(7, 8))
	return &archive{
		events: shuffled(random, a.events), answers: shuffled(random, a.answers), items: shuffled(random, a.items),
		users: shuffled(random, a.users), actions: shuffled(random, a.actions),
	}
}

func shuffled[T any](random *rand.Rand, list []T) []T {
	other := make([]T, len(list))
	for to, from := range random.Perm(len(list)) {
		other[to] = list[from]
	}
	return other
}

// read makes the training set of a recipe.
func (a *archive) read(t *testing.T, r *recipe.Recipe) *trainingset.Set {
	t.Helper()
	b := trainingset.NewBuilder(trainingset.Options{
		ItemSchema: archiveSchema, UserSchema: archiveUserSchema, EventType: r.EventType,
	})
	for i := range a.events {
		b.Add(&a.events[i])
	}
	for i := range a.answers {
		b.AddActionInteraction(&a.answers[i])
	}
	for _, e := range a.items {
		b.AddItem(e)
	}
	for _, e := range a.users {
		b.AddUser(e)
	}
	for _, e := range a.actions {
		b.AddAction(e)
	}
	ts, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// TestSameDataAndSeedGiveTheSameBytes trains every recipe of the table twice: on one thread and on three, on data that
// came in in different orders. modeltest does so with the models themselves, at greater length; here no recipe can be
// left out.
func TestSameDataAndSeedGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	inOrder := newArchive()
	otherwise := inOrder.shuffled()
	for _, r := range recipe.All() {
		t.Run(r.Name, func(t *testing.T) {
			given := map[string]string{}
			for _, p := range r.HyperParameters {
				if p.Name == "hidden_dimension" {
					given[p.Name] = "32" // the least, which is enough here, and quick
				}
			}
			params, err := r.ParseParams(given)
			if err != nil {
				t.Fatal(err)
			}
			trained := func(a *archive, threads int) map[string]string {
				ts := a.read(t, r)
				if err := r.CheckData(ts, params); err != nil {
					t.Fatalf("the data do not suit the recipe: %v", err)
				}
				m, err := r.Fit(t.Context(), ts, params, recipe.Options{Seed: 1, Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				parts, err := m.Parts()
				if err != nil {
					t.Fatal(err)
				}
				if asks := model.AsksUser(m, nil); asks != (r.Realtime && r.Type != recipe.PersonalizedActions) {
					t.Errorf("the model asks for a newcomer's attributes: %v", asks)
				}
				if m.Items().Len() == 0 || len(parts) == 0 {
					t.Fatalf("a model of %d items, in %d parts", m.Items().Len(), len(parts))
				}
				hashes := map[string]string{}
				for _, p := range parts {
					hashes[p.Name] = fmt.Sprintf("%x, %d bytes", sha256.Sum256(p.Data), len(p.Data))
				}
				return hashes
			}
			if diff := cmp.Diff(trained(inOrder, 1), trained(otherwise, 3)); diff != "" {
				t.Errorf("the parts differ:\n%s", diff)
			}
		})
	}
}
