package retrainer

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
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
		Bus: i.Bus, S3: i.S3, Bucket: i.Bucket, Store: i.Store, View: i.View,
		Options:  Options{MinInteractions: 100, MinUsers: 10, Seed: 1},
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

// The queues of one process take a model from events to lists.
func TestARetrainerTrainsAndAnswersABatch(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.Background(i.retrainer(nil).Run)
	i.PutEvents(40, "click")
	v := i.Ends(i.Version(i.Solution("personal", "aws-user-personalization", nil), "00000001"))
	i.Put("users.json", `{"userId":"u000"}`)
	job := &catalog.BatchInferenceJob{
		Metadata: catalog.Metadata{
			ARN: retrainertest.Account + "batch-inference-job/one", Name: "one", Status: status.CreatePending,
		},
		DatasetGroupARN: i.Group.ARN, SolutionVersionARN: v.ARN, Mode: "BATCH_INFERENCE",
		JobInput:  &personalize.BatchInferenceJobInput{S3DataSource: i.At("users.json")},
		JobOutput: &personalize.BatchInferenceJobOutput{S3DataDestination: i.At("out")},
	}
	retrainertest.Create(i.Installation, job)
	i.Succeeds(job)
	if answers := i.Get("out/users.json.out"); !strings.Contains(answers, `"recommendedItems":["i`) {
		t.Errorf("answered %s", answers)
	}
}
