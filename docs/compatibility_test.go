// Package docs_test holds the pages of this folder to the code.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeevents"
	"github.com/penchant-io/penchant/pkg/awsapi/personalizeruntime"
	"github.com/penchant-io/penchant/pkg/recipe"
)

const compatibilityPage = "compatibility.md"

// section is the part of a page under a heading, up to the next one of the same level.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no part %q", compatibilityPage, heading)
	}
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// TestCompatibilityNamesEveryOperation: each operation of the API stands once in the page, with a verdict that the page explains.
func TestCompatibilityNamesEveryOperation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	row := regexp.MustCompile(`(?m)^\| ((?:[A-Z]\w+(?:, )?)+) \| (\w+) \|`)
	for _, match := range row.FindAllStringSubmatch(section(t, string(page), "Operations"), -1) {
		if !slices.Contains([]string{"same", "stricter", "different", "absent"}, match[2]) {
			t.Errorf("%s: the verdict is %q", match[1], match[2])
		}
		named = append(named, strings.Split(match[1], ", ")...)
	}
	var wanted []string
	for _, operations := range [][]awsapi.Operation{personalize.Operations, personalizeevents.Operations, personalizeruntime.Operations} {
		for _, operation := range operations {
			wanted = append(wanted, operation.Name)
		}
	}
	slices.Sort(named)
	slices.Sort(wanted)
	if !slices.Equal(named, wanted) {
		t.Errorf("%s names\n%v\nand the API has\n%v", compatibilityPage, named, wanted)
	}
}

var update = flag.Bool("update", false, "write what is generated into docs")

// TestCompatibilityListsTheRecipes: the table of recipes is what the code says; -update writes it.
func TestCompatibilityListsTheRecipes(t *testing.T) {
	page, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| recipe | type | what it does here |\n|---|---|---|\n")
	for _, r := range recipe.All() {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", r.Name, r.Type, r.Description)
	}
	part := section(t, string(page), "Recipes")
	begin := strings.Index(part, "| recipe |")
	if begin < 0 {
		t.Fatalf("the part on recipes of %s has no table", compatibilityPage)
	}
	written := strings.TrimRight(part[begin:], "\n") + "\n"
	switch {
	case written == table.String():
	case *update:
		if err := os.WriteFile(compatibilityPage, []byte(strings.Replace(string(page), written, table.String(), 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table of recipes in %s is not what the code says; go test ./docs -run Compatibility -update writes it", compatibilityPage)
	}
}
