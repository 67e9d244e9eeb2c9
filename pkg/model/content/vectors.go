package content

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/model/related"
)

const (
	// maxPosting bounds the work for terms that very many items have: only so many of them, those for which the term
	// means most, are found by it.
	maxPosting = 10_000
	// commonShare is the share of the items above which a term says nothing, like "the".
	commonShare = 0.5
	// gramWeight is the weight of a piece of a word against a whole word.
	gramWeight = 0.3
	gramLength = 4
)

// Vectors are sparse vectors of unit length, one an item, over weighted terms: the more items have a term, the less it
// weighs (TF-IDF: Spärck Jones, "A statistical interpretation of term specificity", 1972). An item without terms has
// the zero vector.
type Vectors struct {
	start  []int
	term   []int32
	weight []float32
	terms  int
}

// weighted is a term of an item, before the other items are considered.
type weighted struct {
	term   string
	weight float64
}

// NewCategoryVectors weighs categories. Of each item the given number of terms, those that weigh most, are kept.
func NewCategoryVectors(categories [][]string, keep int) *Vectors {
	bags := make([][]weighted, len(categories))
	for i, terms := range categories {
		for _, t := range terms {
			bags[i] = append(bags[i], weighted{t, 1})
		}
	}
	return newVectors(bags, keep)
}

// NewTextVectors weighs the words of texts and the pieces of their longer words, by which "printer" is near "printing".
// Scripts without spaces between words are cut into pairs of characters. Of each item the given number of terms, those
// that weigh most, are kept.
func NewTextVectors(texts []string, keep int) *Vectors {
	bags := make([][]weighted, len(texts))
	for i, text := range texts {
		bags[i] = words(text)
	}
	return newVectors(bags, keep)
}

// words counts the terms of a text, in ascending order.
func words(text string) []weighted {
	counts := map[string]float64{}
	word := func(w []rune) {
		switch {
		case len(w) == 0:
		case slices.ContainsFunc(w, ideographic):
			for k := range w {
				counts[string(w[k:min(k+2, len(w))])]++
			}
		default:
			counts[string(w)]++
			for k := 0; len(w) > gramLength && k+gramLength <= len(w); k++ {
				counts["~"+string(w[k:k+gramLength])] += gramWeight
			}
		}
	}
	var current []rune
	for _, r := range strings.ToLower(text) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			current = append(current, r)
			continue
		}
		word(current)
		current = current[:0]
	}
	word(current)
	bag := make([]weighted, 0, len(counts))
	for term, n := range counts {
		weight := n
		if n > 1 {
			weight = 1 + math.Log(n)
		}
		bag = append(bag, weighted{term, weight})
	}
	slices.SortFunc(bag, func(a, b weighted) int { return strings.Compare(a.term, b.term) })
	return bag
}

func ideographic(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

// newVectors numbers the terms in ascending order; the terms of a bag are distinct. Terms that one item alone has add
// to its length, but are not kept: they are near nothing.
func newVectors(bags [][]weighted, keep int) *Vectors {
	frequency := map[string]int{}
	for _, bag := range bags {
		for _, w := range bag {
			frequency[w.term]++
		}
	}
	described := 0
	for _, bag := range bags {
		if len(bag) > 0 {
			described++
		}
	}
	common := max(int(commonShare*float64(described)), 2)
	var names []string
	for term, n := range frequency {
		if n > 1 && n <= common {
			names = append(names, term)
		}
	}
	slices.Sort(names)
	number := make(map[string]int32, len(names))
	for k, term := range names {
		number[term] = int32(k)
	}
	v := &Vectors{start: make([]int, 1, len(bags)+1), terms: len(names)}
	type entry struct {
		term   int32
		weight float64
	}
	for _, bag := range bags {
		var entries []entry
		square := 0.0
		for _, w := range bag {
			if frequency[w.term] > common {
				continue
			}
			weight := w.weight * math.Log(1+float64(described)/float64(frequency[w.term]))
			square += weight * weight
			if n, ok := number[w.term]; ok {
				entries = append(entries, entry{n, weight})
			}
		}
		slices.SortFunc(
			entries,
			func(a, b entry) int { return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.term, b.term)) },
		)
		entries = entries[:min(len(entries), keep)]
		slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.term, b.term) })
		for _, e := range entries {
			v.term, v.weight = append(v.term, e.term), append(v.weight, float32(e.weight/math.Sqrt(square)))
		}
		v.start = append(v.start, len(v.term))
	}
	return v
}

// Nearest finds the items with the largest cosines, at most k of each item; progress counts finished items.
func (v *Vectors) Nearest(
	ctx context.Context, k, threads int, progress func(items int),
) ([][]related.Neighbour, error) {
	n := len(v.start) - 1
	postings := v.postings()
	nearest := make([][]related.Neighbour, n)
	type scratch struct {
		cosine  []float32
		touched []int32
		scores  []float32
	}
	workers := make([]scratch, model.Threads(threads))
	err := model.Blocks(ctx, n, 64, len(workers), func(worker, from, to int) {
		s := &workers[worker]
		if s.cosine == nil {
			s.cosine = make([]float32, n)
		}
		for i := from; i < to; i++ {
			s.touched = s.touched[:0]
			for e := v.start[i]; e < v.start[i+1]; e++ {
				for _, p := range postings[v.term[e]] {
					if s.cosine[p.Item] == 0 {
						s.touched = append(s.touched, p.Item)
					}
					s.cosine[p.Item] += p.Score * v.weight[e]
				}
			}
			slices.Sort(s.touched) // so that a tie goes to the more popular item
			s.scores = s.scores[:0]
			for _, j := range s.touched {
				score := s.cosine[j]
				if int(j) == i {
					score = 0
				}
				s.scores = append(s.scores, score)
				s.cosine[j] = 0
			}
			best := model.TopK(s.scores, k, func(i int) bool { return s.scores[i] <= 0 })
			nearest[i] = make([]related.Neighbour, len(best))
			for k, b := range best {
				nearest[i][k] = related.Neighbour{Item: s.touched[b], Score: s.scores[b]}
			}
		}
		progress(to - from)
	})
	return nearest, err
}

// postings lists the items of each term with its weight there: the heaviest maxPosting, ascending by index.
func (v *Vectors) postings() [][]related.Neighbour {
	all := make([][]related.Neighbour, v.terms)
	for i := range len(v.start) - 1 {
		for e := v.start[i]; e < v.start[i+1]; e++ {
			all[v.term[e]] = append(all[v.term[e]], related.Neighbour{Item: int32(i), Score: v.weight[e]})
		}
	}
	for t, list := range all {
		if len(list) <= maxPosting {
			continue
		}
		slices.SortStableFunc(list, func(a, b related.Neighbour) int { return cmp.Compare(b.Score, a.Score) })
		all[t] = list[:maxPosting]
	}
	return all
}
