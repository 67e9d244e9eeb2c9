package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalizeruntime"
	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// The tests of this file hold deploy/ to the binary, where no container can be run: the compose file is loaded by the
// library that Compose itself uses, and what it says of Penchant's services is parsed, and run, by the binary.

const deployDir = "../../deploy"

// composeKeys is a .env of someone who filled in what has to be filled in.
var composeKeys = map[string]string{
	"PENCHANT_ACCESS_KEYS": "shop:shop-secret", "PENCHANT_S3_ACCESS_KEY": "store", "PENCHANT_S3_SECRET_KEY": "store-secret",
}

func loadCompose(ctx context.Context, environment map[string]string, profiles ...string) (*types.Project, error) {
	var pairs []string
	for name, value := range environment {
		pairs = append(pairs, name+"="+value)
	}
	options, err := cli.NewProjectOptions([]string{deployDir + "/docker-compose.yml"}, cli.WithEnv(pairs), cli.WithProfiles(profiles))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

func compose(t *testing.T, environment map[string]string, profiles ...string) *types.Project {
	t.Helper()
	project, err := loadCompose(t.Context(), environment, profiles...)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// penchantServices are the file's services that run the binary, by name.
func penchantServices(project *types.Project) types.Services {
	ours := types.Services{}
	for name, service := range project.Services {
		if service.Build != nil && service.Build.Dockerfile == "deploy/Dockerfile" {
			ours[name] = service
		}
	}
	return ours
}

func TestComposeAsksForEachKey(t *testing.T) {
	for missing := range composeKeys {
		environment := maps.Clone(composeKeys)
		environment[missing] = ""
		if _, err := loadCompose(t.Context(), environment, "core"); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: got %v", missing, err)
		}
	}
}

// TestEnvExample: what the example lists is what the file reads; as it stands, it is refused for its keys.
func TestEnvExample(t *testing.T) {
	content, err := os.ReadFile(deployDir + "/.env.example")
	if err != nil {
		t.Fatal(err)
	}
	example, err := dotenv.Parse(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadCompose(t.Context(), example, "core"); err == nil {
		t.Error("the example was accepted without keys")
	}
	file, err := os.ReadFile(deployDir + "/docker-compose.yml")
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
	maps.Copy(all, composeKeys)
	all["PENCHANT_S3_ENDPOINT"] = "http://minio:9000" // the example shows another store
	want := compose(t, composeKeys, "core")
	for name, service := range compose(t, all, strings.Split(all["COMPOSE_PROFILES"], ",")...).Services {
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
	project := compose(t, composeKeys, "core", "minio", "obs", "bridge")
	profiles := map[string][]string{
		"bridge": {"bridge"},
		"core":   {"control", "firehose", "gateway", "kafka", "recommender", "redis", "retrainer", "session-updater", "tracker"},
		"minio":  {"minio"},
		"obs":    {"grafana", "prometheus"},
	}
	for profile, want := range profiles {
		if got := compose(t, composeKeys, profile).ServiceNames(); !slices.Equal(got, want) {
			t.Errorf("profile %s has %v, want %v", profile, got, want)
		}
	}
	if names := compose(t, composeKeys).ServiceNames(); len(names) != 0 {
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
		if service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) < drainTimeout {
			fail("is killed before %s are over", drainTimeout)
		}
		if service.Deploy == nil || service.Deploy.Resources.Limits == nil || service.Deploy.Resources.Limits.MemoryBytes == 0 {
			fail("has no memory limit")
		} else if limit, set := service.Environment["GOMEMLIMIT"]; set {
			var bytes ByteSize
			if err := bytes.UnmarshalText([]byte(*limit)); err != nil {
				fail("GOMEMLIMIT: %v", err)
			}
			if share := float64(bytes) / float64(service.Deploy.Resources.Limits.MemoryBytes); share < 0.85 || share > 0.95 {
				fail("GOMEMLIMIT is %.2f of the container's memory", share)
			}
		}
		if check := service.HealthCheck; check == nil || len(check.Test) < 2 || !slices.Contains([]string{"CMD", "CMD-SHELL"}, check.Test[0]) {
			fail("has no health check")
		} else if check.StartPeriod == nil || check.Timeout == nil || time.Duration(*check.Timeout) < healthTimeout {
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
func TestComposeRunsTheBinary(t *testing.T) {
	project := compose(t, composeKeys, "core", "minio")
	services := penchantServices(project)
	var names, expected []string
	for name := range services {
		names = append(names, name)
	}
	for _, target := range targets[1:] {
		expected = append(expected, target.name)
	}
	slices.Sort(names)
	slices.Sort(expected)
	if !slices.Equal(names, expected) {
		t.Fatalf("the file runs %v, the binary's targets are %v", names, expected)
	}
	for _, target := range targets[1:] {
		t.Run(target.name, func(t *testing.T) {
			service := services[target.name]
			for name, value := range service.Environment {
				t.Setenv(name, *value)
			}
			var c commands
			command, err := parseCommand(t.Context(), &c, service.Command)
			if err != nil {
				t.Fatal(err)
			}
			if command.Command() != target.name {
				t.Errorf("the command is %s", command.Command())
			}
			settings := command.Selected().Target.Interface().(TargetCmd).Settings
			if err := settings.missingServers(true, target.usesRedis, true); err != nil {
				t.Error(err)
			}
			if !target.usesRedis && settings.RedisURL != "" {
				t.Error("it is told of a Redis that it does not use")
			}
			_, port, err := net.SplitHostPort(settings.HTTPAddr)
			if err != nil || !slices.Contains(service.Expose, port) {
				t.Errorf("it listens on %s and exposes %v", settings.HTTPAddr, service.Expose)
			}
			if settings.TopicReplicationFactor != 1 || settings.TopicMinInsyncReplicas != 1 {
				t.Error("there is one broker, and its topics are to have several replicas")
			}
			if !hasDisk(service, settings.DataDir) {
				t.Errorf("nothing that is writable is mounted at %s", settings.DataDir)
			}
			if target.usesModels && !slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool {
				return v.Type == types.VolumeTypeVolume && v.Target == settings.DataDir
			}) {
				t.Error("its models are lost when the container is replaced")
			}
			needed := map[string]string{"kafka": settings.KafkaBrokers[0], "minio": hostOf(t, settings.S3Endpoint)}
			if target.usesRedis {
				needed["redis"] = hostOf(t, settings.RedisURL)
			}
			for server, addr := range needed {
				host, port, err := net.SplitHostPort(addr)
				if err != nil || host != server || !slices.Contains(project.Services[host].Expose, port) {
					t.Errorf("it looks for %s at %s, which exposes %v", server, addr, project.Services[host].Expose)
				}
				if _, waits := service.DependsOn[server]; !waits {
					t.Errorf("it does not wait for %s", server)
				}
			}

			check := service.HealthCheck.Test
			if check[0] != "CMD" || check[1] != entrypoint(t) {
				t.Fatalf("the health check %v does not run the binary", check)
			}
			asked, err := parseCommand(t.Context(), &commands{}, check[2:])
			if err != nil {
				t.Fatal(err)
			}
			if health, ok := asked.Selected().Target.Interface().(HealthCmd); !ok || health.HTTPAddr != settings.HTTPAddr {
				t.Errorf("the health check asks %+v", health)
			}

			t.Setenv("PENCHANT_ACCESS_KEYS", "penchant:"+defaultSecret)
			if _, err := parseCommand(t.Context(), &commands{}, service.Command); err == nil || !strings.Contains(err.Error(), "default key pair") {
				t.Errorf("with the default key pair: %v", err)
			}
		})
	}
}

// TestComposeRunsTheBridge: the profile's container runs, once it is told what to read, and calls the gateway as its own clients do.
func TestComposeRunsTheBridge(t *testing.T) {
	load := func(environment map[string]string) (*types.Project, *BridgeRunCmd, error) {
		project := compose(t, environment, "core", "minio", "bridge")
		service := project.Services["bridge"]
		for name, value := range service.Environment {
			t.Setenv(name, *value)
		}
		var c commands
		command, err := parseCommand(t.Context(), &c, service.Command)
		if err == nil && command.Command() != "bridge run" {
			t.Errorf("the command is %s", command.Command())
		}
		return project, &c.Bridge.Run, err
	}
	if _, _, err := load(composeKeys); err == nil || !strings.Contains(err.Error(), "bridge-t") {
		t.Errorf("without topics: %v", err)
	}
	told := maps.Clone(composeKeys)
	told["PENCHANT_BRIDGE_TOPICS"], told["PENCHANT_BRIDGE_TRACKING_ID"] = "clicks,orders", "tracker"
	project, run, err := load(told)
	if err != nil {
		t.Fatal(err)
	}
	service, settings := project.Services["bridge"], run.Settings
	if err := settings.missingServers(true, bridgeTarget.usesRedis, false); err != nil {
		t.Error(err)
	}
	if len(run.Bridge.Topics) != 2 || settings.AccessKeys != composeKeys["PENCHANT_ACCESS_KEYS"] || settings.TopicReplicationFactor != 1 || !hasDisk(service, settings.DataDir) {
		t.Errorf("%+v", run)
	}
	host, port, err := net.SplitHostPort(hostOf(t, run.Bridge.Endpoint))
	if _, waits := service.DependsOn[host]; err != nil || !waits || !slices.ContainsFunc(project.Services[host].Ports, func(p types.ServicePortConfig) bool { return fmt.Sprint(p.Target) == port }) {
		t.Errorf("it calls %s, for which it does not wait, or which does not listen there: %v", run.Bridge.Endpoint, err)
	}
	mounted := service.Volumes[0]
	if filepath.Dir(run.Bridge.Mapping) != mounted.Target {
		t.Errorf("the mapping is at %s, and %s is mounted", run.Bridge.Mapping, mounted.Target)
	}
	if _, err := readMapping(filepath.Join(mounted.Source, filepath.Base(run.Bridge.Mapping))); err != nil {
		t.Error(err)
	}
}

func hasDisk(service types.ServiceConfig, dir string) bool {
	for _, mount := range service.Tmpfs {
		if target, _, _ := strings.Cut(mount, ":"); target == dir {
			return true
		}
	}
	return slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == dir && !v.ReadOnly })
}

func hostOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// instructions are a Dockerfile's, continued lines joined.
func instructions(t *testing.T, file string) []string {
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

// entrypoint is what a container of Penchant's image runs.
func entrypoint(t *testing.T) string {
	t.Helper()
	for _, line := range instructions(t, deployDir+"/Dockerfile") {
		if rest, found := strings.CutPrefix(line, `ENTRYPOINT ["`); found {
			return strings.TrimSuffix(rest, `"]`)
		}
	}
	t.Fatal("deploy/Dockerfile has no ENTRYPOINT")
	return ""
}

// TestDockerfiles: base images are pinned, the Go is one that the module builds with, and the last stage runs as nobody
// in particular, with a data folder of its own.
func TestDockerfiles(t *testing.T) {
	project := compose(t, composeKeys, "core", "minio")
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(module), "\ngo ")
	minimum, _, _ := strings.Cut(rest, "\n")
	for file, service := range map[string]string{"Dockerfile": "tracker", "minio/Dockerfile": "minio"} {
		user, entry, volume := "", "", ""
		for _, line := range instructions(t, filepath.Join(deployDir, file)) {
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
		if user != project.Services[service].User || entry == "" || !hasDisk(project.Services[service], volume) {
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

// TestStoryInCompose tells the story to the topology of docker-compose.yml: a process for each container, with its command
// and its environment, where only names of containers and ports are others. Kafka, Redis and S3 are those that
// PENCHANT_TEST_* name, or embedded ones.
func TestStoryInCompose(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	servers := outsideServers(t)
	project := compose(t, map[string]string{
		"PENCHANT_ACCESS_KEYS":   composeKeys["PENCHANT_ACCESS_KEYS"],
		"PENCHANT_S3_ACCESS_KEY": servers.s3.AccessKey, "PENCHANT_S3_SECRET_KEY": servers.s3.SecretKey,
		"PENCHANT_BUCKET":                 "penchant-" + uuid.NewString(),
		"PENCHANT_ARCHIVE_FLUSH_INTERVAL": "1s", // the story waits for the archive
	}, "core", "minio")

	processes, addresses := map[string]*penchanttest.Process{}, map[string]string{}
	environments := map[string][]string{}
	services := penchantServices(project)
	for _, target := range targets[1:] {
		name, service := target.name, services[target.name]
		outside := strings.NewReplacer("kafka:9092", servers.kafka, "redis://redis:6379", servers.redis, "http://minio:9000", servers.s3.Endpoint)
		for variable, value := range service.Environment {
			environments[name] = append(environments[name], variable+"="+outside.Replace(*value))
		}
		if len(service.Command) != 1 {
			t.Fatalf("%s runs %v: the processes of this test are told by their environment", name, service.Command)
		}
		// Its flags are another address and another data folder.
		processes[name] = penchanttest.Start(t, service.Command[0], t.TempDir(), environments[name]...)
		addresses[name] = strings.TrimPrefix(processes[name].Endpoints["http"], "http://")
		if out, err := health(t, service, environments[name], addresses[name]); err != nil {
			t.Errorf("the health check of %s: %v\n%s", name, err, out)
		}
	}

	bucket := *project.Services["control"].Environment["PENCHANT_BUCKET"]
	id, secret, _ := strings.Cut(composeKeys["PENCHANT_ACCESS_KEYS"], ":")
	s := stack{
		control: sdkAt(t, "http://"+addresses["control"], id, secret), events: sdkAt(t, "http://"+addresses["tracker"], id, secret),
		runtime: sdkAt(t, "http://"+addresses["recommender"], id, secret),
		bucket: func(name string) *blob.Bucket {
			if name == "penchant" {
				name = bucket
			}
			return penchanttest.Servers{S3: servers.s3}.OpenBucket(t, name)
		},
	}
	gateway := startGateway(t, addresses)
	if gateway != "" {
		everything := sdkAt(t, gateway, id, secret)
		s.control, s.events, s.runtime = everything, everything, everything
	}
	campaign := tellStory(t, s)

	if gateway != "" {
		checkGateway(t, gateway)
		processes["recommender"].Terminate()
		eventually.Succeeds(t, "the gateway notices that there is no recommender", func() error {
			return statusIs(http.MethodGet, gateway+"/healthz/ready", http.StatusServiceUnavailable)
		})
		_, err := personalizeruntime.New(s.runtime).GetRecommendations(&personalizeruntime.GetRecommendationsInput{
			CampaignArn: campaign, UserId: aws.String("ada"),
		})
		if err == nil || !strings.Contains(err.Error(), "No replica of the service is ready") {
			t.Errorf("without a recommender: %v", err)
		}
	}
	for name, process := range processes {
		if name == "recommender" && gateway != "" {
			continue
		}
		process.Terminate()
		if out, err := health(t, services[name], environments[name], addresses[name]); err == nil {
			t.Errorf("the health check of %s when it has ended: %s", name, out)
		}
	}
}

// health runs a container's health check, for a process that listens at another address.
func health(t *testing.T, service types.ServiceConfig, environment []string, addr string) ([]byte, error) {
	check := exec.CommandContext(t.Context(), penchanttest.Binary(t), service.HealthCheck.Test[2:]...)
	check.Env = append(slices.Clone(environment), "PENCHANT_HTTP_ADDR="+addr)
	return check.CombinedOutput()
}

// outside are servers that the processes of a test share.
type outside struct {
	kafka, redis string
	s3           blob.Config
}

func outsideServers(t *testing.T) outside {
	t.Helper()
	servers := outside{
		kafka: os.Getenv("PENCHANT_TEST_KAFKA_BROKERS"), redis: os.Getenv("PENCHANT_TEST_REDIS_URL"),
		s3: blob.Config{
			Endpoint: os.Getenv("PENCHANT_TEST_S3_ENDPOINT"), Region: "us-east-1",
			AccessKey: os.Getenv("PENCHANT_TEST_S3_ACCESS_KEY"), SecretKey: os.Getenv("PENCHANT_TEST_S3_SECRET_KEY"),
		},
	}
	const anyPort = "127.0.0.1:0"
	if servers.kafka == "" {
		servers.kafka = startServers(t, embedded.Config{KafkaAddr: anyPort}).KafkaAddr()
	}
	if servers.redis == "" {
		servers.redis = "redis://" + startServers(t, embedded.Config{RedisAddr: anyPort}).RedisAddr()
	}
	if servers.s3.Endpoint == "" {
		servers.s3.AccessKey, servers.s3.SecretKey = composeKeys["PENCHANT_S3_ACCESS_KEY"], composeKeys["PENCHANT_S3_SECRET_KEY"]
		servers.s3.Endpoint = startServers(t, embedded.Config{S3Addr: anyPort, AccessKeys: []awsapi.Credential{
			{AccessKeyID: servers.s3.AccessKey, SecretKey: servers.s3.SecretKey},
		}}).S3Endpoint()
	}
	return servers
}

// startGateway runs HAProxy with the shipped configuration and returns its endpoint, or nothing where there is no HAProxy.
func startGateway(t *testing.T, addresses map[string]string) string {
	t.Helper()
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Log("HAProxy is not installed: the story is told without the gateway")
		return ""
	}
	content, err := os.ReadFile(deployDir + "/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	config := string(content)
	replace := func(old, replacement string) {
		t.Helper()
		if strings.Count(config, old) != 1 {
			t.Fatalf("haproxy.cfg has %q %d times", old, strings.Count(config, old))
		}
		config = strings.Replace(config, old, replacement, 1)
	}
	for _, name := range []string{"tracker", "control", "recommender"} {
		replace(name+":8080", addresses[name])
	}
	// The listeners are taken here and handed down, so the ports are free ones.
	var files []*os.File
	var taken []string
	for i, bind := range []string{"bind :8080", "bind :8405"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, listener.Addr().String())
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		files = append(files, file)
		replace(bind, fmt.Sprintf("bind fd@%d", 3+i))
	}
	file := path.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	command := exec.Command(haproxy, "-db", "-f", file)
	command.ExtraFiles, command.Stdout, command.Stderr = files, &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
		if t.Failed() {
			t.Logf("output of HAProxy:\n%s", &output)
		}
	})
	eventually.Succeeds(t, "the gateway is ready", func() error {
		return statusIs(http.MethodGet, "http://"+taken[0]+"/healthz/ready", http.StatusOK)
	})
	if err := statusIs(http.MethodGet, "http://"+taken[1]+"/metrics", http.StatusOK); err != nil {
		t.Errorf("the gateway's metrics: %v", err)
	}
	return "http://" + taken[0]
}

// checkGateway: what an AWS SDK may call goes through, what the services have besides does not.
func checkGateway(t *testing.T, gateway string) {
	t.Helper()
	for _, path := range []string{"/", "/events", "/items", "/users", "/recommendations", "/personalize-ranking"} {
		if err := statusIs(http.MethodPost, gateway+path, http.StatusForbidden); err != nil { // it is not signed
			t.Error(err)
		}
	}
	for _, path := range []string{"/metrics", "/healthz/live", "/events/", "/debug/pprof/"} {
		if err := statusIs(http.MethodGet, gateway+path, http.StatusNotFound); err != nil {
			t.Error(err)
		}
	}
}

func statusIs(method, url string, want int) error {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != want {
		body, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s %s: status %d instead of %d: %s", method, url, answer.StatusCode, want, body)
	}
	return nil
}
