package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/personalizeruntime"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/uuid"

	"github.com/penchant-io/penchant/deploy/deploytest"
	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/embedded"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// TestStoryInCompose tells the story to the topology of docker-compose.yml: a process for each container, with its
// command and its environment, where only names of containers and ports are others. Kafka, Redis and S3 are those that
// PENCHANT_TEST_* name, or embedded ones.
func TestStoryInCompose(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	servers := outsideServers(t)
	project := deploytest.Compose(t, map[string]string{
		"PENCHANT_ACCESS_KEYS":   deploytest.Keys()["PENCHANT_ACCESS_KEYS"],
		"PENCHANT_S3_ACCESS_KEY": servers.s3.AccessKey, "PENCHANT_S3_SECRET_KEY": servers.s3.SecretKey,
		"PENCHANT_BUCKET":                 "penchant-" + uuid.NewString(),
		"PENCHANT_ARCHIVE_FLUSH_INTERVAL": "1s", // the story waits for the archive
	}, "core", "minio")

	processes, addresses := map[string]*penchanttest.Process{}, map[string]string{}
	environments := map[string][]string{}
	services := deploytest.PenchantServices(project)
	for name, service := range services {
		outside := strings.NewReplacer("kafka:9092", servers.kafka, "redis://redis:6379", servers.redis,
			"http://minio:9000", servers.s3.Endpoint)
		for variable, value := range service.Environment {
			environments[name] = append(environments[name], variable+"="+outside.Replace(*value))
		}
		if len(service.Command) != 1 {
			t.Fatalf("%s runs %v: the processes of this test get their settings from their environment", name, service.Command)
		}
		// Its flags are another address and another data folder.
		processes[name] = penchanttest.Start(t, service.Command[0], t.TempDir(), environments[name]...)
		addresses[name] = strings.TrimPrefix(processes[name].Endpoints["http"], "http://")
		if out, err := health(t, service, environments[name], addresses[name]); err != nil {
			t.Errorf("the health check of %s: %v\n%s", name, err, out)
		}
	}

	bucket := *project.Services["control"].Environment["PENCHANT_BUCKET"]
	id, secret, _ := strings.Cut(deploytest.Keys()["PENCHANT_ACCESS_KEYS"], ":")
	s := stack{
		control: sdkAt(t, "http://"+addresses["control"], id, secret),
		events:  sdkAt(t, "http://"+addresses["tracker"], id, secret),
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
		servers.s3.AccessKey, servers.s3.SecretKey = deploytest.Keys()["PENCHANT_S3_ACCESS_KEY"],
			deploytest.Keys()["PENCHANT_S3_SECRET_KEY"]
		servers.s3.Endpoint = startServers(t, embedded.Config{S3Addr: anyPort, AccessKeys: []awsapi.Credential{
			{AccessKeyID: servers.s3.AccessKey, SecretKey: servers.s3.SecretKey},
		}}).S3Endpoint()
	}
	return servers
}

// startGateway runs HAProxy with the shipped configuration and returns its endpoint, or nothing where there is no
// HAProxy.
func startGateway(t *testing.T, addresses map[string]string) string {
	t.Helper()
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Log("HAProxy is not installed: the story runs without the gateway")
		return ""
	}
	content, err := os.ReadFile(filepath.Join(deploytest.Dir(t), "haproxy", "haproxy.cfg"))
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
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
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
