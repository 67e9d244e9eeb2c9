package main

// goal is what a training is held to on a split: issue and design state them. A metric is one of evaluate.py, or cpu
// (seconds of the whole command) or memory (its peak, in GiB), which are to be small.
type goal struct {
	set, protocol, trained, metric string
	// must is to be reached, aim is what would be better than anything known.
	must, aim float64
}

var goals = []goal{
	{"ml-1m", "p1", defaultRecipe, "hit@10", 0.316, 0.335},
	{"ml-1m", "p1", defaultRecipe, "ndcg@10", 0.186, 0.200},
	{"ml-1m", "p1", defaultRecipe, cpu, 300, 60},
	{"ml-1m", "p1", defaultRecipe, memory, 4, 1.5},
	{"ml-1m", "p1", "aws-hrnn", "hit@10", 0.290, 0.315},
	{"ml-1m", "p1", "aws-hrnn", "ndcg@10", 0.165, 0.186},
	{"ml-1m", "p1", "ials", "hit@10", 0.097, 0.104},
	{"ml-1m", "p2", defaultRecipe, "ndcg@25", 0.251, 0.285},
	{"ml-1m", "p2", defaultRecipe, "mrr@25", 0.385, 0.430},
	{"ml-1m", "p3", defaultRecipe, "ndcg@10", 0.207, 0.260},
	{"toys", "p1", defaultRecipe, "hit@10", 0.125, 0.140},
	{"toys", "p1", defaultRecipe, "ndcg@10", 0.080, 0.090},
}

const (
	defaultRecipe = "aws-user-personalization"
	cpu           = "cpu"
	memory        = "memory"
)

// smaller is better.
func smaller(metric string) bool { return metric == cpu || metric == memory }

// met reports whether a value reaches a bound.
func met(metric string, value, bound float64) bool {
	if smaller(metric) {
		return value <= bound
	}
	return value >= bound
}

// anchor is what something else reaches on a split, to stand beside what was measured.
type anchor struct {
	set, protocol, name string
	metrics             map[string]float64
	source              string
}

const (
	prototype = "prototype of the default recipe in numpy and torch, same splits and evaluator"
	tuned     = "tuned baseline, same splits and evaluator"
	sasrec    = "published, trained on a GPU: Klenitskiy, Vasilev, Turning Dross Into Gold Loss, RecSys 2023, arXiv " +
		"2309.07602"
)

var anchors = []anchor{
	{"ml-1m", "p1", "popularity", map[string]float64{"hit@10": 0.036, "ndcg@10": 0.018}, tuned},
	{"ml-1m", "p1", "iALS, whole users", map[string]float64{"hit@10": 0.104, "ndcg@10": 0.052}, tuned},
	{"ml-1m", "p1", "EASE", map[string]float64{"hit@10": 0.110, "ndcg@10": 0.054}, tuned},
	{"ml-1m", "p1", "autoregressive ridge + EASE", map[string]float64{"hit@10": 0.293, "ndcg@10": 0.178}, tuned},
	{"ml-1m", "p1", "GRU", map[string]float64{"hit@10": 0.305, "ndcg@10": 0.173}, prototype},
	{"ml-1m", "p1", "multi-scale decay network", map[string]float64{"hit@10": 0.314, "ndcg@10": 0.186}, prototype},
	{"ml-1m", "p1", "SASRec+ with 3000 negatives", map[string]float64{"hit@10": 0.316, "ndcg@10": 0.186}, sasrec},
	{"ml-1m", "p1", "stack", map[string]float64{"hit@10": 0.328, "ndcg@10": 0.195, cpu: 132}, prototype},
	{"ml-1m", "p2", "EASE", map[string]float64{"ndcg@25": 0.135, "mrr@25": 0.211}, tuned},
	{"ml-1m", "p2", "autoregressive ridge + EASE", map[string]float64{"ndcg@25": 0.251, "mrr@25": 0.389}, tuned},
	{"ml-1m", "p3", "content kNN", map[string]float64{"ndcg@10": 0.207}, tuned},
	{"ml-1m", "p3", "iALS + attributes", map[string]float64{"ndcg@10": 0.228}, tuned},
	{"toys", "p1", "kNN + rules", map[string]float64{"hit@10": 0.115, "ndcg@10": 0.076}, prototype},
	{"toys", "p1", "stack", map[string]float64{"hit@10": 0.133, "ndcg@10": 0.085}, prototype},
}

// columns are the metrics that a protocol's table shows.
var columns = map[string][]string{
	"p1": {"hit@10", "ndcg@10", "mrr", "coverage@25"},
	"p2": {"precision@25", "ndcg@25", "mrr@25", "coverage@25"},
	"p3": {"ndcg@10", "recall@10", "coverage@25"},
}

// headings are the names of the metrics in the tables.
var headings = map[string]string{
	"hit@10": "HR@10", "ndcg@10": "NDCG@10", "ndcg@25": "NDCG@25", "mrr": "MRR", "mrr@25": "MRR@25",
	"precision@25": "precision@25",
	"recall@10":    "recall@10", "coverage@25": "coverage@25", cpu: "CPU seconds", memory: "peak GiB",
}
