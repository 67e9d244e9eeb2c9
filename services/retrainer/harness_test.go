package retrainer

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/services/retrainer/retrainertest"
)

// installation is what the tests of this package work on.
type installation struct{ *retrainertest.Installation }

func install(t *testing.T) *installation {
	t.Helper()
	return &installation{retrainertest.Install(t)}
}

// retrainer makes a retrainer with quick leases and heartbeats; it works once run.
func (i *installation) retrainer(change func(*Config)) *Service {
	i.Helper()
	config := Config{
		Bus: i.Bus, S3: i.S3, Bucket: i.Bucket, Store: i.Store, View: i.View, MinInteractions: 100, MinUsers: 10, Seed: 1,
		LeaseTTL: time.Second, Log: zaptest.NewLogger(i), Registerer: prometheus.NewRegistry(), heartbeat: 20 * time.Millisecond,
	}
	if change != nil {
		change(&config)
	}
	s, err := New(config)
	if err != nil {
		i.Fatal(err)
	}
	return s
}
