// Package datasettest reads the research data on which tests and benchmarks of models run.
package datasettest

import (
	"cmp"
	"hash/fnv"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/trainingset"
)

// MovieLens is the interactions of the MovieLens 1M set, which benchmarks train on.
func MovieLens(t testing.TB) *trainingset.Set {
	t.Helper()
	return trainingSet(t, interactions(t, "ml-1m"), "", "")
}

// AllUsers has Research take a whole set.
const AllUsers = math.MaxInt

// Research is a research data set with its items and what is known of its users, cut to so many users, who are chosen
// by the hash of their ids.
func Research(t testing.TB, name string, users int) *trainingset.Set {
	t.Helper()
	all := interactions(t, name)
	hashes := map[string]uint64{}
	for _, i := range all {
		h := fnv.New64a()
		_, _ = h.Write([]byte(i.UserID))
		hashes[i.UserID] = h.Sum64()
	}
	ids := slices.SortedFunc(maps.Keys(hashes), func(a, b string) int {
		return cmp.Or(cmp.Compare(hashes[a], hashes[b]), cmp.Compare(a, b))
	})
	for _, id := range ids[min(users, len(ids)):] {
		delete(hashes, id)
	}
	all = slices.DeleteFunc(all, func(i reco.Interaction) bool { _, chosen := hashes[i.UserID]; return !chosen })
	return trainingSet(t, all, research(t, name, "items.csv.gz"), research(t, name, "users.csv.gz"))
}

// research is the path of a file of a data set, whose licences keep it out of the repository: it is looked for beside
// it, and without the set the test is skipped.
func research(t testing.TB, set, file string) string {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Skip("outside the repository")
		}
		root = filepath.Dir(root)
	}
	folder := filepath.Join(root, "..", "shared", "data", set)
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("the research data are not there: %v", err)
	}
	return filepath.Join(folder, file)
}

func interactions(t testing.TB, set string) []reco.Interaction {
	t.Helper()
	var all []reco.Interaction
	for i, err := range dataset.ReadInteractionsCSV(research(t, set, "interactions.csv.gz")) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, i)
	}
	return all
}

// trainingSet makes a set of interactions and of files of items and users, which may be absent.
func trainingSet(t testing.TB, interactions []reco.Interaction, items, users string) *trainingset.Set {
	t.Helper()
	builder := trainingset.NewBuilder(trainingset.Options{})
	for k := range interactions {
		builder.Add(&interactions[k])
	}
	if _, err := os.Stat(items); err == nil {
		for e, err := range dataset.ReadItemsCSV(items) {
			if err != nil {
				t.Fatal(err)
			}
			builder.AddItem(e)
		}
	}
	if _, err := os.Stat(users); err == nil {
		for e, err := range dataset.ReadUsersCSV(users) {
			if err != nil {
				t.Fatal(err)
			}
			builder.AddUser(e)
		}
	}
	ts, err := builder.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}
