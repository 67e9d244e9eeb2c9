// Package structure_test holds the repository to its own rules: which package may import which, and the pictures of it
// in README. It imports nothing of the product, so that it runs in a second.
package structure_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/penchant-io/penchant/"

// A band is what one line of README's picture shows. A package imports what stands in the bands below its own, and inside
// its band what stands in a later row: so a reader who knows the bands below a package knows all that it can touch, and no
// two packages of a band need each other.
type band struct {
	name string
	rows [][]string
}

// bands are the packages from the top down.
var bands = []band{
	{"the program", [][]string{
		{"services/penchant"},
		{"services/penchant/app", "services/penchant/demo", "services/penchant/evaluate", "services/penchant/operator"},
	}},
	{"services", [][]string{
		{"services/bridge", "services/control", "services/firehose", "services/recommender", "services/retrainer", "services/sessionupdater", "services/tracker"},
		{"services/control/datasets", "services/control/experiments", "services/control/solutions", "services/control/workflow", "services/retrainer/batch", "services/retrainer/results", "services/retrainer/training", "services/retrainer/transfer"},
		{"services/control/crud", "services/retrainer/groupdata", "services/retrainer/output"},
		{"services/retrainer/jobs"},
	}},
	{"learning and lists", [][]string{
		{"pkg/attributes", "pkg/datadoctor", "pkg/eval", "pkg/modelstore", "pkg/ranking"},
		{"pkg/ranking/diversity", "pkg/ranking/exploration"},
	}},
	{"stored data", [][]string{
		{"pkg/dataset"},
		{"pkg/archive", "pkg/catalog"},
		{"pkg/attribution", "pkg/eventfile", "pkg/experiment", "pkg/filter", "pkg/userstate", "pkg/wire"},
	}},
	{"outside systems and APIs", [][]string{
		{"pkg/awsapi/personalize", "pkg/awsapi/personalizeevents", "pkg/awsapi/personalizeruntime", "pkg/awsapi/scheduler", "pkg/awsapi/stepfunctions", "pkg/embedded"},
		{"pkg/asl", "pkg/awsapi", "pkg/awsapi/constraint", "pkg/blob", "pkg/bus", "pkg/process", "pkg/schedule"},
		{"pkg/backoff", "proto/penchant/v1"},
	}},
	{"models", [][]string{
		{"pkg/recipe"},
		{"pkg/model/stack"},
		{
			"pkg/model/affinity", "pkg/model/hrnn", "pkg/model/knn", "pkg/model/coldstart", "pkg/model/nextaction", "pkg/model/objective",
			"pkg/model/popularity", "pkg/model/ridge", "pkg/model/rules", "pkg/model/semantic", "pkg/model/similar", "pkg/model/sims",
			"pkg/model/trending",
		},
		{"pkg/model/content", "pkg/model/ials"},
		{"pkg/model/linear", "pkg/model/related"},
		{"pkg/model"},
		{"pkg/model/codec"},
	}},
	{"nouns and numbers", [][]string{
		{"pkg/linalg", "pkg/trainingset"},
		{"pkg/reco", "pkg/resource", "pkg/resource/mode", "pkg/resource/status", "pkg/schema", "pkg/simd"},
	}},
}

// supporting packages hold no product code: generators, and what only tests import.
var supporting = []string{
	"scripts/", "bench", "pkg/eventually", "pkg/testfile", "pkg/simd/internal/", "pkg/embedded/embeddedtest", "pkg/blob/blobtest",
	"pkg/dataset/datasettest", "pkg/filter/filtertest", "pkg/model/modeltest", "services/penchant/penchanttest",
	"services/penchant/faults", "services/retrainer/retrainertest", "deploy/deploytest",
}

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
	module + "pkg/embedded":          {"services/penchant/app"},
	"github.com/schollz/progressbar": {"services/penchant/demo"},
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

// heightOf is the place of a package in the bands and their rows, counted from the top; -1 where it is in none.
func heightOf(path string) int {
	height := 0
	for _, b := range bands {
		for _, row := range b.rows {
			if slices.Contains(row, path) {
				return height
			}
			height++
		}
	}
	return -1
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
		height := heightOf(p.ImportPath)
		if height < 0 {
			t.Errorf("%s stands in no band: place it in the table above", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			own, ours := strings.CutPrefix(path, module)
			switch {
			case !ours:
			case isSupporting(own):
				t.Errorf("%s imports %s, which is for tests and generators only", p.ImportPath, own)
			case heightOf(own) <= height:
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

// TestReadmeShowsTheLayers keeps the README's picture true; `go test ./docs/structure -run Readme -update` redraws it.
func TestReadmeShowsTheLayers(t *testing.T) {
	t.Parallel()
	const readme, begin, end = "../../README.md", "<!-- layers: drawn by architecture_test.go -->\n", "<!-- end of layers -->"
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
		t.Error("README.md shows other bands than the code has: run this test with -update")
	}
}

// drawLayers shows each band as a line; a folder of several packages is shown as one.
func drawLayers() string {
	var b strings.Builder
	b.WriteString("```\n")
	for i, band := range bands {
		if i > 0 {
			b.WriteString("   ↓\n")
		}
		packages := map[string]int{}
		for _, path := range slices.Concat(band.rows...) {
			folders := strings.SplitN(path, "/", 3)
			packages[folders[0]+"/"+folders[1]]++
		}
		fmt.Fprintf(&b, "%s:", band.name)
		for _, folder := range slices.Sorted(maps.Keys(packages)) {
			if packages[folder] > 1 || heightOf(folder) < 0 {
				folder += "/…"
			}
			fmt.Fprintf(&b, "   %s", folder)
		}
		b.WriteString("\n")
	}
	b.WriteString("```\n")
	return b.String()
}

// storage is what no model may link, whatever it imports.
var storage = []string{
	"pkg/archive", "pkg/blob", "pkg/bus", "pkg/catalog", "pkg/dataset", "pkg/eventfile", "pkg/userstate", "proto/",
}

// TestLinksOfModels keeps models free of storage: whoever writes one reads pkg/model and pkg/trainingset, and builds little.
func TestLinksOfModels(t *testing.T) {
	t.Parallel()
	linked := func(path string) []string {
		out, err := exec.Command("go", "list", "-deps", module+path).Output()
		if err != nil {
			t.Fatalf("listing what %s links: %v", path, err)
		}
		return strings.Fields(string(out))
	}
	for _, path := range linked("pkg/recipe") {
		own, _ := strings.CutPrefix(path, module)
		if slices.ContainsFunc(storage, func(s string) bool { return strings.HasPrefix(own, s) }) {
			t.Errorf("models link %s", own)
		}
	}
	// Package fmt alone links 60 others.
	const most = 80
	if all := linked("pkg/model/popularity"); len(all) > most {
		t.Errorf("the simplest model links %d packages, more than %d:\n%s", len(all), most, strings.Join(all, "\n"))
	}
}
