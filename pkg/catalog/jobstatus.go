package catalog

// The statuses of data deletion jobs, which alone have words of their own.
const (
	StatusPending    = "PENDING"
	StatusInProgress = "IN_PROGRESS"
	StatusCompleted  = "COMPLETED"
	StatusFailed     = "FAILED"
)

// jobWords are what clients see of a job's way from its creation to its end.
type jobWords struct{ pending, running, done, failed string }

func wordsOf(arn string) jobWords {
	if TypeOf(arn) == TypeDataDeletionJob {
		return jobWords{StatusPending, StatusInProgress, StatusCompleted, StatusFailed}
	}
	return jobWords{StatusCreatePending, StatusCreateInProgress, StatusActive, StatusCreateFailed}
}

// Waiting says whether no worker has begun the job.
func (m *Meta) Waiting() bool { return m.Status == wordsOf(m.ARN).pending }

// Running says whether a worker has begun the job, and neither finished it nor was asked to stop.
func (m *Meta) Running() bool { return m.Status == wordsOf(m.ARN).running }

// Begin moves a job to the status of one that runs.
func (m *Meta) Begin() { m.Status = wordsOf(m.ARN).running }

// HandBack moves a job back to the status in which it was created.
func (m *Meta) HandBack() { m.Status = wordsOf(m.ARN).pending }

// Succeed moves a job to the status of one that has done its work.
func (m *Meta) Succeed() { m.Status, m.FailureReason, m.Progress = wordsOf(m.ARN).done, "", 1 }

// Fail moves a resource to CREATE FAILED, or to what its type calls that, with the reason that clients see.
func (m *Meta) Fail(reason string) {
	m.Status, m.FailureReason = wordsOf(m.ARN).failed, reason
}

// Finished says whether a job has come to its end, good or bad.
func (m *Meta) Finished() bool {
	switch m.Status {
	case StatusActive, StatusCreateFailed, StatusCreateStopped, StatusCompleted, StatusFailed:
		return true
	}
	return false
}
