package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/services/penchant/operator"
)

// parsed runs a command line as main does.
func parsed(t *testing.T, args ...string) error {
	t.Helper()
	command, err := parseCommand(t.Context(), &commands{}, args)
	if err != nil {
		return err
	}
	return command.Run()
}

func TestDoctorLooksAtFiles(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "events.csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var csv strings.Builder
	csv.WriteString("USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\n")
	for n := range 2000 {
		fmt.Fprintf(&csv, "u%d,i%d,%d,%s\n", n%40, n/40+n%30, 1_700_000_000+n*60, []string{"view", "buy"}[n%2])
	}
	good := write(csv.String())
	future := write(csv.String() + "u1,i1,4000000000,view\n")
	milliseconds := write(csv.String() + "u1,i1,1700000000000,view\n")
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--interactions", good}, 0},
		{[]string{"--interactions", good, "-o", "json", "--fail-on", "warning"}, 0},
		{[]string{"--interactions", good, "--min-users", "50"}, 1},
		{[]string{"--interactions", good, "--as-of", "2023-11-16"}, 0}, // within a day's tolerance
		{[]string{"--interactions", good, "--as-of", "2020-01-01"}, 1},
		{[]string{"--interactions", future}, 0},
		{[]string{"--interactions", future, "--fail-on", "warning"}, 1},
		{[]string{"--interactions", milliseconds}, 1},
		{[]string{"--interactions", good + "x"}, 2},
		{[]string{"--interactions", good, "--dataset-group", "shop"}, 2},
		{[]string{"--dataset-group", "shop", "--items", good}, 2},
		{nil, 2},
	} {
		code, err := 0, parsed(t, append([]string{"doctor", "data", "--data-dir", t.TempDir()}, c.args...)...)
		if err != nil {
			code = exitCode(err)
		}
		if code != c.code || code == 1 && !errors.Is(err, operator.ErrProblems) {
			t.Errorf("%v: exit code %d (%v), want %d", c.args, code, err, c.code)
		}
	}
}
