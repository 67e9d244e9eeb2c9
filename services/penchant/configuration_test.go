package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write what is generated into docs")

// TestConfigurationListsTheSettings: the tables of docs/configuration.md name every flag with its
// variable and its default, as the code has them; `go test ./services/penchant -run Configuration -update` writes them.
func TestConfigurationListsTheSettings(t *testing.T) {
	t.Parallel()
	const page = "../../docs/configuration.md"
	parser, err := newParser(t.Context(), &commands{}, "~/.penchant")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	targets := flags(t, parser.Model.Node, "all")
	want := string(content)
	want = withTable(t, want, "settings", targets)
	want = withTable(t, want, "bridge", without(flags(t, parser.Model.Node, "bridge", "run"), targets))
	if want == string(content) {
		return
	}
	if !*update {
		t.Errorf("%s has other settings than the code: run this test with -update", page)
	} else if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flags returns the flags of a command.
func flags(t *testing.T, node *kong.Node, path ...string) []*kong.Flag {
	t.Helper()
	for _, name := range path {
		var found *kong.Node
		for _, child := range node.Children {
			if child.Name == name {
				found = child
			}
		}
		if found == nil {
			t.Fatalf("there is no command %s", strings.Join(path, " "))
		}
		node = found
	}
	return node.Flags
}

// without returns the flags whose names are not among others.
func without(flags, others []*kong.Flag) (rest []*kong.Flag) {
	names := map[string]bool{}
	for _, f := range others {
		names[f.Name] = true
	}
	for _, f := range flags {
		if !names[f.Name] {
			rest = append(rest, f)
		}
	}
	return rest
}

// withTable returns the page with the flags in the table of the name.
func withTable(t *testing.T, page, name string, flags []*kong.Flag) string {
	t.Helper()
	begin, end := "<!-- "+name+": written by configuration_test.go -->\n", "<!-- end of "+name+" -->"
	head, rest, found := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("the page has no %q … %q", begin, end)
	}
	var table strings.Builder
	table.WriteString("| flag | variable | default | |\n|---|---|---|---|\n")
	for _, f := range flags {
		if f.Name == "help" {
			continue
		}
		flag, value := "--"+f.Name, ""
		if f.Tag.Negatable != "" {
			flag = "--[no-]" + f.Name
		}
		if f.Default != "" {
			value = "`" + f.Default + "`"
		}
		help := strings.NewReplacer("|", "\\|", "<", "&lt;").Replace(f.Help)
		fmt.Fprintf(&table, "| `%s` | `%s` | %s | %s |\n", flag, strings.Join(f.Envs, "`, `"), value, help)
	}
	return head + begin + table.String() + end + tail
}
