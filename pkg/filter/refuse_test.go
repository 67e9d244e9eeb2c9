package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/filter/filtertest"
)

func TestInvalidExpressionsAreRefused(t *testing.T) {
	t.Parallel()
	schemas := filtertest.Schemas()
	for _, c := range filtertest.InvalidExpressions() {
		_, err := filter.Compile(c.Expression, schemas)
		var wrong *filter.Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s: compiles, or fails without an Error: %v", c.Expression, err)
			continue
		}
		checkError(t, c.Expression, wrong, c.Words)
		if wrong.Offset != c.Offset() {
			t.Errorf("%s: the error stands at %d, want %d: %v", c.Expression, wrong.Offset, c.Offset(), err)
		}
	}
}

func TestInvalidValuesAreRefused(t *testing.T) {
	t.Parallel()
	schemas := filtertest.Schemas()
	for _, c := range filtertest.InvalidValues() {
		f, err := filter.Compile(c.Expression, schemas)
		if err != nil {
			t.Errorf("compiling %s: %v", c.Expression, err)
			continue
		}
		_, err = f.Bind(c.Values)
		var wrong *filter.Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s with %v: binds, or fails without an Error: %v", c.Expression, c.Values, err)
			continue
		}
		checkError(t, c.Expression, wrong, c.Words)
		if wrong.Parameter != c.Parameter {
			t.Errorf("%s with %v: the error is about $%s, want $%s", c.Expression, c.Values, wrong.Parameter, c.Parameter)
		}
	}
}

func checkError(t *testing.T, about string, err *filter.Error, words []string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: the error lacks %q: %v", about, w, err)
		}
	}
	if len(err.Error()) > 500 {
		t.Errorf("%s: the error has %d bytes", about, len(err.Error()))
	}
}

func TestDatasetsThatAreAbsentAreNamed(t *testing.T) {
	t.Parallel()
	all := filtertest.Schemas()
	for _, c := range []struct{ expression, absent, found string }{
		{`INCLUDE ItemID WHERE Items.GENRES IN ("a")`, "ITEMS", "no Items dataset"},
		{`INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("a")`, "INTERACTIONS", "no Interactions dataset"},
		{`INCLUDE ItemID WHERE Items.GENRES IN ("a") IF CurrentUser.AGE > 1`, "USERS", "no Users dataset"},
		{`INCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("a")`, "ACTION_INTERACTIONS", "no Action_Interactions dataset"},
	} {
		some := make(filter.Schemas)
		for datasetType, s := range all {
			if datasetType != c.absent {
				some[datasetType] = s
			}
		}
		if _, err := filter.Compile(c.expression, some); err == nil || !strings.Contains(err.Error(), c.found) {
			t.Errorf("%s without %s: %v", c.expression, c.absent, err)
		}
		if _, err := filter.Compile(c.expression, all); err != nil {
			t.Errorf("%s: %v", c.expression, err)
		}
	}
}
