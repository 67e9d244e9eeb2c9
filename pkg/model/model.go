// Package model says what a trained recommendation model is: an immutable thing that knows a catalogue of items and
// scores all of them for a user's history or for an item. The algorithms live in the folders below (popularity, sims,
// stack, …), are listed in pkg/recipe, trained by the retrainer and read by the recommender and the session-updater.
//
// Three conventions hold for every model:
//
//   - Items are numbered by descending number of interactions, then by id. "The lower index wins a tie" therefore means
//     "the more popular item, then the smaller id", and a model that knows nothing about a query scores every item alike
//     and so recommends what is popular.
//   - Scores are logits where the recipe shows scores: Softmax turns them into shares that sum to 1, over the whole
//     catalogue or over a given list. A score of minus infinity (Never) takes an item out of the ranking.
//   - A model and its parts depend on the training data, the parameters and the seed alone: never on the number of
//     threads, the clock or the order of a map.
package model

import (
	"fmt"
	"math"

	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// Query is what recommendations are asked for.
type Query struct {
	// History is the user's recent interactions, oldest first. Empty for an unknown user.
	History []reco.RecentInteraction
	// Vector is what Folder.Fold made of History; nil: the model folds History itself. Models that fold nothing ignore
	// it.
	Vector []float32
	// User is what the Users dataset says of the user, by column; nil where it says nothing, or where AsksUser says no.
	User map[string]any
	// ItemID is the item to which related ones are wanted; other recipes ignore it.
	ItemID string
	// ActionHistory is what the user did about actions, oldest first; ItemID holds the action's id. Only models whose
	// catalogue holds actions look at it.
	ActionHistory []reco.RecentInteraction
}

// Model is a trained model. It is read-only and safe for concurrent use.
type Model interface {
	// Items is the catalogue that the model scores.
	Items() *Items
	// Score writes the score of item i to scores[i]; scores has the catalogue's length. Items and users that the model
	// does not know are no error: what is known counts, and without anything known the scores rank by popularity.
	Score(q Query, scores []float32) error
	// Parts encodes the model; the recipe's Load decodes it. Equal models give equal bytes.
	Parts() ([]Part, error)
}

// Folder is a model that reduces a history to a vector, so that a user's vector can be kept and only scored at request
// time.
type Folder interface {
	// Dim is the length of a vector.
	Dim() int
	// Fold writes the vector of a history (oldest first) into vector, whose length is Dim. It allocates nothing that
	// outlives the call and equals what Score makes of the same history. A history without known items gives the zero
	// vector. Models that see more in a history than the vector holds look at both: a query has its history beside the
	// vector.
	Fold(history []reco.RecentInteraction, vector []float32)
}

// Segmenter is a model that finds users for items, which is the other way round.
type Segmenter interface {
	// Segment gives up to k users of the training, by descending affinity. Asked for something that was unknown at the
	// training, it finds nobody, which is no error.
	Segment(q SegmentQuery, k int) ([]ScoredUser, error)
}

// SegmentQuery says what users are sought for: an item, or the items that have all of some attributes.
type SegmentQuery struct {
	ItemID string
	// Attributes count when ItemID is empty; see ParseAttributes.
	Attributes []Attribute
}

// Attribute is a value of a column of the Items dataset.
type Attribute struct{ Column, Value string }

// ScoredUser is one user of a segment.
type ScoredUser struct {
	UserID string
	// Score is the affinity by which users are ordered. It compares users within one answer only.
	Score float32
}

// Extender is a model that can take in new items without being trained again.
type Extender interface {
	// Extend returns a model whose catalogue holds the items of the training set beside those it knows, numbered by the
	// set's interactions, and that has learned nothing else from the set. The model itself stays as it is.
	Extend(ts *trainingset.Set) Model
}

// Explainer is a model of several parts that can tell which of them carried an item.
type Explainer interface {
	// Explain gives, for each of the items, the terms that its score is the sum of, except for what all items of the
	// catalogue have in common. The items must be in range. It gives nil if the model has no parts after all.
	Explain(q Query, items []int32) ([][]Contribution, error)
}

// Contribution is one term of a score.
type Contribution struct {
	Name  string
	Score float64
}

// Of turns what a package's own Train or Load returns into a Model. With an error it returns nil, which a nil pointer
// in a Model would not be.
func Of[M Model](m M, err error) (Model, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Part is one encoded piece of a model, stored as one object. Names are fixed for each algorithm.
type Part struct {
	Name string
	Data []byte
}

// Never is the score of an item that must not be recommended, such as the query item among its related items.
var Never = float32(math.Inf(-1))

// CheckScores is the argument check shared by the implementations of Model.Score.
func CheckScores(items *Items, scores []float32) error {
	if len(scores) != items.Len() {
		return fmt.Errorf("scores have length %d, the catalogue has %d items", len(scores), items.Len())
	}
	return nil
}

// Items is a model's catalogue: dense indices, by descending popularity and then id, to item ids and back. It is
// read-only.
type Items struct {
	ids   []string
	index map[string]int32
}

// NewItems numbers the ids in the given order, which must be the one described in the package comment. Of an id that
// occurs twice, the first index counts. The slice is kept, not copied.
func NewItems(ids []string) *Items {
	index := make(map[string]int32, len(ids))
	for i, id := range ids {
		if _, twice := index[id]; !twice {
			index[id] = int32(i)
		}
	}
	return &Items{ids: ids, index: index}
}

// Len is the number of items.
func (t *Items) Len() int { return len(t.ids) }

// ID is the id of item i, which must be in range.
func (t *Items) ID(i int) string { return t.ids[i] }

// Index is the index of an id, or false where the model does not know it.
func (t *Items) Index(id string) (int, bool) {
	i, ok := t.index[id]
	return int(i), ok
}
