package modeltest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/penchant-io/penchant/pkg/dataset"
)

// MovieLens is the MovieLens 1M set, which benchmarks train on. Its licence keeps it out of the repository: it is looked
// for beside it, and without it the benchmark is skipped.
func MovieLens(b testing.TB) *dataset.TrainingSet {
	b.Helper()
	root, err := os.Getwd()
	if err != nil {
		b.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			b.Skip("outside the repository")
		}
		root = filepath.Dir(root)
	}
	path := filepath.Join(root, "..", "shared", "data", "ml-1m", "interactions.csv.gz")
	if _, err := os.Stat(path); err != nil {
		b.Skipf("MovieLens 1M is not there: %v", err)
	}
	builder := dataset.NewBuilder(dataset.BuilderOptions{})
	for i, err := range dataset.ReadInteractionsCSV(path) {
		if err != nil {
			b.Fatal(err)
		}
		builder.Add(&i)
	}
	ts, err := builder.Build()
	if err != nil {
		b.Fatal(err)
	}
	return ts
}
