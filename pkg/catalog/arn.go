package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// Resource types, as they stand in keys and, but for solution versions, in ARNs.
const (
	TypeAccount           = "account"
	TypeDatasetGroup      = "dataset-group"
	TypeSchema            = "schema"
	TypeDataset           = "dataset"
	TypeDatasetImportJob  = "dataset-import-job"
	TypeDatasetExportJob  = "dataset-export-job"
	TypeDataDeletionJob   = "data-deletion-job"
	TypeEventTracker      = "event-tracker"
	TypeSolution          = "solution"
	TypeSolutionVersion   = "solution-version"
	TypeCampaign          = "campaign"
	TypeRecommender       = "recommender"
	TypeFilter            = "filter"
	TypeBatchInferenceJob = "batch-inference-job"
	TypeBatchSegmentJob   = "batch-segment-job"
	TypeBatchShard        = "batch-shard"
	TypeMetricAttribution = "metric-attribution"
	TypeExperiment        = "experiment"
	TypeRecipe            = "recipe"
	TypeAlgorithm         = "algorithm"
	TypeFeatureTransform  = "feature-transformation"
)

// Latest is the id that stands for a solution's newest version, in campaigns that follow it.
const Latest = "$LATEST"

// ErrBadARN is returned for text that is no ARN of Personalize.
var ErrBadARN = errors.New("not a Personalize ARN")

// ARN is a parsed resource name: arn:aws:personalize:<region>:<account>:<type>/<id>.
type ARN struct {
	Region, Account string
	// Type is one of the Type constants. solution/<name>/<id> is a TypeSolutionVersion.
	Type string
	// ID is what follows the type: a name, `<dataset group>/<TYPE>` for a dataset, `<solution>/<8 hex>` for a solution version.
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
	if kind == TypeSolution && strings.Contains(id, "/") {
		kind = TypeSolutionVersion
	}
	return ARN{Region: parts[3], Account: parts[4], Type: kind, ID: id}, nil
}

// TypeOf is the resource type of an ARN, "" if it is none.
func TypeOf(arn string) string {
	a, err := ParseARN(arn)
	if err != nil {
		return ""
	}
	return a.Type
}

func (a ARN) String() string {
	kind := a.Type
	if kind == TypeSolutionVersion {
		kind = TypeSolution
	}
	return "arn:aws:personalize:" + a.Region + ":" + a.Account + ":" + kind + "/" + a.ID
}

// With is the ARN of another resource in the same region and account.
func (a ARN) With(kind, id string) ARN {
	return ARN{Region: a.Region, Account: a.Account, Type: kind, ID: id}
}

// SolutionARN is the solution that a solution version's ARN, or its $LATEST alias, belongs to; "" for other ARNs.
func SolutionARN(versionARN string) string {
	a, err := ParseARN(versionARN)
	if err != nil || a.Type != TypeSolutionVersion {
		return ""
	}
	name, _, _ := strings.Cut(a.ID, "/")
	return a.With(TypeSolution, name).String()
}

// AccountARN names the Account of an account id.
func AccountARN(account string) string {
	return ARN{Account: account, Type: TypeAccount, ID: account}.String()
}

// IsLatest says whether an ARN is a solution's $LATEST alias.
func IsLatest(arn string) bool {
	return TypeOf(arn) == TypeSolutionVersion && strings.HasSuffix(arn, "/"+Latest)
}

// NewTrackingID draws a tracking id and the ARN id that belongs to it: its first eight hexadecimal digits. So a tracker is found
// by either with one read.
func NewTrackingID() (arnID, trackingID string) {
	trackingID = uuid.NewString()
	return trackerID(trackingID), trackingID
}

func trackerID(trackingID string) string {
	id, _, _ := strings.Cut(trackingID, "-")
	return id
}

const root = "catalog/"

// idPattern keeps ids harmless as object keys: the characters of names, and at most one folder.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?$`)

// key is where the resource stands in the bucket. Region and account are not part of it: a bucket is one namespace.
func (a ARN) key() (string, error) {
	if prototypes[a.Type] == nil || !idPattern.MatchString(a.ID) {
		return "", fmt.Errorf("%w: no resource of the catalog: %q", ErrNotFound, a)
	}
	return root + a.Type + "/" + a.ID + ".json", nil
}

func keyOf(arn string) (string, error) {
	a, err := ParseARN(arn)
	if err != nil {
		return "", err
	}
	return a.key()
}
