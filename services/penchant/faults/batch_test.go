package faults

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/bus"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/eventually"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

// batchLines are enough to be shared by two retrainers.
const batchLines = 24_000

// startBatch creates a batch inference job on batchLines users.
func (s *shop) startBatch(name, version string) (arn string) {
	s.Helper()
	var lines strings.Builder
	for n := range batchLines {
		fmt.Fprintf(&lines, "{\"userId\":\"user-%d\"}\n", n%120)
	}
	if _, err := s.source.Put(s.Context(), "in/users.json", []byte(lines.String()), blob.PutOptions{}); err != nil {
		s.Fatal(err)
	}
	at := func(path string) *personalize.S3DataConfig {
		return &personalize.S3DataConfig{Path: new("s3://" + s.source.Name() + "/" + path)}
	}
	var job personalize.CreateBatchInferenceJobResponse
	s.call("CreateBatchInferenceJob", &personalize.CreateBatchInferenceJobRequest{
		JobName: &name, SolutionVersionArn: &version, RoleArn: new(roleARN),
		JobInput:                &personalize.BatchInferenceJobInput{S3DataSource: at("in/users.json")},
		JobOutput:               &personalize.BatchInferenceJobOutput{S3DataDestination: at(name + "/")},
		BatchInferenceJobConfig: &personalize.BatchInferenceJobConfig{ItemExplorationConfig: map[string]string{"explorationWeight": "0"}},
	}, &job)
	return *job.BatchInferenceJobArn
}

// output is what a finished batch job has written.
func (s *shop) output(arn string) string {
	s.Helper()
	job := penchanttest.WaitActive[*catalog.BatchInferenceJob](s, s.store, arn)
	content, _, err := s.source.Get(s.Context(), job.Name+"/users.json.out")
	if err != nil {
		s.Fatal(err)
	}
	return string(content)
}

// shardsDone is how many shards a retrainer has brought to an end.
func shardsDone(t testing.TB, retrainer *penchanttest.Process) float64 {
	t.Helper()
	n, err := retrainer.Metric("penchant_retrainer_jobs_total", "type", "batch shard", "outcome", "active")
	if err != nil {
		return 0 // none is counted yet
	}
	return n
}

// TestTwoRetrainersShareABatch (promise 7): two retrainers work on the shards of one job. One is killed when it has
// done a shard and is about to write the next. The other finishes what is left, whichever of them coordinated the job,
// and the output is what one undisturbed retrainer writes.
func TestTwoRetrainersShareABatch(t *testing.T) {
	servers := penchanttest.SharedServers(t)
	stack := start(t, servers.Settings(), 1, "control", "retrainer")
	s := openShop(t, servers, stack.one("control"), "shared-batch")
	s.importClicks("clicks", 1)
	version := s.awaitVersion(s.startVersion(s.solution("taste", "aws-user-personalization"))).ARN
	undisturbed := s.output(s.startBatch("undisturbed", version))
	if n := strings.Count(undisturbed, "\n"); n != batchLines {
		t.Fatalf("%d lines were answered", n)
	}
	stack.one("retrainer").Terminate()

	const parts = "-00000.part" // of the only file
	toVictim, toSurvivor := penchanttest.StartS3Proxy(t, servers.S3), penchanttest.StartS3Proxy(t, servers.S3)
	second, first := penchanttest.NewHold(), penchanttest.NewHold()
	toVictim.Fail(penchanttest.On(http.MethodPut, parts, afterFirst(second.Before)))
	toSurvivor.Fail(penchanttest.On(http.MethodPut, parts, first.Before))
	victim := penchanttest.Start(t, "retrainer", t.TempDir(), through(toVictim, servers, shortLease)...)
	survivor := penchanttest.Start(t, "retrainer", t.TempDir(), through(toSurvivor, servers, shortLease)...)
	log, err := bus.Open(t.Context(), bus.Config{Brokers: servers.KafkaBrokers, ClientID: "faults"})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	eventually.SucceedsWithin(t, recoverLimit, "both retrainers are members of their group", func() error {
		n, err := log.GroupMembers(t.Context(), "penchant-retrainer")
		if err == nil && n < 2 {
			err = fmt.Errorf("%d are", n)
		}
		return err
	})

	job := s.startBatch("disturbed", version)
	first.Await(t, startLimit)
	second.Await(t, startLimit)
	if n := shardsDone(t, victim); n != 1 {
		t.Errorf("the victim has done %v shards", n)
	}
	if _, _, err := s.source.Get(t.Context(), "disturbed/users.json.out"); err == nil {
		t.Error("there is output before the job is done")
	}
	victim.Kill()
	first.Release()
	if got := s.output(job); got != undisturbed {
		t.Errorf("the output differs from an undisturbed one: %d bytes, want %d", len(got), len(undisturbed))
	}
	if n := shardsDone(t, survivor); n < 2 {
		t.Errorf("the survivor has done %v shards", n)
	}
	eventually.SucceedsWithin(t, recoverLimit, "nothing is left of the job's shards", func() error {
		for _, prefix := range []string{"batch/", "catalog/" + resource.BatchShard} {
			for info, err := range s.bucket.List(t.Context(), prefix) {
				if err != nil {
					return err
				}
				return fmt.Errorf("there is %s", info.Key)
			}
		}
		return nil
	})
	survivor.Kill() // a drain would wait until Kafka has given up its killed peer
	stack.one("control").Terminate()
}

// afterFirst lets one call through, and then has the fault meet all.
func afterFirst(fault penchanttest.S3Fault) penchanttest.S3Fault {
	return func(store http.Handler) http.Handler {
		faulty := fault(store)
		var calls atomic.Int32
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1) == 1 {
				store.ServeHTTP(w, r)
				return
			}
			faulty.ServeHTTP(w, r)
		})
	}
}
