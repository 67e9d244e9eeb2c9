package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/penchant-io/penchant/pkg/process"
	"github.com/penchant-io/penchant/services/control/crud"
)

func parse(t *testing.T, args ...string) (*targetCmd, error) {
	t.Helper()
	var c struct {
		All targetCmd `cmd:""`
	}
	parser, err := kong.New(&c, kong.DefaultEnvars("PENCHANT"), kong.Vars{"data_dir": "/data"})
	if err != nil {
		t.Fatal(err)
	}
	if err := prepareEnvironment(parser); err != nil {
		return nil, err
	}
	_, err = parser.Parse(append([]string{"all"}, args...))
	return &c.All, err
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"data-dir": {c.DataDir, "/data"}, "http-addr": {c.HTTPAddr, "127.0.0.1:8080"},
		"kafka-addr": {c.KafkaAddr, "127.0.0.1:9092"},
		"redis-addr": {c.RedisAddr, "127.0.0.1:6379"}, "s3-addr": {c.S3Addr, "127.0.0.1:9000"},
		"access-keys": {c.AccessKeys, "penchant:penchant-secret"}, "bucket": {c.Bucket, "penchant"},
		"account-id": {c.Control.AccountID, "000000000000"}, "region": {c.Region, "us-east-1"},
		"archive-flush-interval": {c.Firehose.FlushInterval, time.Minute},
		"archive-flush-bytes":    {c.Firehose.FlushBytes, process.ByteSize(64 << 20)},
		"embedded-log-bytes":     {c.EmbeddedLogBytes, process.ByteSize(512 << 20)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("--%s is %v by default, want %v", name, pair[0], pair[1])
		}
	}
}

func TestFlagWinsOverEnvironmentOverDefault(t *testing.T) {
	t.Setenv("PENCHANT_BUCKET", "from-environment")
	t.Setenv("PENCHANT_REGION", "eu-central-1")
	t.Setenv("PENCHANT_ARCHIVE_FLUSH_BYTES", "1MiB")
	t.Setenv("PENCHANT_KAFKA_BROKERS", "a:1,b:2")
	t.Setenv("PENCHANT_S3_ADDR", "127.0.0.1:9001")
	c, err := parse(t, "--bucket", "from-flag")
	if err != nil {
		t.Fatal(err)
	}
	if c.Bucket != "from-flag" || c.Region != "eu-central-1" || c.Firehose.FlushBytes != 1<<20 ||
		len(c.KafkaBrokers) != 2 || c.S3Addr != "127.0.0.1:9001" {
		t.Errorf("got bucket %s, region %s, flush bytes %d, brokers %v", c.Bucket, c.Region, c.Firehose.FlushBytes,
			c.KafkaBrokers)
	}
}

func TestQuotasAreSettings(t *testing.T) {
	t.Setenv("PENCHANT_QUOTAS", "filters-per-group=50,schemas=3")
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	want, err := crud.ParseQuotas(map[string]int{"filters-per-group": 50, "schemas": 3})
	if err != nil {
		t.Fatal(err)
	}
	if c.Control.Quotas != want {
		t.Errorf("got %+v", c.Control.Quotas)
	}
	for value, mentioned := range map[string]string{"filter=1": "filters-per-group", "schemas=0": "at least 1",
		"schemas": "name=number"} {
		if _, err := parse(t, "--quotas", value); err == nil || !strings.Contains(err.Error(), mentioned) {
			t.Errorf("--quotas %s: got %v, want an error that mentions %q", value, err, mentioned)
		}
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("id:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PENCHANT_ACCESS_KEYS_FILE", path)
	t.Cleanup(func() { os.Unsetenv("PENCHANT_ACCESS_KEYS") }) // parse sets it from the file
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if c.AccessKeys != "id:secret" {
		t.Errorf("got %q", c.AccessKeys)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--account-id", "12"}, "--account-id"},
		{[]string{"--archive-flush-bytes", "65MiB"}, "--archive-flush-bytes"},
		{[]string{"--archive-flush-bytes", "many"}, "such as 64MiB"},
		{[]string{"--archive-flush-interval", "0s"}, "--archive-flush-interval"},
		{[]string{"--access-keys", "no-secret"}, "--access-keys"},
		{[]string{"--http-addr", "0.0.0.0:8080"}, "default key pair"},
		{[]string{"--http-addr", "8080"}, "host:port"},
		{[]string{"--s3-endpoint", "http://s3:9000"}, "--s3-access-key"},
		{[]string{"--s3-access-key", "a"}, "--s3-endpoint"},
		{[]string{"--user-history", "0"}, "--user-history"},
		{[]string{"--embedded-log-bytes", "1MiB"}, "--embedded-log-bytes"},
		{[]string{"--no-such-flag"}, "--no-such-flag"},
	} {
		if _, err := parse(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want an error with %q", c.args, err, c.want)
		}
	}
	if _, err := parse(t, "--http-addr", "0.0.0.0:8080", "--access-keys", "own:keys"); err != nil {
		t.Errorf("a public address with keys of one's own: %v", err)
	}
}

// TestAddressesThatNoServerHasAreRefused: what no waiting could mend ends the process at once, with the form that is
// wanted.
func TestAddressesThatNoServerHasAreRefused(t *testing.T) {
	t.Parallel()
	const (
		redisForm    = "want redis://[user:password@]host:port[/db]"
		brokerForm   = "want host:port, without a scheme"
		endpointForm = "want http://host:port or https://host:port"
		bucketForm   = "want 3 to 63 lowercase letters"
		listenForm   = "want host:port"
	)
	s3 := func(endpoint string) []string {
		return []string{"--s3-endpoint", endpoint, "--s3-access-key", "a", "--s3-secret-key", "b"}
	}
	for _, c := range []struct {
		args []string
		want string // in the message, with the flag's name
	}{
		{[]string{"--redis-url", "redis:6379"}, redisForm},
		{[]string{"--redis-url", "localhost:6379"}, redisForm},
		{[]string{"--redis-url", "127.0.0.1:6379"}, redisForm},
		{[]string{"--redis-url", "http://redis:6379"}, redisForm},
		{[]string{"--redis-url", "redis://"}, redisForm},
		{[]string{"--redis-url", "redis://redis:port"}, redisForm},
		{[]string{"--redis-url", "redis://redis:6379/first"}, redisForm},
		{[]string{"--redis-url", "redis://redis:6379?cluster=perhaps"}, redisForm},
		{[]string{"--kafka-brokers", "kafka://kafka:9092"}, brokerForm},
		{[]string{"--kafka-brokers", "kafka:9092,PLAINTEXT://kafka:9093"}, brokerForm},
		{[]string{"--kafka-brokers", "kafka"}, brokerForm},
		{[]string{"--kafka-brokers", "kafka:"}, brokerForm},
		{[]string{"--kafka-brokers", ":9092"}, brokerForm},
		{[]string{"--kafka-brokers", "kafka:0"}, brokerForm},
		{[]string{"--kafka-brokers", "kafka:90920"}, brokerForm},
		{s3("minio:9000"), endpointForm},
		{s3("s3://minio:9000"), endpointForm},
		{s3("http://minio:9000/penchant"), endpointForm},
		{s3("http://minio:9000?region=x"), endpointForm},
		{s3("http://key:secret@minio:9000"), endpointForm},
		{s3("http://"), endpointForm},
		{[]string{"--bucket", ""}, bucketForm},
		{[]string{"--bucket", "My_Bucket"}, bucketForm},
		{[]string{"--bucket", "ab"}, bucketForm},
		{[]string{"--bucket", strings.Repeat("a", 64)}, bucketForm},
		{[]string{"--bucket", "penchant/archive"}, bucketForm},
		{[]string{"--bucket", "penchant..archive"}, bucketForm},
		{[]string{"--bucket", "192.168.0.1"}, bucketForm},
		{[]string{"--http-addr", "localhost"}, listenForm},
		{[]string{"--http-addr", "http://127.0.0.1:8080"}, listenForm},
		{[]string{"--http-addr", "127.0.0.1:80800"}, listenForm},
		{[]string{"--admin-addr", "127.0.0.1"}, listenForm},
		{[]string{"--kafka-addr", "9092"}, listenForm},
		{[]string{"--redis-addr", "redis://127.0.0.1:6379"}, listenForm},
		{[]string{"--s3-addr", "127.0.0.1:"}, listenForm},
	} {
		_, err := parseCommand(t.Context(), &commands{}, append([]string{"all"}, c.args...))
		if err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), c.args[0]) ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want exit code 2 and an error with %q", c.args, err, c.want)
		}
	}
	for _, args := range [][]string{
		{"--redis-url", "redis://user:password@redis:6379/2"}, {"--redis-url", "rediss://redis:6380"},
		{"--redis-url", "redis://a:1?addr=b:2&cluster=true"}, {"--redis-url", "unix:///run/redis.sock"},
		{"--kafka-brokers", "kafka:9092,[::1]:9093"},
		s3("http://minio:9000"), s3("https://s3.eu-central-1.amazonaws.com"), s3("http://minio:9000/"),
		{"--bucket", "penchant-2.shop"}, {"--http-addr", "localhost:0"}, {"--http-addr", "[::1]:8080"},
	} {
		if _, err := parseCommand(t.Context(), &commands{}, append([]string{"all"}, args...)); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	const secret = "redis://user:hidden@redis:port"
	if _, err := parseCommand(t.Context(), &commands{}, []string{"all", "--redis-url", secret}); err == nil ||
		strings.Contains(err.Error(), "hidden") {
		t.Errorf("the password is repeated: %v", err)
	}
}

func TestMisspeltVariableIsNoticed(t *testing.T) {
	t.Setenv("PENCHANT_BUKCET", "x")
	if _, err := parse(t); err == nil || !strings.Contains(err.Error(), "PENCHANT_BUKCET") {
		t.Errorf("got %v", err)
	}
}
