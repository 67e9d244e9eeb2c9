package evaluate

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penchant-io/penchant/pkg/recipe"
)

// evaluateFiles writes the files of an evaluation into a folder. Even users have even items, odd users odd ones.
func evaluateFiles(t *testing.T) Command {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var out io.WriteCloser = file
		if strings.HasSuffix(name, ".gz") {
			out = gzip.NewWriter(file)
			defer out.Close()
		}
		if _, err := io.WriteString(out, text); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var train strings.Builder
	train.WriteString("USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\n")
	for u := range 60 {
		for k := range 8 {
			fmt.Fprintf(&train, "u%d,i%02d,%d,click\n", u, 2*((u*5+k*7)%12)+u%2, 1000+k)
		}
	}
	return Command{
		Train: write("train.csv.gz", train.String()),
		// The first user's rows are in another order than their times; the second's newest item decides what is
		// related.
		Input: write("input.csv.gz", "USER_ID,ITEM_ID,TIMESTAMP\nnew even,i04,3\nnew even,i02,1\nnew odd,i07,5\nnew odd,i03,5\nunknown,gone,7\n"),
		Items: write("items.csv", "ITEM_ID,GENRE\ni02,x\nnever seen,y\n"),
		Users: write("users.csv", "USER_ID,AGE\nnew even,7\ncold,8\n"),
		Seed:  1, Top: 100, Out: filepath.Join(dir, "run.tsv"),
	}
}

func evaluatedLists(t *testing.T, c Command) (users []string, lists map[string][]string) {
	t.Helper()
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	lists = map[string][]string{}
	for line := range strings.Lines(string(text)) {
		user, items, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		users, lists[user] = append(users, user), strings.Fields(strings.ReplaceAll(items, "never seen", "never_seen"))
	}
	return users, lists
}

func TestEvaluateWritesAListForEachUser(t *testing.T) {
	t.Parallel()
	for _, name := range recipeNames() {
		t.Run(name, func(t *testing.T) {
			c := evaluateFiles(t)
			c.Recipe = name
			users, lists := evaluatedLists(t, c)
			if want := []string{"new even", "new odd", "unknown", "cold"}; !slices.Equal(users, want) {
				t.Errorf("lists are for %q, want %q", users, want)
			}
			// 24 items and the one that nobody bought, without the history.
			for user, want := range map[string]int{"new even": 23, "new odd": 23, "unknown": 25, "cold": 25} {
				if got := lists[user]; len(got) != want ||
					len(slices.Compact(slices.Sorted(slices.Values(got)))) != want {
					t.Errorf("%s gets %d items, want %d different ones: %v", user, len(got), want, got)
				}
			}
			for user, own := range map[string][]string{"new even": {"i04", "i02"}, "new odd": {"i07", "i03"}} {
				for _, item := range own {
					if slices.Contains(lists[user], item) {
						t.Errorf("%s gets %s, which is in the history", user, item)
					}
				}
			}
			if !slices.Equal(lists["unknown"], lists["cold"]) {
				t.Error("a history of unknown items gives other recommendations than none")
			}
			// the items have no texts here
			if r, _ := recipe.ByName(name); r.Type != recipe.PopularItems && !r.NeedsItems {
				requireParity(t, lists["new even"][:3], 0)
				requireParity(t, lists["new odd"][:3], 1)
			}
		})
	}
}

func requireParity(t *testing.T, items []string, parity byte) {
	t.Helper()
	for _, id := range items {
		if (id[len(id)-1]-'0')%2 != parity {
			t.Errorf("%s is among the first of %v", id, items)
		}
	}
}

func TestEvaluateRanksCandidatesOnly(t *testing.T) {
	t.Parallel()
	c := evaluateFiles(t)
	c.Recipe, c.Top = "aws-user-personalization", 3
	c.Candidates = filepath.Join(t.TempDir(), "candidates.txt")
	if err := os.WriteFile(c.Candidates, []byte("i02\ni06\r\ni08\nnever seen\nnobody knows this\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	_, lists := evaluatedLists(t, c)
	for user, want := range map[string][]string{"new even": {"i06", "i08", "never_seen"},
		"cold": {"i02", "i06", "i08"}} {
		if got := slices.Sorted(slices.Values(lists[user])); !slices.Equal(got, want) {
			t.Errorf("%s gets %v, want %v", user, got, want)
		}
	}
}

func TestEvaluateIsRepeatable(t *testing.T) {
	t.Parallel()
	for _, name := range recipeNames() {
		c := evaluateFiles(t)
		c.Recipe, c.Threads = name, 1
		_, first := evaluatedLists(t, c)
		c.Threads = 3
		_, second := evaluatedLists(t, c)
		if !maps.EqualFunc(first, second, slices.Equal) {
			t.Errorf("%s: the same files and seed give other lists", name)
		}
	}
}

func TestEvaluateTrainsAComponentAlone(t *testing.T) {
	t.Parallel()
	c := evaluateFiles(t)
	c.Component, c.Hyperparameters = "ials", map[string]string{"factors": "8", "epochs": "15"}
	c.Stats = filepath.Join(t.TempDir(), "stats.json")
	_, lists := evaluatedLists(t, c)
	requireParity(t, lists["new even"][:3], 0)
	requireParity(t, lists["new odd"][:3], 1)
	text, err := os.ReadFile(c.Stats)
	if err != nil {
		t.Fatal(err)
	}
	var stats stats
	if err := json.Unmarshal(text, &stats); err != nil {
		t.Fatal(err)
	}
	if stats.Interactions != 480 || stats.Users != 60 || stats.Items != 25 || stats.Visitors != 4 ||
		stats.TrainSeconds <= 0 {
		t.Errorf("statistics %+v", stats)
	}
	c.Hyperparameters["epochs"] = "1"
	if _, others := evaluatedLists(t, c); maps.EqualFunc(lists, others, slices.Equal) {
		t.Error("the settings change nothing")
	}
}

func TestEvaluateRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Command)
		words  []string
	}{
		{"an unknown recipe", func(c *Command) { c.Recipe = "aws-magic" }, []string{"aws-magic", "aws-sims"}},
		{"an unknown parameter", func(c *Command) { c.Hyperparameters = map[string]string{"magic": "1"} },
			[]string{"magic"}},
		{"an unknown component", func(c *Command) { c.Recipe, c.Component = "", "magic" }, []string{"magic", "ials"}},
		{"an unknown setting of a component", func(c *Command) {
			c.Recipe, c.Component, c.Hyperparameters = "", "ials", map[string]string{"magic": "1"}
		}, []string{"ials", "magic"}},
		{"a setting that is no number", func(c *Command) {
			c.Recipe, c.Component, c.Hyperparameters = "", "ials", map[string]string{"epochs": "many"}
		}, []string{"epochs", "many"}},
		{"empty lists", func(c *Command) { c.Top = 0 }, []string{"--top"}},
		{"a file without items", func(c *Command) { c.Train = c.Users }, []string{"users.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := evaluateFiles(t)
			command.Recipe = "aws-sims"
			c.change(&command)
			err := command.Run(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			for _, word := range c.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not name %s", err, word)
				}
			}
		})
	}
}

func TestEvaluateKnowsColdUsersByTheirAttributes(t *testing.T) {
	t.Parallel()
	c := evaluateFiles(t)
	c.Recipe = "aws-user-personalization"
	var users strings.Builder
	users.WriteString("USER_ID,TOWN\n")
	for u := range 60 {
		fmt.Fprintf(&users, "u%d,%s\n", u, []string{"Even", "Odd"}[u%2])
	}
	users.WriteString("cold even,Even\ncold odd,Odd\n")
	c.Users = filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(c.Users, []byte(users.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, lists := evaluatedLists(t, c)
	for user, parity := range map[string]byte{"cold even": 0, "cold odd": 1} {
		for rank, item := range lists[user][:10] {
			if (item[2]-'0')%2 != parity {
				t.Errorf("%s is recommended %s at rank %d", user, item, rank+1)
			}
		}
	}
}
