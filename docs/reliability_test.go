package docs_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEachPromiseIsTested holds docs/reliability.md to the tests: each promise links to one at least, and every test that the
// page names stands in the file it links to.
func TestEachPromiseIsTested(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile("\\[`(Test\\w+)`\\]\\(([^)]+)\\)")
	for _, found := range link.FindAllStringSubmatch(string(content), -1) {
		source, err := os.ReadFile(found[2])
		if err != nil {
			t.Errorf("%s: %v", found[1], err)
		} else if !strings.Contains(string(source), "\nfunc "+found[1]+"(") {
			t.Errorf("%s is not in %s", found[1], found[2])
		}
	}
	_, promises, _ := strings.Cut(string(content), "## The eleven promises")
	promises, _, _ = strings.Cut(promises, "\n## ")
	for n := 1; n <= 11; n++ {
		_, promise, found := strings.Cut(promises, fmt.Sprintf("\n**%d. ", n))
		promise, _, _ = strings.Cut(promise, fmt.Sprintf("\n**%d. ", n+1))
		if !found || !link.MatchString(promise) {
			t.Errorf("promise %d links to no test", n)
		}
	}
}
