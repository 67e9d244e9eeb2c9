package catalog

import (
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
)

// jobWords are the statuses of a job from its creation to its end.
type jobWords struct{ pending, running, done, failed string }

func wordsOf(arn string) jobWords {
	if resource.TypeOf(arn) == resource.DataDeletionJob {
		return jobWords{status.Pending, status.InProgress, status.Completed, status.Failed}
	}
	return jobWords{status.CreatePending, status.CreateInProgress, status.Active, status.CreateFailed}
}

// Waiting reports whether no worker has begun the job.
func (m *Metadata) Waiting() bool { return m.Status == wordsOf(m.ARN).pending }

// Running reports whether a worker has begun the job, and has neither finished it nor been asked to stop.
func (m *Metadata) Running() bool { return m.Status == wordsOf(m.ARN).running }

// Begin sets the status of a running job.
func (m *Metadata) Begin() { m.Status = wordsOf(m.ARN).running }

// HandBack sets the status in which a job was created.
func (m *Metadata) HandBack() { m.Status = wordsOf(m.ARN).pending }

// Succeed sets the status of a completed job.
func (m *Metadata) Succeed() { m.Status, m.FailureReason, m.Progress = wordsOf(m.ARN).done, "", 1 }

// Fail sets CREATE FAILED, or its equivalent for the type, with the reason that clients see.
func (m *Metadata) Fail(reason string) {
	m.Status, m.FailureReason = wordsOf(m.ARN).failed, reason
}

// Finished reports whether a job has succeeded, failed or been stopped.
func (m *Metadata) Finished() bool {
	switch m.Status {
	case status.Active, status.CreateFailed, status.CreateStopped, status.Completed, status.Failed:
		return true
	}
	return false
}
