// Package deploy_test holds the files of this folder to the binary, where no container can be run.
package deploy_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/penchant-io/penchant/deploy/deploytest"
	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/services/penchant/app"
)

func TestComposeAsksForEachKey(t *testing.T) {
	t.Parallel()
	for missing := range deploytest.Keys() {
		environment := deploytest.Keys()
		environment[missing] = ""
		if _, err := deploytest.Load(t.Context(), t, environment, "core"); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: got %v", missing, err)
		}
	}
}

// TestEnvExample: what the example lists is what the file reads; as it stands, it is refused for its keys.
func TestEnvExample(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(".env.example")
	if err != nil {
		t.Fatal(err)
	}
	example, err := dotenv.Parse(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deploytest.Load(t.Context(), t, example, "core"); err == nil {
		t.Error("the example was accepted without keys")
	}
	file, err := os.ReadFile("docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := dotenv.Parse(bytes.NewReader(bytes.ReplaceAll(content, []byte("#PENCHANT_"), []byte("PENCHANT_"))))
	if err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if name != "COMPOSE_PROFILES" && !bytes.Contains(file, []byte("${"+name)) {
			t.Errorf("docker-compose.yml does not read %s", name)
		}
	}
	maps.Copy(all, deploytest.Keys())
	all["PENCHANT_S3_ENDPOINT"] = "http://minio:9000" // the example shows another store
	want := deploytest.Compose(t, deploytest.Keys(), "core")
	for name, service := range deploytest.Compose(t, all, strings.Split(all["COMPOSE_PROFILES"], ",")...).Services {
		if name == "minio" {
			continue // the example's profiles have it
		}
		for variable, value := range service.Environment {
			if got := want.Services[name].Environment[variable]; got == nil || *got != *value {
				t.Errorf("%s: %s is %q in .env.example, and by default it is another", name, variable, *value)
			}
		}
		for i, port := range service.Ports {
			if port.HostIP != want.Services[name].Ports[i].HostIP || port.Published != want.Services[name].Ports[i].Published {
				t.Errorf("%s: .env.example publishes %s:%s, and by default it is another", name, port.HostIP, port.Published)
			}
		}
	}
}

// TestComposeRules: what holds for each container, ours and others'.
func TestComposeRules(t *testing.T) {
	project := deploytest.Compose(t, deploytest.Keys(), "core", "minio", "obs", "bridge")
	profiles := map[string][]string{
		"bridge": {"bridge"},
		"core":   {"control", "firehose", "gateway", "kafka", "recommender", "redis", "retrainer", "session-updater", "tracker"},
		"minio":  {"minio"},
		"obs":    {"grafana", "prometheus"},
	}
	for profile, want := range profiles {
		if got := deploytest.Compose(t, deploytest.Keys(), profile).ServiceNames(); !slices.Equal(got, want) {
			t.Errorf("profile %s has %v, want %v", profile, got, want)
		}
	}
	if names := deploytest.Compose(t, deploytest.Keys()).ServiceNames(); len(names) != 0 {
		t.Errorf("in no profile: %v", names)
	}
	for name, service := range project.Services {
		fail := func(format string, args ...any) { t.Helper(); t.Errorf(name+": "+format, args...) }
		if _, tag, tagged := strings.Cut(service.Image, ":"); !tagged || tag == "latest" || tag == "" {
			fail("image %s is not pinned", service.Image)
		}
		if user, _, _ := strings.Cut(service.User, ":"); user == "" || user == "root" || user == "0" {
			fail("runs as root")
		}
		if service.Restart != "unless-stopped" {
			fail("is not restarted")
		}
		if service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) < app.DrainTimeout {
			fail("is killed before %s are over", app.DrainTimeout)
		}
		if service.Deploy == nil || service.Deploy.Resources.Limits == nil || service.Deploy.Resources.Limits.MemoryBytes == 0 {
			fail("has no memory limit")
		} else if limit, set := service.Environment["GOMEMLIMIT"]; set {
			var bytes process.ByteSize
			if err := bytes.UnmarshalText([]byte(*limit)); err != nil {
				fail("GOMEMLIMIT: %v", err)
			}
			if share := float64(bytes) / float64(service.Deploy.Resources.Limits.MemoryBytes); share < 0.85 || share > 0.95 {
				fail("GOMEMLIMIT is %.2f of the container's memory", share)
			}
		}
		if check := service.HealthCheck; check == nil || len(check.Test) < 2 || !slices.Contains([]string{"CMD", "CMD-SHELL"}, check.Test[0]) {
			fail("has no health check")
		} else if check.StartPeriod == nil || check.Timeout == nil || time.Duration(*check.Timeout) < app.HealthTimeout {
			fail("the health check has no start period, or less time than it takes")
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				fail("port %d can be reached from outside unless told otherwise", port.Target)
			}
		}
		for dependency, how := range service.DependsOn {
			other, exists := project.Services[dependency]
			switch {
			case !exists:
				fail("depends on %s, which is not there", dependency)
			case how.Condition != types.ServiceConditionHealthy:
				fail("depends on %s: %s", dependency, how.Condition)
			case how.Required && !slices.Equal(other.Profiles, service.Profiles):
				fail("can't start without %s, which is in another profile", dependency)
			}
		}
		for _, volume := range service.Volumes {
			switch volume.Type {
			case types.VolumeTypeVolume:
				if _, declared := project.Volumes[volume.Source]; !declared {
					fail("volume %s is not declared", volume.Source)
				}
			case types.VolumeTypeBind:
				if _, err := os.Stat(volume.Source); err != nil || !volume.ReadOnly {
					fail("%s: %v, read-only: %v", volume.Source, err, volume.ReadOnly)
				}
			}
		}
		if service.Build != nil {
			if _, err := os.Stat(filepath.Join(service.Build.Context, service.Build.Dockerfile)); err != nil {
				fail("%v", err)
			}
		}
	}
}

// TestComposeRunsTheBinary: each target is one container, and its command, environment and health check are ones that
// the binary takes.
// TestDockerfiles: base images are pinned, the Go is one that the module builds with, and the last stage runs as nobody
// in particular, with a data folder of its own.
func TestDockerfiles(t *testing.T) {
	t.Parallel()
	project := deploytest.Compose(t, deploytest.Keys(), "core", "minio")
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(module), "\ngo ")
	minimum, _, _ := strings.Cut(rest, "\n")
	for file, service := range map[string]string{"Dockerfile": "tracker", "minio/Dockerfile": "minio"} {
		user, entry, volume := "", "", ""
		for _, line := range deploytest.Instructions(t, file) {
			keyword, value, _ := strings.Cut(line, " ")
			switch keyword {
			case "FROM":
				image, _, _ := strings.Cut(value, " ")
				name, tag, pinned := strings.Cut(image, ":")
				if (!pinned || tag == "latest") && image != "scratch" {
					t.Errorf("%s: %s is not pinned", file, image)
				}
				if name == "golang" && !atLeast(tag, minimum) {
					t.Errorf("%s: golang:%s is older than go.mod's %s", file, tag, minimum)
				}
				user, entry, volume = "", "", "" // what counts is the last stage
			case "USER":
				user = value
			case "ENTRYPOINT":
				entry = value
			case "VOLUME":
				volume = value
			}
		}
		if user != project.Services[service].User || entry == "" || !deploytest.HasDisk(project.Services[service], volume) {
			t.Errorf("%s: user %s, entry point %s, volume %s; docker-compose.yml: user %s", file, user, entry, volume, project.Services[service].User)
		}
	}
}

// atLeast compares Go versions such as 1.26.8.
func atLeast(version, minimum string) bool {
	parts, floor := strings.Split(version, "."), strings.Split(minimum, ".")
	for i := range min(len(parts), len(floor)) {
		have, err := strconv.Atoi(parts[i])
		want, err2 := strconv.Atoi(floor[i])
		if err != nil || err2 != nil {
			return false
		}
		if have != want {
			return have > want
		}
	}
	return true
}
