package faults

import (
	"fmt"
	"testing"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/services/penchant/penchanttest"
)

func TestMain(m *testing.M) { penchanttest.Main(m) }

// installation is an installation's processes, by target.
type installation map[string][]*penchanttest.Process

// allTargets in the order in which nothing has to wait.
var allTargets = []string{"control", "tracker", "session-updater", "firehose", "retrainer", "recommender"}

// start starts replicas of the targets and waits until all are ready.
func start(t *testing.T, settings []string, replicas int, targets ...string) installation {
	t.Helper()
	i := installation{}
	for _, target := range targets {
		for range replicas {
			i[target] = append(i[target], penchanttest.Launch(t, target, t.TempDir(), settings...))
		}
	}
	for _, processes := range i {
		for _, process := range processes {
			process.AwaitReady(startLimit)
		}
	}
	return i
}

// one is a target's only process.
func (i installation) one(target string) *penchanttest.Process { return i[target][0] }

// terminate ends all processes as an operator does, all at once.
func (i installation) terminate() {
	for _, processes := range i {
		for _, process := range processes {
			process.AskToEnd()
		}
	}
	for _, processes := range i {
		for _, process := range processes {
			process.AwaitExit()
		}
	}
}

// always picks one client for all calls.
func always(api *awsapi.Client) func() *awsapi.Client { return func() *awsapi.Client { return api } }

// exceeds returns nil once the process's metric is above a value.
func exceeds(process *penchanttest.Process, metric string, value float64, labels ...string) error {
	now, err := process.Metric(metric, labels...)
	if err != nil {
		return err
	}
	if now <= value {
		return fmt.Errorf("%s is %v", metric, now)
	}
	return nil
}
