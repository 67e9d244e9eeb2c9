package app

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/process"
)

// defaults returns the settings of a command line without flags.
func defaults(t *testing.T) *Settings {
	t.Helper()
	settings := &Settings{}
	if err := kong.ApplyDefaults(settings, kong.Vars{"data_dir": t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	return settings
}

// TestReplicasMayShareADataFolder: replicas of one container share its volume, and start at the same time.
func TestReplicasMayShareADataFolder(t *testing.T) {
	t.Parallel()
	settings := defaults(t)
	settings.DataDir, settings.KafkaBrokers = t.TempDir(), []string{"kafka:9092"}
	server, err := process.Listen(t.Context(), process.HTTPConfig{Addr: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	replica := &App{settings: settings, target: Tracker, http: server, s3: blob.Config{Endpoint: "http://minio:9000"}}
	var group errgroup.Group
	for range 50 {
		group.Go(replica.writeEndpoints)
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	content, err := os.ReadFile(filepath.Join(settings.DataDir, "endpoints.json"))
	if err != nil {
		t.Fatal(err)
	}
	var endpoints map[string]string
	if err := json.Unmarshal(content, &endpoints); err != nil || endpoints["http"] != replica.Endpoint() {
		t.Errorf("got %s, %v", content, err)
	}
	if entries, err := os.ReadDir(settings.DataDir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestTargetNamesMissingServers: a target that runs one service embeds no servers, and names the settings that it
// lacks.
func TestTargetNamesMissingServers(t *testing.T) {
	t.Parallel()
	settings := defaults(t)
	settings.HTTPAddr, settings.DataDir = "127.0.0.1:0", t.TempDir()
	for _, target := range Services() {
		_, err := New(t.Context(), Config{Settings: settings, Target: target, Log: zap.NewNop()})
		if err == nil {
			t.Errorf("%s started without servers", target)
			continue
		}
		for setting, needed := range map[string]bool{"PENCHANT_KAFKA_BROKERS": true, "PENCHANT_S3_ENDPOINT": true,
			"PENCHANT_REDIS_URL": target.Needs(Redis)} {
			if strings.Contains(err.Error(), setting) != needed {
				t.Errorf("%s: %v; it should name %s: %v", target, err, setting, needed)
			}
		}
	}
}

// TestAProcessIsReadyAndDrains starts every service on free ports, as `penchant all` does. It runs before the parallel tests,
// since a process can embed one S3 only.
func TestAProcessIsReadyAndDrains(t *testing.T) {
	settings := defaults(t)
	const anyPort = "127.0.0.1:0"
	settings.HTTPAddr, settings.KafkaAddr, settings.RedisAddr, settings.S3Addr = anyPort, anyPort, anyPort, anyPort
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	all, err := New(ctx, Config{Settings: settings, Target: All, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- all.Run(ctx) }()
	if err := all.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if err := CheckHealth(ctx, strings.TrimPrefix(all.Endpoint(), "http://")); err != nil {
		t.Error(err)
	}
	client := all.Client()
	defer client.Close()
	if err := client.Call(ctx, "ListDatasetGroups", struct{}{}, nil); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("draining: %v", err)
	}
}
