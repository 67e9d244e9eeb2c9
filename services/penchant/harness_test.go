package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
)

// binary is penchant, built once for all tests that run it as a process of its own.
var binary struct {
	once sync.Once
	path string
	err  error
}

func build() (string, error) {
	binary.once.Do(func() {
		dir, err := os.MkdirTemp("", "penchant-test-")
		if err != nil {
			binary.err = err
			return
		}
		binary.path = filepath.Join(dir, "penchant")
		if out, err := exec.Command("go", "build", "-o", binary.path, ".").CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("building penchant: %w\n%s", err, out)
		}
	})
	return binary.path, binary.err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.path != "" {
		os.RemoveAll(filepath.Dir(binary.path))
	}
	os.Exit(code)
}

// child is a penchant process of the test's.
type child struct {
	t         testing.TB
	dataDir   string
	output    *bytes.Buffer
	command   *exec.Cmd
	exited    chan error
	endpoints map[string]string
}

// start runs `penchant <target>` in dataDir on free ports and waits until it is ready.
func start(t testing.TB, target, dataDir string, environment ...string) *child {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	const anyPort = "127.0.0.1:0"
	c := &child{t: t, dataDir: dataDir, output: &bytes.Buffer{}, exited: make(chan error, 1)}
	endpoints := filepath.Join(dataDir, "endpoints.json")
	if err := os.Remove(endpoints); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	c.command = exec.Command(path, target, "--data-dir", dataDir, "--http-addr", anyPort,
		"--kafka-addr", anyPort, "--redis-addr", anyPort, "--s3-addr", anyPort, "--log-format", "console")
	c.command.Env = append(withoutSettings(os.Environ()), environment...)
	c.command.Stdout, c.command.Stderr = c.output, c.output
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.exited <- c.command.Wait() }()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("output of penchant %s:\n%s", target, c.output)
		}
	})
	eventually(t, time.Minute, "penchant "+target+" is ready", func() error {
		select {
		case err := <-c.exited:
			c.exited <- err
			t.Fatalf("penchant %s ended: %v\n%s", target, err, c.output)
		default:
		}
		content, err := os.ReadFile(endpoints)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(content, &c.endpoints); err != nil {
			return err
		}
		res, err := http.Get(c.endpoints["http"] + "/healthz/ready")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			var page struct{ Reasons map[string]string }
			_ = json.NewDecoder(res.Body).Decode(&page)
			return fmt.Errorf("not ready: %v", page.Reasons)
		}
		return nil
	})
	return c
}

func withoutSettings(environment []string) []string {
	var kept []string
	for _, pair := range environment {
		if !strings.HasPrefix(pair, envPrefix) {
			kept = append(kept, pair)
		}
	}
	return kept
}

// kill ends the process the way a crash does and waits until it is gone.
func (c *child) kill() {
	_ = c.command.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	err := <-c.exited
	c.exited <- err
}

// terminate asks the process to drain and end, and fails the test unless it does so in time and without an error.
func (c *child) terminate() {
	c.t.Helper()
	if err := c.command.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	select {
	case err := <-c.exited:
		c.exited <- err
		if err != nil {
			c.t.Errorf("on SIGTERM: %v\n%s", err, c.output)
		}
	case <-time.After(drainTimeout + 5*time.Second):
		c.t.Errorf("still running %s after SIGTERM\n%s", drainTimeout, c.output)
	}
}

func (c *child) api() *awsapi.Client {
	return awsapi.NewClient(c.endpoints["http"], awsapi.Credential{AccessKeyID: "penchant", SecretKey: defaultSecret}, "us-east-1")
}

func (c *child) bucket(name string) *blob.Bucket {
	c.t.Helper()
	store, err := blob.Open(blob.Config{Endpoint: c.endpoints["s3"], AccessKey: "penchant", SecretKey: defaultSecret, Region: "us-east-1"})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(store.Close)
	if err := store.EnsureBucket(c.t.Context(), name); err != nil {
		c.t.Fatal(err)
	}
	return store.Bucket(name)
}

// eventually polls until check returns nil, and fails the test with its last error when the time is over.
func eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("within %s it did not come true that %s: %v", limit, what, err)
		}
		if pause(t.Context(), 10*time.Millisecond) != nil {
			t.Fatalf("the test ended before it came true that %s: %v", what, err)
		}
	}
}

// trackedGroup creates a dataset group with an Interactions dataset and an event tracker, and waits for all of them.
func trackedGroup(t testing.TB, api *awsapi.Client, bucket *blob.Bucket, name string) (group *catalog.DatasetGroup, trackingID string) {
	t.Helper()
	ctx := t.Context()
	call := func(operation string, in, out any) {
		t.Helper()
		if err := api.Call(ctx, operation, in, out); err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
	}
	store := catalog.NewStore(bucket, nil)
	var groupAnswer personalize.CreateDatasetGroupResponse
	call("CreateDatasetGroup", &personalize.CreateDatasetGroupRequest{Name: &name}, &groupAnswer)
	group = waitActive[*catalog.DatasetGroup](ctx, t, store, *groupAnswer.DatasetGroupArn)
	var schema personalize.CreateSchemaResponse
	call("CreateSchema", &personalize.CreateSchemaRequest{Name: &name, Schema: new(interactionsSchema)}, &schema)
	var dataset personalize.CreateDatasetResponse
	call("CreateDataset", &personalize.CreateDatasetRequest{
		Name: &name, DatasetGroupArn: &group.ARN, DatasetType: new("Interactions"), SchemaArn: schema.SchemaArn,
	}, &dataset)
	waitActive[*catalog.Dataset](ctx, t, store, *dataset.DatasetArn)
	var tracker personalize.CreateEventTrackerResponse
	call("CreateEventTracker", &personalize.CreateEventTrackerRequest{Name: &name, DatasetGroupArn: &group.ARN}, &tracker)
	waitActive[*catalog.EventTracker](ctx, t, store, *tracker.EventTrackerArn)
	return group, *tracker.TrackingId
}

func waitActive[R catalog.Resource](ctx context.Context, t testing.TB, store *catalog.Store, arn string) R {
	t.Helper()
	var resource R
	eventually(t, 2*time.Minute, arn+" is ACTIVE", func() (err error) {
		if resource, err = catalog.Get[R](ctx, store, arn); err != nil {
			return err
		}
		switch base := resource.Head(); base.Status {
		case catalog.StatusActive:
			return nil
		case catalog.StatusCreateFailed:
			t.Fatalf("%s failed: %s", arn, base.FailureReason)
			return nil
		default:
			return fmt.Errorf("status is %s", base.Status)
		}
	})
	return resource
}
