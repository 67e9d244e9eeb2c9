package training

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eval"
	"github.com/penchant-io/penchant/pkg/modelstore"
)

// QualityReport describes a trained model: the metrics of GetSolutionMetrics, and much that has no place there, since
// clients expect Personalize's names and no others. It is stored in the bucket as report.json, next to its plots. The
// same data and seed give the same bytes.
type QualityReport struct {
	SolutionVersion string            `json:"solutionVersion"`
	Recipe          string            `json:"recipe"`
	ModelID         string            `json:"modelId"`
	HyperParameters map[string]string `json:"hyperParameters"`
	Interactions    int               `json:"interactions"`
	Users           int               `json:"users"`
	Items           int               `json:"items"`
	// Weights of the parts of the published model, by name; absent for a model that has none.
	Weights map[string]float64 `json:"weights,omitempty"`
	eval.Report
}

const reportFile = "report.json"

// publishReport writes a report with its plots next to the model, and returns the key of their folder.
func (t *Trainer) publishReport(ctx context.Context, r QualityReport) (string, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encoding the report: %w", err)
	}
	files := map[string][]byte{reportFile: text}
	for _, p := range r.Plots(r.Recipe) {
		files[p.Name] = p.SVG
	}
	return modelstore.PublishReport(ctx, t.config.Data.Bucket, r.SolutionVersion, r.ModelID, files)
}

// ReadQualityReport reads the report of a training from the folder that its solution version names, and all its files.
func ReadQualityReport(ctx context.Context, b *blob.Bucket, folder string) (*QualityReport, map[string][]byte, error) {
	files, err := modelstore.ReadReport(ctx, b, folder)
	if err != nil {
		return nil, nil, err
	}
	r := &QualityReport{}
	if err := json.Unmarshal(files[reportFile], r); err != nil {
		return nil, nil, fmt.Errorf("reading %s/%s: %w", folder, reportFile, err)
	}
	return r, files, nil
}
