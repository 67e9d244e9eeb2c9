package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/services/penchant/operator"
)

func TestFilterExpressionsAreChecked(t *testing.T) {
	t.Parallel()
	process, group, _ := startOperated(t)
	check := decoded[operator.FilterCheck](process, 0, "filter", "check",
		`EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($TYPES)`, "--dataset-group", group)
	if check.Error != "" || check.Selects != "ItemID" || !slices.Equal(check.Parameters, []string{"TYPES"}) ||
		!slices.Equal(check.Fields, []string{"INTERACTIONS.EVENT_TYPE"}) {
		t.Errorf("a valid filter: %+v", check)
	}
	wrong := process.penchant(1, "filter", "check", `EXCLUDE ItemID WHERE Interactions.NOPE IN ("a")`,
		"--dataset-group", group)
	lines := strings.Split(wrong.stdout, "\n")
	if len(lines) < 2 || strings.Index(lines[1], "^") != strings.Index(lines[0], "NOPE") {
		t.Errorf("the place of the error is not marked:\n%s", wrong.stdout)
	}
	process.penchant(2, "filter", "check", "x", "--dataset-group", "no-such-group")
	if o := process.penchant(2, "explain", "arn:aws:personalize:us-east-1:000000000000:campaign/none", "--user",
		"ada"); !strings.Contains(o.stderr, "ResourceNotFound") {
		t.Errorf("an absent campaign: %s", o.stderr)
	}
}
