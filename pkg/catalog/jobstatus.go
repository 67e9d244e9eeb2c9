package catalog

import (
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// jobWords are what clients see of a job's way from its creation to its end.
type jobWords struct{ pending, running, done, failed string }

func wordsOf(arn string) jobWords {
	if resource.TypeOf(arn) == resource.DataDeletionJob {
		return jobWords{status.Pending, status.InProgress, status.Completed, status.Failed}
	}
	return jobWords{status.CreatePending, status.CreateInProgress, status.Active, status.CreateFailed}
}

// Waiting says whether no worker has begun the job.
func (m *Metadata) Waiting() bool { return m.Status == wordsOf(m.ARN).pending }

// Running says whether a worker has begun the job, and neither finished it nor was asked to stop.
func (m *Metadata) Running() bool { return m.Status == wordsOf(m.ARN).running }

// Begin moves a job to the status of one that runs.
func (m *Metadata) Begin() { m.Status = wordsOf(m.ARN).running }

// HandBack moves a job back to the status in which it was created.
func (m *Metadata) HandBack() { m.Status = wordsOf(m.ARN).pending }

// Succeed moves a job to the status of one that has done its work.
func (m *Metadata) Succeed() { m.Status, m.FailureReason, m.Progress = wordsOf(m.ARN).done, "", 1 }

// Fail moves a resource to CREATE FAILED, or to what its type calls that, with the reason that clients see.
func (m *Metadata) Fail(reason string) {
	m.Status, m.FailureReason = wordsOf(m.ARN).failed, reason
}

// Finished says whether a job has come to its end, good or bad.
func (m *Metadata) Finished() bool {
	switch m.Status {
	case status.Active, status.CreateFailed, status.CreateStopped, status.Completed, status.Failed:
		return true
	}
	return false
}
