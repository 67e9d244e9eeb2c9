// Package deploytest reads the files of deploy/ for the tests that hold them to the binary: the compose file, by the library
// that Compose itself uses, and the Dockerfiles.
package deploytest

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// Dir returns the path of deploy/, wherever in the module the test runs.
func Dir(t testing.TB) string {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, "deploy")
		}
		if root == filepath.Dir(root) {
			t.Fatal("the test runs outside the module")
		}
		root = filepath.Dir(root)
	}
}

// Keys returns a .env in which everything that has no default is filled in.
func Keys() map[string]string {
	return map[string]string{
		"PENCHANT_ACCESS_KEYS": "shop:shop-secret", "PENCHANT_S3_ACCESS_KEY": "store", "PENCHANT_S3_SECRET_KEY": "store-secret",
	}
}

// Load reads docker-compose.yml with the profiles, in an environment.
func Load(ctx context.Context, t testing.TB, environment map[string]string, profiles ...string) (*types.Project, error) {
	t.Helper()
	var pairs []string
	for name, value := range environment {
		pairs = append(pairs, name+"="+value)
	}
	file := filepath.Join(Dir(t), "docker-compose.yml")
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(pairs), cli.WithProfiles(profiles))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

// Compose is Load for an environment that the file accepts.
func Compose(t testing.TB, environment map[string]string, profiles ...string) *types.Project {
	t.Helper()
	project, err := Load(t.Context(), t, environment, profiles...)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// PenchantServices returns the project's services that run the binary, by name.
func PenchantServices(project *types.Project) types.Services {
	ours := types.Services{}
	for name, service := range project.Services {
		if service.Build != nil && service.Build.Dockerfile == "deploy/Dockerfile" {
			ours[name] = service
		}
	}
	return ours
}

// HasDisk reports whether something writable is mounted at dir.
func HasDisk(service types.ServiceConfig, dir string) bool {
	for _, mount := range service.Tmpfs {
		if target, _, _ := strings.Cut(mount, ":"); target == dir {
			return true
		}
	}
	return slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Target == dir && !v.ReadOnly
	})
}

// Host returns the host:port of a URL.
func Host(t testing.TB, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// Instructions returns a Dockerfile's instructions, one a line.
func Instructions(t testing.TB, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(string(content), "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Entrypoint returns the command that a container of Penchant's image runs.
func Entrypoint(t testing.TB) string {
	t.Helper()
	for _, line := range Instructions(t, filepath.Join(Dir(t), "Dockerfile")) {
		if rest, found := strings.CutPrefix(line, `ENTRYPOINT ["`); found {
			return strings.TrimSuffix(rest, `"]`)
		}
	}
	t.Fatal("deploy/Dockerfile has no ENTRYPOINT")
	return ""
}
