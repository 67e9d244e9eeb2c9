// Package penchant_test holds the repository to its own rules: which package may import which, and the pictures of it
// in README. It imports nothing of the product, so that it runs in a second.
package penchant_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/penchant-io/penchant/"

// layers are the packages from the top down. A package imports what stands below its own layer, never beside or above:
// so a reader who knows the layers below a package knows all that it can touch.
var layers = [][]string{
	{"services/penchant"},
	{"services/penchant/operator"},
	{"services/bridge", "services/tracker", "services/sessionupdater", "services/firehose", "services/retrainer", "services/recommender", "services/control"},
	{"services/control/workflow", "services/retrainer/groupdata", "services/retrainer/output"},
	{"services/retrainer/jobs"},
	{"pkg/attributes", "pkg/datadoctor", "pkg/eval", "pkg/modelstore"},
	{"pkg/ranking/diversity", "pkg/ranking/exploration", "pkg/recipe"},
	{"pkg/model/stack"},
	{"pkg/model/affinity", "pkg/model/hrnn", "pkg/model/knn", "pkg/model/newcomer", "pkg/model/nextaction", "pkg/model/objective", "pkg/model/popularity", "pkg/model/ridge", "pkg/model/rules", "pkg/model/semantic", "pkg/model/similar", "pkg/model/sims", "pkg/model/trending"},
	{"pkg/model/content", "pkg/model/ials"},
	{"pkg/model/linear", "pkg/model/related"},
	{"pkg/model"},
	{"pkg/dataset", "pkg/userstate"},
	{"pkg/archive"},
	{"pkg/catalog", "pkg/eventfile", "pkg/embedded", "pkg/filter", "pkg/attribution", "pkg/trainingset", "pkg/wire"},
	{"pkg/awsapi/personalize", "pkg/awsapi/personalizeevents", "pkg/awsapi/personalizeruntime", "pkg/awsapi/stepfunctions", "pkg/awsapi/scheduler"},
	{"pkg/awsapi", "pkg/blob", "pkg/bus", "pkg/experiment", "pkg/linalg", "pkg/process", "pkg/schema", "pkg/asl"},
	{"pkg/awsapi/constraint", "pkg/backoff", "pkg/reco", "pkg/schedule", "pkg/simd"},
	{"proto/penchant/v1"},
}

// supporting packages hold no product code: generators, and what only tests import.
var supporting = []string{"scripts/", "bench", "pkg/eventually", "pkg/simd/internal/", "pkg/embedded/embeddedtest", "pkg/blob/blobtest", "pkg/dataset/datasettest", "pkg/filter/filtertest", "pkg/model/modeltest", "services/penchant/penchanttest", "services/penchant/faults", "services/retrainer/retrainertest"}

// doors says which package alone may import a library, so that each outside system is spoken to in one place.
var doors = map[string][]string{
	"github.com/twmb/franz-go":       {"pkg/bus", "pkg/embedded"},
	"github.com/redis/go-redis":      {"pkg/userstate"},
	"github.com/minio/minio-go":      {"pkg/blob"},
	"github.com/parquet-go":          {"pkg/eventfile"},
	"github.com/alicebob/miniredis":  {"pkg/embedded"},
	"github.com/versity/versitygw":   {"pkg/embedded"},
	"github.com/alecthomas/kong":     {"services/penchant"},
	"github.com/aws/aws-sdk-go":      {"pkg/awsapi", "pkg/embedded"}, // signing; the embedded S3's types
	module + "pkg/embedded":          {"services/penchant"},
	"github.com/schollz/progressbar": {"services/penchant"},
	"github.com/theory/jsonpath":     {"services/bridge"},
	"github.com/adhocore/gronx":      {"pkg/schedule"},
}

type listedPackage struct {
	ImportPath string
	GoFiles    []string
	Imports    []string
}

// listPackages returns the packages of the module, without those that hold nothing but tests.
func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,GoFiles,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("listing the packages: %v", err)
	}
	var packages []listedPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) == 0 {
			continue
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		packages = append(packages, p)
	}
}

func layerOf(path string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, path) })
}

func isSupporting(path string) bool {
	return slices.ContainsFunc(supporting, func(s string) bool { return path == s || strings.HasPrefix(path, s) })
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if isSupporting(p.ImportPath) {
			continue
		}
		layer := layerOf(p.ImportPath)
		if layer < 0 {
			t.Errorf("%s stands in no layer: place it in the table above", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			own, ours := strings.CutPrefix(path, module)
			switch {
			case !ours:
			case isSupporting(own):
				t.Errorf("%s imports %s, which is for tests and generators only", p.ImportPath, own)
			case layerOf(own) <= layer:
				t.Errorf("%s imports %s, which does not stand below it: move what they share further down", p.ImportPath, own)
			}
		}
	}
}

func TestEachLibraryHasOneDoor(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if isSupporting(p.ImportPath) {
			continue
		}
		for _, path := range p.Imports {
			for library, allowed := range doors {
				if strings.HasPrefix(path, library) && !slices.Contains(allowed, p.ImportPath) {
					t.Errorf("%s imports %s: the door to it is %s", p.ImportPath, path, strings.Join(allowed, " and "))
				}
			}
		}
	}
}

var update = flag.Bool("update", false, "write what is generated into README")

// TestReadmeShowsTheLayers keeps the README's picture true; `go test . -run Readme -update` redraws it.
func TestReadmeShowsTheLayers(t *testing.T) {
	t.Parallel()
	const readme, begin, end = "README.md", "<!-- layers: drawn by architecture_test.go -->\n", "<!-- end of layers -->"
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(content), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("README.md has no %q … %q", begin, end)
	}
	want := head + begin + drawLayers() + end + tail
	if *update {
		if err := os.WriteFile(readme, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(content) {
		t.Error("README.md shows other layers than the code has: run this test with -update")
	}
}

func drawLayers() string {
	var b strings.Builder
	b.WriteString("```\n")
	for i, layer := range layers {
		if i > 0 {
			b.WriteString("   ↓\n")
		}
		fmt.Fprintln(&b, strings.Join(layer, "   "))
	}
	b.WriteString("```\n")
	return b.String()
}
