package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func parse(t *testing.T, args ...string) (*TargetCmd, error) {
	t.Helper()
	var c struct {
		All TargetCmd `cmd:""`
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
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		DataDir: "/data", HTTPAddr: "127.0.0.1:8080", KafkaAddr: "127.0.0.1:9092", RedisAddr: "127.0.0.1:6379", S3Addr: "127.0.0.1:9000",
		AccessKeys: "penchant:penchant-secret", Bucket: "penchant", AccountID: "000000000000", Region: "us-east-1",
		ArchiveFlushInterval: time.Minute, ArchiveFlushBytes: 64 << 20, EmbeddedLogBytes: 512 << 20,
	}
	for name, pair := range map[string][2]any{
		"data-dir": {c.DataDir, want.DataDir}, "http-addr": {c.HTTPAddr, want.HTTPAddr}, "kafka-addr": {c.KafkaAddr, want.KafkaAddr},
		"redis-addr": {c.RedisAddr, want.RedisAddr}, "s3-addr": {c.S3Addr, want.S3Addr}, "access-keys": {c.AccessKeys, want.AccessKeys},
		"bucket": {c.Bucket, want.Bucket}, "account-id": {c.AccountID, want.AccountID}, "region": {c.Region, want.Region},
		"archive-flush-interval": {c.ArchiveFlushInterval, want.ArchiveFlushInterval},
		"archive-flush-bytes":    {c.ArchiveFlushBytes, want.ArchiveFlushBytes}, "embedded-log-bytes": {c.EmbeddedLogBytes, want.EmbeddedLogBytes},
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
	if c.Bucket != "from-flag" || c.Region != "eu-central-1" || c.ArchiveFlushBytes != 1<<20 || len(c.KafkaBrokers) != 2 || c.S3Addr != "127.0.0.1:9001" {
		t.Errorf("got bucket %s, region %s, flush bytes %d, brokers %v", c.Bucket, c.Region, c.ArchiveFlushBytes, c.KafkaBrokers)
	}
}

func TestQuotasAreSettings(t *testing.T) {
	t.Setenv("PENCHANT_QUOTAS", "filters-per-group=50,schemas=3")
	c, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Quotas["filters-per-group"] != 50 || c.Quotas["schemas"] != 3 {
		t.Errorf("got %v", c.Quotas)
	}
	for value, mentioned := range map[string]string{"filter=1": "filters-per-group", "schemas=0": "at least 1"} {
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

func TestMisspeltVariableIsNoticed(t *testing.T) {
	t.Setenv("PENCHANT_BUKCET", "x")
	if _, err := parse(t); err == nil || !strings.Contains(err.Error(), "PENCHANT_BUKCET") {
		t.Errorf("got %v", err)
	}
}
