// Package resource names the resources of Personalize: their types, and the ARNs of single resources. It imports
// nothing of this module, so that every service and every package can use the same words for them.
package resource

import (
	"errors"
	"fmt"
	"strings"
)

// Resource types, as they appear in the catalog's keys and in ARNs; only the ARNs of solution versions have the type of
// solutions.
const (
	Account           = "account"
	DatasetGroup      = "dataset-group"
	Schema            = "schema"
	Dataset           = "dataset"
	DatasetImportJob  = "dataset-import-job"
	DatasetExportJob  = "dataset-export-job"
	DataDeletionJob   = "data-deletion-job"
	EventTracker      = "event-tracker"
	Solution          = "solution"
	SolutionVersion   = "solution-version"
	Campaign          = "campaign"
	Recommender       = "recommender"
	Filter            = "filter"
	BatchInferenceJob = "batch-inference-job"
	BatchSegmentJob   = "batch-segment-job"
	BatchShard        = "batch-shard"
	MetricAttribution = "metric-attribution"
	Experiment        = "experiment"
	Recipe            = "recipe"
	Algorithm         = "algorithm"
	FeatureTransform  = "feature-transformation"
)

// Latest is the id that stands for a solution's newest version, in campaigns that follow it.
const Latest = "$LATEST"

// ErrBadARN is returned for text that is not an ARN of Personalize.
var ErrBadARN = errors.New("not a Personalize ARN")

// ARN is a parsed resource name: arn:aws:personalize:<region>:<account>:<type>/<id>.
type ARN struct {
	Region, Account string
	// Type is one of the constants above. solution/<name>/<id> is a SolutionVersion.
	Type string
	// ID is what follows the type: a name, `<dataset group>/<TYPE>` for a dataset, `<solution>/<8 hex>` for a solution
	// version.
	ID string
}

// ParseARN reads an ARN. It accepts any partition, and any type, known or not.
func ParseARN(text string) (ARN, error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "personalize" {
		return ARN{}, fmt.Errorf("%w: %q", ErrBadARN, text)
	}
	kind, id, found := strings.Cut(parts[5], "/")
	if !found || kind == "" || id == "" {
		return ARN{}, fmt.Errorf("%w: %q", ErrBadARN, text)
	}
	if kind == Solution && strings.Contains(id, "/") {
		kind = SolutionVersion
	}
	return ARN{Region: parts[3], Account: parts[4], Type: kind, ID: id}, nil
}

// TypeOf returns the resource type of an ARN, "" for text that is not one.
func TypeOf(arn string) string {
	a, err := ParseARN(arn)
	if err != nil {
		return ""
	}
	return a.Type
}

// String returns the ARN as text.
func (a ARN) String() string {
	kind := a.Type
	if kind == SolutionVersion {
		kind = Solution
	}
	return "arn:aws:personalize:" + a.Region + ":" + a.Account + ":" + kind + "/" + a.ID
}

// With returns the ARN of another resource in the same region and account.
func (a ARN) With(kind, id string) ARN {
	return ARN{Region: a.Region, Account: a.Account, Type: kind, ID: id}
}

// SolutionARN returns the ARN of the solution that a solution version's ARN, or its $LATEST alias, belongs to; "" for
// other ARNs.
func SolutionARN(versionARN string) string {
	a, err := ParseARN(versionARN)
	if err != nil || a.Type != SolutionVersion {
		return ""
	}
	name, _, _ := strings.Cut(a.ID, "/")
	return a.With(Solution, name).String()
}

// AccountARN returns the ARN of the Account resource of an account id.
func AccountARN(account string) string {
	return ARN{Account: account, Type: Account, ID: account}.String()
}

// IsLatest reports whether an ARN is a solution's $LATEST alias.
func IsLatest(arn string) bool {
	return TypeOf(arn) == SolutionVersion && strings.HasSuffix(arn, "/"+Latest)
}
