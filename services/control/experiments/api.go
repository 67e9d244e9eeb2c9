package experiments

import (
	"fmt"
	"slices"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
	"github.com/penchant-io/penchant/pkg/awsapi/constraint"
	"github.com/penchant-io/penchant/pkg/awsapi/personalize"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/experiment"
)

// The constraints of the members.
var (
	experimentName = constraint.String{Min: 1, Max: 63, Pattern: constraint.MustPattern(`^[a-zA-Z0-9][a-zA-Z0-9\-_]*`)}
	experimentARN  = constraint.String{Min: 1, Max: 256}
	eventTypeName  = constraint.String{Min: 1, Max: 256}
	metricUnit     = constraint.String{Enum: []string{string(experiment.PerImpression), string(experiment.PerUser)}}
	guardDirection = constraint.String{Enum: []string{string(experiment.Lower), string(experiment.Higher)}}
	shareRange     = constraint.Number{Min: constraint.Bound(0), Max: constraint.Bound(1)}
	windowSeconds  = constraint.Number{Min: constraint.Bound(60), Max: constraint.Bound(86400)}
	effectRange    = constraint.Number{Min: constraint.Bound(0.001), Max: constraint.Bound(1)}
	confidences    = constraint.Number{Min: constraint.Bound(0.5), Max: constraint.Bound(0.999)}
	armCount       = constraint.Count{Min: 2, Max: maxArms}
	shadowCount    = constraint.Count{Max: maxShadows}
	pageSize       = constraint.Number{Min: constraint.Bound(1), Max: constraint.Bound(100)}
)

const (
	maxArms    = 10
	maxShadows = 5

	defaultWindow     = time.Hour
	defaultEffect     = 0.1
	defaultConfidence = 0.95
)

// Arm is a campaign that gets a share of the users.
type Arm struct {
	Name        *string  `json:"name,omitempty"`        // required
	CampaignArn *string  `json:"campaignArn,omitempty"` // required
	Share       *float64 `json:"share,omitempty"`       // required
}

func (a *Arm) validate() *constraint.Violation {
	switch {
	case a.Name == nil:
		return constraint.Missing("name")
	case a.CampaignArn == nil:
		return constraint.Missing("campaignArn")
	case a.Share == nil:
		return constraint.Missing("share")
	}
	return firstOf(
		inMember(
			"name", experimentName.Check(*a.Name),
		),
		inMember("campaignArn", experimentARN.Check(*a.CampaignArn)),
		inMember("share", shareRange.Check(*a.Share)),
	)
}

// Metric is a rate of events.
type Metric struct {
	EventType *string `json:"eventType,omitempty"` // required
	Per       *string `json:"per,omitempty"`
	// Worse is the guard metric's only.
	Worse *string `json:"worse,omitempty"`
}

func (m *Metric) validate(guard bool) *constraint.Violation {
	if m.EventType == nil {
		return constraint.Missing("eventType")
	}
	if v := inMember("eventType", eventTypeName.Check(*m.EventType)); v != nil {
		return v
	}
	if m.Per != nil {
		if v := inMember("per", metricUnit.Check(*m.Per)); v != nil {
			return v
		}
	}
	if m.Worse != nil && guard {
		return inMember("worse", guardDirection.Check(*m.Worse))
	}
	return nil
}

// CreateRequest is the request of CreateExperiment.
type CreateRequest struct {
	Name        *string `json:"name,omitempty"`   // required
	Arms        []Arm   `json:"arms,omitzero"`    // required; the first is the control
	Metric      *Metric `json:"metric,omitempty"` // required
	GuardMetric *Metric `json:"guardMetric,omitempty"`
	// ShadowCampaignArns are asked and not shown.
	ShadowCampaignArns       []string          `json:"shadowCampaignArns,omitzero"`
	AttributionWindowSeconds *int64            `json:"attributionWindowSeconds,omitempty"`
	ExpectedEffect           *float64          `json:"expectedEffect,omitempty"`
	Confidence               *float64          `json:"confidence,omitempty"`
	Tags                     []personalize.Tag `json:"tags,omitzero"`
}

// Validate returns the first violation, in the order of the members, as an InvalidInputException.
func (r *CreateRequest) Validate() error { return refusalOf(r.validate()) }

func (r *CreateRequest) validate() *constraint.Violation {
	if r.Name == nil {
		return constraint.Missing("name")
	}
	if v := inMember("name", experimentName.Check(*r.Name)); v != nil {
		return v
	}
	if v := validateArms(r.Arms); v != nil {
		return v
	}
	if r.Metric == nil {
		return constraint.Missing("metric")
	}
	if v := inMember("metric", r.Metric.validate(false)); v != nil {
		return v
	}
	if r.GuardMetric != nil {
		if v := inMember("guardMetric", r.GuardMetric.validate(true)); v != nil {
			return v
		}
	}
	if v := validateShadows(r.ShadowCampaignArns); v != nil {
		return v
	}
	if r.AttributionWindowSeconds != nil {
		if v := inMember("attributionWindowSeconds", windowSeconds.Check(float64(*r.AttributionWindowSeconds))); v != nil {
			return v
		}
	}
	if r.ExpectedEffect != nil {
		if v := inMember("expectedEffect", effectRange.Check(*r.ExpectedEffect)); v != nil {
			return v
		}
	}
	if r.Confidence != nil {
		return inMember("confidence", confidences.Check(*r.Confidence))
	}
	return nil
}

func validateArms(arms []Arm) *constraint.Violation {
	if arms == nil {
		return constraint.Missing("arms")
	}
	if v := inMember("arms", armCount.Check(len(arms))); v != nil {
		return v
	}
	for i := range arms {
		if v := arms[i].validate(); v != nil {
			return v.At(i).In("arms")
		}
	}
	return nil
}

func validateShadows(arns []string) *constraint.Violation {
	if v := inMember("shadowCampaignArns", shadowCount.Check(len(arns))); v != nil {
		return v
	}
	for i, arn := range arns {
		if v := experimentARN.Check(arn); v != nil {
			return v.At(i).In("shadowCampaignArns")
		}
	}
	return nil
}

func inMember(member string, v *constraint.Violation) *constraint.Violation {
	if v == nil {
		return nil
	}
	return v.In(member)
}

func firstOf(violations ...*constraint.Violation) *constraint.Violation {
	i := slices.IndexFunc(violations, func(v *constraint.Violation) bool { return v != nil })
	if i < 0 {
		return nil
	}
	return violations[i]
}

func refusalOf(v *constraint.Violation) error {
	if v == nil {
		return nil
	}
	return awsapi.InvalidInput("%s", v.Error())
}

// CreateResponse is the response of CreateExperiment.
type CreateResponse struct {
	ExperimentArn *string `json:"experimentArn,omitempty"`
}

// Request is the request of DescribeExperiment and DeleteExperiment.
type Request struct {
	ExperimentArn *string `json:"experimentArn,omitempty"` // required
}

// Validate returns the first violation as an InvalidInputException.
func (r *Request) Validate() error { return refusalOf(validateARN(r.ExperimentArn)) }

func validateARN(arn *string) *constraint.Violation {
	if arn == nil {
		return constraint.Missing("experimentArn")
	}
	return inMember("experimentArn", experimentARN.Check(*arn))
}

// UpdateRequest is the request of UpdateExperiment. What it does not name stays.
type UpdateRequest struct {
	ExperimentArn *string `json:"experimentArn,omitempty"` // required
	// Arms are all that there are, with the shares that they get, and further ones.
	Arms               []Arm    `json:"arms,omitzero"`
	ShadowCampaignArns []string `json:"shadowCampaignArns,omitzero"`
	// StopAndServe ends the experiment: the arm of this name answers everybody.
	StopAndServe *string `json:"stopAndServe,omitempty"`
}

// Validate returns the first violation, in the order of the members, as an InvalidInputException.
func (r *UpdateRequest) Validate() error {
	v := validateARN(r.ExperimentArn)
	if v == nil && r.Arms != nil {
		v = validateArms(r.Arms)
	}
	if v == nil {
		v = validateShadows(r.ShadowCampaignArns)
	}
	if v == nil && r.StopAndServe != nil {
		v = inMember("stopAndServe", experimentName.Check(*r.StopAndServe))
	}
	if v != nil {
		return refusalOf(v)
	}
	if r.StopAndServe != nil && (r.Arms != nil || r.ShadowCampaignArns != nil) {
		return awsapi.InvalidInput("stopAndServe ends the experiment and goes with no other change")
	}
	return nil
}

// ListRequest is the request of ListExperiments.
type ListRequest struct {
	DatasetGroupArn *string `json:"datasetGroupArn,omitempty"`
	NextToken       *string `json:"nextToken,omitempty"`
	MaxResults      *int64  `json:"maxResults,omitempty"`
}

// Validate returns the first violation as an InvalidInputException.
func (r *ListRequest) Validate() error {
	if r.MaxResults == nil {
		return nil
	}
	return refusalOf(inMember("maxResults", pageSize.Check(float64(*r.MaxResults))))
}

// ListResponse is the response of ListExperiments.
type ListResponse struct {
	Experiments []Summary `json:"experiments"`
	NextToken   *string   `json:"nextToken,omitempty"`
}

// Summary is an experiment in a list.
type Summary struct {
	Name                string            `json:"name"`
	ExperimentArn       string            `json:"experimentArn"`
	DatasetGroupArn     string            `json:"datasetGroupArn"`
	Status              string            `json:"status"`
	State               string            `json:"state"`
	CreationDateTime    *awsapi.Timestamp `json:"creationDateTime"`
	LastUpdatedDateTime *awsapi.Timestamp `json:"lastUpdatedDateTime"`
}

// The states of an experiment.
const (
	stateRunning = "RUNNING"
	stateStopped = "STOPPED"
)

func stateOf(e *catalog.Experiment) string {
	if e.Stopped() {
		return stateStopped
	}
	return stateRunning
}

// DescribeResponse is the response of DescribeExperiment.
type DescribeResponse struct {
	Experiment Description `json:"experiment"`
}

// Description is an experiment with its results.
type Description struct {
	Name                     string             `json:"name"`
	ExperimentArn            string             `json:"experimentArn"`
	DatasetGroupArn          string             `json:"datasetGroupArn"`
	Status                   string             `json:"status"`
	FailureReason            string             `json:"failureReason,omitempty"`
	State                    string             `json:"state"`
	Arms                     []Arm              `json:"arms"`
	Metric                   *Metric            `json:"metric"`
	GuardMetric              *Metric            `json:"guardMetric,omitempty"`
	ShadowCampaignArns       []string           `json:"shadowCampaignArns,omitempty"`
	AttributionWindowSeconds int64              `json:"attributionWindowSeconds"`
	ExpectedEffect           float64            `json:"expectedEffect"`
	Confidence               float64            `json:"confidence"`
	StopDateTime             *awsapi.Timestamp  `json:"stopDateTime,omitempty"`
	StopReason               string             `json:"stopReason,omitempty"`
	ServingArm               string             `json:"servingArm,omitempty"`
	CreationDateTime         *awsapi.Timestamp  `json:"creationDateTime"`
	LastUpdatedDateTime      *awsapi.Timestamp  `json:"lastUpdatedDateTime"`
	Results                  experiment.Results `json:"results"`
}

func shapeMetric(m experiment.Metric) *Metric {
	per := string(m.Per)
	return &Metric{EventType: &m.EventType, Per: &per}
}

func shapeGuard(g *experiment.Guard) *Metric {
	if g == nil {
		return nil
	}
	shaped, worse := shapeMetric(g.Metric), string(g.Worse)
	shaped.Worse = &worse
	return shaped
}

func shapeExperiment(e *catalog.Experiment) Summary {
	return Summary{
		Name: e.Name, ExperimentArn: e.ARN, DatasetGroupArn: e.DatasetGroupARN, Status: e.Status, State: stateOf(e),
		CreationDateTime: awsapi.At(e.CreatedAt), LastUpdatedDateTime: awsapi.At(e.UpdatedAt),
	}
}

// newMetric returns the metric of a request, per impression by default.
func newMetric(m *Metric) experiment.Metric {
	metric := experiment.Metric{EventType: *m.EventType, Per: experiment.PerImpression}
	if m.Per != nil {
		metric.Per = experiment.Unit(*m.Per)
	}
	return metric
}

func newGuard(m *Metric) *experiment.Guard {
	if m == nil {
		return nil
	}
	guard := &experiment.Guard{Metric: newMetric(m), Worse: experiment.Lower}
	if m.Worse != nil {
		guard.Worse = experiment.Direction(*m.Worse)
	}
	return guard
}

func orElse[T any](member *T, usual T) T {
	if member == nil {
		return usual
	}
	return *member
}

// manualStop returns the reason of a stop that a client requested.
func manualStop(arm string) string {
	return fmt.Sprintf("stopped by UpdateExperiment to serve %s", arm)
}
