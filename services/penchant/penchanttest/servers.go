package penchanttest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventually"
)

// Server is one process of an outside server. It goes on with its data after each of these.
type Server struct {
	t       testing.TB
	script  string // of scripts/servers
	dir     string
	pidFile string
}

// Kill ends the server the way a crash does.
func (s *Server) Kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	eventually.SucceedsWithin(s.t, drainLimit, s.pidFile+" is gone", func() error {
		if err := syscall.Kill(s.pid(), 0); err == nil {
			return fmt.Errorf("process %d is still there", s.pid())
		}
		return nil
	})
}

// Freeze stops the server (SIGSTOP) until Thaw: to others it looks like one that hangs.
func (s *Server) Freeze() { s.t.Helper(); s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.t.Helper(); s.signal(syscall.SIGCONT) }

// Start brings the server back after Kill, on the same port and with its data, and waits until it listens. The other
// servers of its folder stay as they are, unless they were killed, too.
func (s *Server) Start() {
	s.t.Helper()
	startServer(s.t, s.script, s.dir)
}

func (s *Server) pid() int {
	s.t.Helper()
	content, err := os.ReadFile(s.pidFile)
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid(), signal); err != nil {
		s.t.Fatalf("sending %s to %s: %v", signal, s.pidFile, err)
	}
}

// Kafka is a cluster of real brokers.
type Kafka struct {
	Brokers []*Server
	Addrs   []string // host:port, as clients are to reach the brokers
}

// StartKafka starts n brokers of the test's own. advertise are the ports that clients are sent to, of proxies in
// front of the brokers; without, the brokers' own.
func StartKafka(t testing.TB, n int, ports []int, advertise ...int) *Kafka {
	t.Helper()
	dir := t.TempDir()
	options := []string{"--brokers", strconv.Itoa(n)}
	if len(ports) > 0 {
		options = append(options, "--ports", joinPorts(ports))
	}
	if len(advertise) > 0 {
		options = append(options, "--advertise", joinPorts(advertise))
	}
	printed := startServer(t, "kafka.sh", dir, options...)
	t.Cleanup(func() { stopServer(t, "kafka.sh", dir) })
	return &Kafka{Brokers: serversOf(t, "kafka.sh", dir, "broker", n),
		Addrs: strings.Split(printed["PENCHANT_TEST_KAFKA_BROKERS"], ",")}
}

func joinPorts(ports []int) string {
	var all []string
	for _, port := range ports {
		all = append(all, strconv.Itoa(port))
	}
	return strings.Join(all, ",")
}

// Redis is a real Redis.
type Redis struct {
	*Server
	URL string
}

// StartRedis starts a Redis of the test's own: append-only file synced every second, no eviction; options are lines of
// a redis.conf that change that.
func StartRedis(t testing.TB, options ...string) *Redis {
	t.Helper()
	dir := t.TempDir()
	var flags []string
	for _, option := range options {
		flags = append(flags, "--option", option)
	}
	printed := startServer(t, "redis.sh", dir, flags...)
	t.Cleanup(func() { stopServer(t, "redis.sh", dir) })
	return &Redis{Server: serversOf(t, "redis.sh", dir, "redis", 1)[0], URL: printed["PENCHANT_TEST_REDIS_URL"]}
}

// DataDir is the folder of the server's append-only file and dumps.
func (r *Redis) DataDir() string { return filepath.Join(r.dir, "data-1") }

// MinIO is a real MinIO.
type MinIO struct {
	*Server
	Config blob.Config
}

// StartMinIO starts a MinIO of the test's own.
func StartMinIO(t testing.TB) *MinIO {
	t.Helper()
	dir := t.TempDir()
	printed := startServer(t, "minio.sh", dir)
	t.Cleanup(func() { stopServer(t, "minio.sh", dir) })
	return &MinIO{
		Server: &Server{t: t, script: "minio.sh", dir: dir, pidFile: filepath.Join(dir, "minio.pid")},
		Config: s3Config(func(name string) string { return printed[name] }),
	}
}

func s3Config(value func(name string) string) blob.Config {
	return blob.Config{
		Endpoint: value("PENCHANT_TEST_S3_ENDPOINT"), AccessKey: value("PENCHANT_TEST_S3_ACCESS_KEY"),
		SecretKey: value("PENCHANT_TEST_S3_SECRET_KEY"), Region: Region,
	}
}

func serversOf(t testing.TB, script, dir, name string, n int) []*Server {
	var servers []*Server
	for i := range n {
		servers = append(servers, &Server{t: t, script: script, dir: dir,
			pidFile: filepath.Join(dir, fmt.Sprintf("%s-%d.pid", name, i+1))})
	}
	return servers
}

// requireReal skips tests that need real servers where they are not asked for: they take Java, Maven and minutes to
// install.
func requireReal(t testing.TB) {
	t.Helper()
	if os.Getenv("PENCHANT_TEST_REAL") == "" {
		t.Skip("needs real servers, which scripts/servers installs: make test-integration, or PENCHANT_TEST_REAL=1")
	}
}

// startServer runs a script's start and returns the variables that it prints.
func startServer(t testing.TB, script, dir string, options ...string) map[string]string {
	t.Helper()
	requireReal(t)
	printed, err := runScript(script, append([]string{"start", dir}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return printed
}

func stopServer(t testing.TB, script, dir string) {
	if _, err := runScript(script, "stop", dir); err != nil {
		t.Error(err)
	}
}

func runScript(script string, arguments ...string) (map[string]string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("looking for the module's folder: %w", err)
	}
	var output, complaints strings.Builder
	command := exec.Command(filepath.Join(strings.TrimSpace(string(root)), "scripts", "servers", script), arguments...)
	command.Stdout, command.Stderr = &output, &complaints
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", script, strings.Join(arguments, " "), err, complaints.String())
	}
	variables := map[string]string{}
	for line := range strings.Lines(output.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		variables[name] = value
	}
	return variables, nil
}

// Servers are the outside servers of an installation, and a bucket of its own.
type Servers struct {
	KafkaBrokers []string
	RedisURL     string
	S3           blob.Config
	Bucket       string
	// Replicas of new topics: 1, or 3 where there are brokers enough.
	Replicas int
}

// NewServers combines servers of the test's own.
func NewServers(kafka *Kafka, redis *Redis, s3 blob.Config) Servers {
	s := Servers{KafkaBrokers: kafka.Addrs, S3: s3, Bucket: newBucketName(), Replicas: min(3, len(kafka.Brokers))}
	if redis != nil {
		s.RedisURL = redis.URL
	}
	return s
}

// SharedServers are servers that all tests of the package use, one after the other, each with a bucket and so a catalog
// of its own: those that PENCHANT_TEST_KAFKA_BROKERS, _REDIS_URL and _S3_ENDPOINT name, else a Kafka, a Redis and a
// MinIO that Main stops. Tests must not break them, nor count on Redis or Kafka to be empty.
func SharedServers(t testing.TB) Servers {
	t.Helper()
	requireReal(t)
	shared.once.Do(shared.start)
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return Servers{
		KafkaBrokers: strings.Split(shared.variables["PENCHANT_TEST_KAFKA_BROKERS"], ","),
		RedisURL:     shared.variables["PENCHANT_TEST_REDIS_URL"],
		S3:           s3Config(func(name string) string { return shared.variables[name] }), Bucket: newBucketName(), Replicas: 1,
	}
}

func newBucketName() string { return fmt.Sprintf("penchant-%08x", rand.Uint32()) }

var shared sharedServers

type sharedServers struct {
	once      sync.Once
	dir       string
	variables map[string]string
	err       error
}

var serverVariables = []string{
	"PENCHANT_TEST_KAFKA_BROKERS", "PENCHANT_TEST_REDIS_URL", "PENCHANT_TEST_S3_ENDPOINT",
	"PENCHANT_TEST_S3_ACCESS_KEY", "PENCHANT_TEST_S3_SECRET_KEY",
}

var sharedScripts = []string{"kafka.sh", "redis.sh", "minio.sh"}

func (s *sharedServers) start() {
	s.variables = map[string]string{}
	for _, name := range serverVariables {
		if value := os.Getenv(name); value != "" {
			s.variables[name] = value
		}
	}
	if len(s.variables) == len(serverVariables) {
		return
	}
	if s.dir, s.err = os.MkdirTemp("", "penchant-test-servers-"); s.err != nil {
		return
	}
	for _, script := range sharedScripts {
		printed, err := runScript(script, "start", filepath.Join(s.dir, script))
		if err != nil {
			s.err = err
			return
		}
		for name, value := range printed {
			s.variables[name] = value
		}
	}
}

func stopShared() {
	if shared.dir == "" {
		return
	}
	for _, script := range sharedScripts {
		if _, err := runScript(script, "stop", filepath.Join(shared.dir, script)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.RemoveAll(shared.dir)
}

// Settings are the variables that point a process to these servers. Later ones win, so a test may append its own.
func (s Servers) Settings() []string {
	return []string{
		"PENCHANT_KAFKA_BROKERS=" + strings.Join(s.KafkaBrokers, ","), "PENCHANT_REDIS_URL=" + s.RedisURL,
		"PENCHANT_S3_ENDPOINT=" + s.S3.Endpoint, "PENCHANT_S3_ACCESS_KEY=" + s.S3.AccessKey,
		"PENCHANT_S3_SECRET_KEY=" + s.S3.SecretKey,
		"PENCHANT_BUCKET=" + s.Bucket, "PENCHANT_TOPIC_PARTITIONS=8",
		"PENCHANT_TOPIC_REPLICATION_FACTOR=" + strconv.Itoa(s.Replicas),
		"PENCHANT_TOPIC_MIN_INSYNC_REPLICAS=" + strconv.Itoa(max(1, s.Replicas-1)),
		"PENCHANT_ARCHIVE_FLUSH_INTERVAL=1s",
	}
}

// OpenBucket opens a bucket of the S3, by default (name "") the installation's own.
func (s Servers) OpenBucket(t testing.TB, name string) *blob.Bucket {
	t.Helper()
	if name == "" {
		name = s.Bucket
	}
	return openBucket(t, s.S3, name)
}
