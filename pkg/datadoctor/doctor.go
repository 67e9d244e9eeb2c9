// Package datadoctor reports what data can train and what they cannot, and why: too little of them, rows that repeat
// one another, times in milliseconds or in the future, users with a single item, ids that no other dataset knows,
// columns without information, users who can only be machines. An Examiner is shown the rows of a dataset group one by
// one and makes a Report.
//
// The retrainer examines a group after each import and keeps the report with the job, where DescribeDatasetImportJob
// shows it (Group). `penchant doctor data` examines a group or files at any time (Group, Files).
//
// # Memory
//
// An Examiner holds about 200 MB at most, whatever it is shown. Counts of rows, times and event types are always exact.
// What is asked of users, items and rows (who has one item, which item has no events, which row repeats another) is
// exact up to a million users, a million items and a million rows; beyond, it is exact about a fair sample of them and
// scaled up, and the finding is marked (Finding.Estimated). Users with many events are found among any number of users.
// Up to 4096 different values of a column are counted exactly.
package datadoctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penchant-io/penchant/pkg/awsapi"
)

// Level is how bad a finding is.
type Level string

// The levels of findings.
const (
	// Error: something cannot be trained or imported, or what is learned from the data is wrong.
	Error Level = "error"
	// Warning: models will be worse than the data could make them.
	Warning Level = "warning"
	// Note: worth knowing.
	Note Level = "note"
)

// Finding is one thing that is the matter with the data.
type Finding struct {
	// Code names the kind of the finding, for programs: docs/data-doctor.md lists them.
	Code  string `json:"code"`
	Level Level  `json:"level"`
	// Dataset is INTERACTIONS, ITEMS, USERS, … and Column one of its columns, "" where it is about none.
	Dataset string `json:"dataset"`
	Column  string `json:"column,omitempty"`
	// Count is how many rows, users or items the finding is about, of Of.
	Count int64 `json:"count"`
	Of    int64 `json:"of,omitempty"`
	// Estimated is set if Count comes from a sample.
	Estimated bool `json:"estimated,omitempty"`
	// Message describes what was found, Fix what to do about it.
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	// Examples are ids, where the caller asked for them.
	Examples []string `json:"examples,omitempty"`
}

// Verdict reports whether a recipe can be trained.
type Verdict struct {
	Recipe    string `json:"recipe"`
	Trainable bool   `json:"trainable"`
	// Reason is why not: what a training would fail with.
	Reason string `json:"reason,omitempty"`
	// But is what the recipe would not learn from these data though it can be trained.
	But []string `json:"but,omitempty"`
}

// Report is what the doctor has to say.
type Report struct {
	// AsOf is when the data were looked at; what is later lies in the future.
	AsOf *awsapi.Timestamp `json:"asOf"`
	// Interactions is the number of rows, Users and Items that of those who have interactions.
	Interactions int64 `json:"interactions"`
	Users        int64 `json:"users"`
	Items        int64 `json:"items"`
	// Oldest and Newest are the times of the first and the last interaction.
	Oldest *awsapi.Timestamp `json:"oldest,omitempty"`
	Newest *awsapi.Timestamp `json:"newest,omitempty"`
	// Errors, Warnings and Notes count the findings, which are listed in this order.
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Notes    int       `json:"notes"`
	Findings []Finding `json:"findings"`
	Recipes  []Verdict `json:"recipes"`
	// Partial names the datasets of which only the beginning was looked at.
	Partial []string `json:"partial,omitempty"`
}

// Finding gives the finding of a code about a column, nil without one.
func (r *Report) Finding(code, column string) *Finding {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Code == code && f.Column == column })
	if i < 0 {
		return nil
	}
	return &r.Findings[i]
}

// Page is the report for people.
func (r *Report) Page() string {
	var page strings.Builder
	fmt.Fprintf(&page, "%s of %s with %s", counted(r.Interactions, "interaction"), counted(r.Users, "user"),
		counted(r.Items, "item"))
	if r.Oldest != nil {
		fmt.Fprintf(&page, ", from %s to %s", r.Oldest.Time().Format(time.DateOnly),
			r.Newest.Time().Format(time.DateOnly))
	}
	page.WriteString("\n")
	for _, name := range r.Partial {
		fmt.Fprintf(&page, "only the beginning of %s was looked at\n", name)
	}
	page.WriteString("\n")
	for _, f := range r.Findings {
		where := f.Dataset
		if f.Column != "" {
			where += "." + f.Column
		}
		fmt.Fprintf(&page, "%-8s %-24s %s\n", f.Level, where, f.Message)
		if len(f.Examples) > 0 {
			fmt.Fprintf(&page, "%34sfor example %s\n", "", strings.Join(f.Examples, ", "))
		}
		if f.Fix != "" {
			fmt.Fprintf(&page, "%34sfix: %s\n", "", f.Fix)
		}
	}
	fmt.Fprintf(&page, "%s, %s, %s\n\n", counted(int64(r.Errors), "error"), counted(int64(r.Warnings), "warning"),
		counted(int64(r.Notes), "note"))
	for _, v := range r.Recipes {
		switch {
		case !v.Trainable:
			fmt.Fprintf(&page, "no       %-44s %s\n", v.Recipe, v.Reason)
		case len(v.But) > 0:
			fmt.Fprintf(&page, "yes      %-44s but %s\n", v.Recipe, strings.Join(v.But, "; "))
		default:
			fmt.Fprintf(&page, "yes      %s\n", v.Recipe)
		}
	}
	return page.String()
}

func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
