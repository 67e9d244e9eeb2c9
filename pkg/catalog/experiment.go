package catalog

import (
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/experiment"
	"github.com/penchant-io/penchant/pkg/resource"
)

// Experiment divides the users among campaigns. Its ARN is called as a campaign's is.
type Experiment struct {
	Metadata
	DatasetGroupARN string `json:"datasetGroupArn"`
	// Arms are never taken away, so that what they have shown stays theirs; the first is the control.
	Arms       []ExperimentArm       `json:"arms"`
	Allocation experiment.Allocation `json:"allocation"`
	// Phases are the shares that held one after the other, each list in the order of the arms of its time.
	Phases [][]experiment.Share `json:"phases"`
	Metric experiment.Metric    `json:"metric"`
	Guard  *experiment.Guard    `json:"guardMetric,omitempty"`
	// ShadowCampaignARNs also compute recommendations, which are not served.
	ShadowCampaignARNs []string `json:"shadowCampaignArns,omitempty"`
	// Window is the time after an answer within which events count for it.
	Window     time.Duration `json:"window"`
	Effect     float64       `json:"effect"`
	Confidence float64       `json:"confidence"`
	// StoppedAt is zero while the experiment runs. From then on ServingArm answers everybody, and nothing is counted.
	StoppedAt  time.Time `json:"stoppedAt,omitzero"`
	ServingArm string    `json:"servingArm,omitempty"`
	StopReason string    `json:"stopReason,omitempty"`
}

// ExperimentArm is a campaign under the name that it has in an experiment.
type ExperimentArm struct {
	Name        string `json:"name"`
	CampaignARN string `json:"campaignArn"`
}

func (*Experiment) kind() string { return resource.Experiment }

// Stopped reports whether the experiment has ended.
func (e *Experiment) Stopped() bool { return !e.StoppedAt.IsZero() }

// Stop ends the experiment: an arm answers everybody from now on.
func (e *Experiment) Stop(arm, reason string, at time.Time) {
	e.StoppedAt, e.ServingArm, e.StopReason, e.ShadowCampaignARNs = at.UTC(), arm, reason, nil
	e.Hold()
}

// Hold makes the campaigns that the experiment has its parents, and returns the parents that it has no longer.
// Reservations in those are the caller's to give back, or are swept when somebody wants to delete one.
func (e *Experiment) Hold() (left []string) {
	parents := []string{e.DatasetGroupARN}
	add := func(arn string) {
		if !slices.Contains(parents, arn) {
			parents = append(parents, arn)
		}
	}
	for _, arm := range e.Arms {
		add(arm.CampaignARN)
	}
	for _, arn := range e.ShadowCampaignARNs {
		add(arn)
	}
	for _, arn := range e.Parents {
		if !slices.Contains(parents, arn) {
			left = append(left, arn)
		}
	}
	e.Parents = parents
	return left
}

// CountedUntil returns the end of the last answers' window, when the counting of a stopped experiment ends.
func (e *Experiment) CountedUntil() time.Time { return e.StoppedAt.Add(e.Window + lateAnswers) }

// lateAnswers bounds how long recommenders answer from an experiment after it was stopped, because they have not seen
// it yet.
const lateAnswers = time.Minute

// Control returns the arm that the others are compared with.
func (e *Experiment) Control() ExperimentArm { return e.Arms[0] }

// Arm returns the arm of a name.
func (e *Experiment) Arm(name string) (ExperimentArm, bool) {
	for _, arm := range e.Arms {
		if arm.Name == name {
			return arm, true
		}
	}
	return ExperimentArm{}, false
}

// Answers returns the arm that answers a user, or an anonymous session.
func (e *Experiment) Answers(user string) ExperimentArm {
	name := e.ServingArm
	if !e.Stopped() {
		name = e.Allocation.Arm(experiment.HashOf(e.ID, user))
	}
	if arm, ok := e.Arm(name); ok {
		return arm
	}
	return e.Control()
}

// Phase returns the number of changes of the shares.
func (e *Experiment) Phase() int { return len(e.Phases) - 1 }

// Plan returns how the experiment is counted and judged.
func (e *Experiment) Plan() experiment.Plan {
	plan := experiment.Plan{
		Seed: e.ID, Metric: e.Metric, Guard: e.Guard, Window: e.Window, Effect: e.Effect, Alpha: 1 - e.Confidence, Phases: e.Phases,
	}
	for _, arm := range e.Arms {
		plan.Arms = append(plan.Arms, arm.Name)
	}
	return plan
}

// Tally returns the object that holds what has been counted of the experiment.
func (e *Experiment) Tally(bucket *blob.Bucket) blob.Document[*experiment.Tally] {
	return blob.Document[*experiment.Tally]{
		Bucket: bucket, Key: e.TallyPrefix() + "tally", ContentType: "application/octet-stream",
		Encode: (*experiment.Tally).Encode,
		Decode: func(data []byte) (*experiment.Tally, error) { return experiment.Decode(data, e.Plan()) },
	}
}

// TallyPrefix returns the folder of everything that belongs to the experiment.
func (e *Experiment) TallyPrefix() string { return "experiments/" + e.Name + "/" + e.ID + "/" }
