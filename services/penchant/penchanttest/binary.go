// Package penchanttest runs Penchant the way its users do, for tests: the binary in processes of its own, which can be
// killed and stopped, against Kafka, Redis and S3 servers that can be killed, stopped, slowed down and cut off.
//
//	Process       one penchant process
//	Kafka, Redis  real servers, started by scripts/servers; Servers are one of each with an S3
//	Proxy         sits between a process and a server and breaks connections (TCP)
//	S3Proxy       answers S3 calls with errors, or breaks them off (HTTP)
//	Sender        numbered events, and the outcome of each; FaultFree is their outcome without faults
//
// Nothing here waits for a fixed time: what takes time is polled, with pkg/eventually.
package penchanttest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// binary is penchant, built once for all tests of a package.
var binary struct {
	once sync.Once
	path string
	dir  string // to be removed
	err  error
}

// Binary is the path of penchant, built from the checkout the first time. PENCHANT_TEST_BINARY names one that is there
// already. The package's TestMain has to call Main, which removes it.
func Binary(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.path = os.Getenv("PENCHANT_TEST_BINARY"); binary.path != "" {
			return
		}
		if binary.dir, binary.err = os.MkdirTemp("", "penchant-test-"); binary.err != nil {
			return
		}
		binary.path = filepath.Join(binary.dir, "penchant")
		if out, err := exec.Command("go", "build", "-o", binary.path,
			"github.com/penchant-io/penchant/services/penchant").CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("building penchant: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// Main runs a package's tests and removes what they shared.
func Main(m *testing.M) {
	code := m.Run()
	stopShared()
	if binary.dir != "" {
		os.RemoveAll(binary.dir)
	}
	os.Exit(code)
}

// Pause waits, unless ctx ends before.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
