package operator

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/training"
)

// Quality is the report of a training.
type Quality struct {
	*training.QualityReport
	// Saved are the files that were written, if that was asked for.
	Saved []string `json:"saved,omitempty"`
}

// Quality reads the report of a solution version, given its ARN, or of the newest ACTIVE version of a solution, given
// its ARN or name. If a folder is given, the report and its plots are written there.
func (i *Installation) Quality(ctx context.Context, name, folder string) (*Quality, error) {
	if err := i.need(ctx, s3); err != nil {
		return nil, err
	}
	version, err := i.trainedVersion(ctx, name)
	if err != nil {
		return nil, err
	}
	if version.ReportFolder == "" {
		return nil, fmt.Errorf("solution version %s has no report: it is %s, or was trained before there were reports",
			version.ARN, version.Status)
	}
	report, files, err := training.ReadQualityReport(ctx, i.bucket, version.ReportFolder)
	if err != nil {
		return nil, err
	}
	q := &Quality{QualityReport: report}
	if folder == "" {
		return q, nil
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, fmt.Errorf("saving the report: %w", err)
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(folder, file)
		if err := os.WriteFile(path, files[file], 0o666); err != nil {
			return nil, fmt.Errorf("saving the report: %w", err)
		}
		q.Saved = append(q.Saved, path)
	}
	return q, nil
}

func (i *Installation) trainedVersion(ctx context.Context, name string) (*catalog.SolutionVersion, error) {
	versions, err := i.catalog.SolutionVersions.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the solution versions: %w", err)
	}
	var newest *catalog.SolutionVersion
	for _, v := range versions {
		solution := v.SolutionARN[strings.LastIndexByte(v.SolutionARN, '/')+1:]
		switch {
		case name == v.ARN:
			return v, nil
		case (name == v.SolutionARN || name == solution) && v.Status == status.Active:
			if newest == nil || v.CreatedAt.After(newest.CreatedAt) {
				newest = v
			}
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("%q is no solution version, and no solution with an ACTIVE one", name)
	}
	return newest, nil
}

// Page is the report for people.
func (q *Quality) Page() string {
	var page strings.Builder
	fmt.Fprintf(&page, "%s\n%s, model %s: %d interactions of %d users with %d items, measured on %d of them\n\n",
		q.SolutionVersion, q.Recipe, q.ModelID, q.Interactions, q.Users, q.Items, q.TestUsers)
	var rows [][]string
	for _, l := range q.Lines() {
		row := []string{l.Metric, fmt.Sprintf("%.4f", l.Model.Mean), "", "", ""}
		if l.Sure {
			row[2] = fmt.Sprintf("%.4f–%.4f", l.Model.Low, l.Model.High)
		}
		if l.PopularityKnown {
			row[3] = fmt.Sprintf("%.4f", l.Popularity.Mean)
		}
		if l.Leads {
			row[4] = fmt.Sprintf("%+.4f…%+.4f", l.Lead.Low, l.Lead.High)
		}
		rows = append(rows, row)
	}
	printTable(&page, []string{"METRIC", "MODEL", "95 %", "POPULARITY", "AHEAD BY, 95 %"}, rows)
	if len(q.Weights) > 0 {
		page.WriteByte('\n')
		printTable(&page, []string{"PART OF THE MODEL", "WEIGHT"}, weightRows(q.Weights))
	}
	for _, path := range q.Saved {
		fmt.Fprintf(&page, "saved %s\n", path)
	}
	return page.String()
}

// weightRows are the weights by size, whatever their sign; of equal ones by name.
func weightRows(weights map[string]float64) [][]string {
	names := slices.SortedFunc(maps.Keys(weights), func(a, b string) int {
		return cmp.Or(cmp.Compare(math.Abs(weights[b]), math.Abs(weights[a])), cmp.Compare(a, b))
	})
	rows := make([][]string, len(names))
	for k, name := range names {
		rows[k] = []string{name, fmt.Sprintf("%+.3f", weights[name])}
	}
	return rows
}
