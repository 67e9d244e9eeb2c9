package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

func defaultDataDir() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return "penchant-data"
	}
	return filepath.Join(home, ".penchant")
}

const (
	envPrefix = "PENCHANT_"
	// testEnvPrefix marks what the tests read, which the binary leaves alone.
	testEnvPrefix = "PENCHANT_TEST_"
	fileSuffix    = "_FILE"
)

// prepareEnvironment sets PENCHANT_X from the file that PENCHANT_X_FILE names, the way container platforms hand out
// secrets, and refuses variables that no flag reads, so that a misspelt setting can't be overlooked.
func prepareEnvironment(parser *kong.Kong) error {
	known := map[string]bool{}
	var collect func(*kong.Node)
	collect = func(n *kong.Node) {
		for _, f := range n.Flags {
			for _, env := range f.Envs {
				known[env] = true
			}
		}
		for _, child := range n.Children {
			collect(child)
		}
	}
	collect(parser.Model.Node)

	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testEnvPrefix) || known[name] {
			continue
		}
		setting, fromFile := strings.CutSuffix(name, fileSuffix)
		if !fromFile || !known[setting] {
			return fmt.Errorf("environment variable %s is no setting of penchant (see penchant all --help)", name)
		}
		if _, both := os.LookupEnv(setting); both {
			return fmt.Errorf("both %s and %s are set: one is enough", setting, name)
		}
		content, err := os.ReadFile(value)
		if err != nil {
			return fmt.Errorf("reading the file that %s names: %w", name, err)
		}
		if err := os.Setenv(setting, strings.TrimRight(string(content), "\r\n")); err != nil {
			return fmt.Errorf("setting %s: %w", setting, err)
		}
	}
	return nil
}
