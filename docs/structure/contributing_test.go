package structure_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A step of a walk in CONTRIBUTING: a file and the function of it that the walk comes through.
type step struct {
	from           string // what data comes from, where no call leads here: the log, Redis, the catalog
	file, function string
}

// root is the path of the repository from here.
const root = "../../"

var stepLine = regexp.MustCompile("(?m)^\\d+\\. (?:From ([^:]+): )?`([^`]+)`, `([^`]+)`:")

// TestWalksFollowTheLinks keeps the newcomer's walks in CONTRIBUTING true: a step's function is declared in its file, and
// called in a file of an earlier step, unless data comes from elsewhere.
func TestWalksFollowTheLinks(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(root + "CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "## Three walks\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	longest := map[string]int{
		"From a PutEvents call to a changed list": 8, "From a CSV row to a model's number": 10, "From a filter expression to a shorter list": 6,
	}
	walks := strings.Split(section, "\n### ")[1:]
	if len(walks) != len(longest) {
		t.Errorf("there are %d walks, want %d", len(walks), len(longest))
	}
	for _, walk := range walks {
		title, body, _ := strings.Cut(walk, "\n")
		var steps []step
		for _, m := range stepLine.FindAllStringSubmatch(body, -1) {
			steps = append(steps, step{m[1], m[2], m[3]})
		}
		if len(steps) < 4 || len(steps) > longest[title] {
			t.Errorf("%q has %d steps, want at most %d", title, len(steps), longest[title])
		}
		checkWalk(t, title, steps)
	}
}

func checkWalk(t *testing.T, title string, steps []step) {
	t.Helper()
	var passed []string // the contents of the files so far
	for n, s := range steps {
		content, err := os.ReadFile(root + s.file)
		if err != nil {
			t.Errorf("%s: %v", title, err)
			continue
		}
		source, name := string(content), regexp.QuoteMeta(s.function)
		if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + name + `[(\[]`).MatchString(source) {
			t.Errorf("%s: %s declares no %s", title, s.file, s.function)
		}
		call := regexp.MustCompile(`[.\s(!]` + name + `[(\[,)]`)
		if n > 0 && s.from == "" && !slices.ContainsFunc(passed, call.MatchString) {
			t.Errorf("%s: no file before %s calls %s", title, s.file, s.function)
		}
		passed = append(passed, source)
	}
}
