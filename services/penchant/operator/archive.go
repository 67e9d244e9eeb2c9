package operator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/penchant-io/penchant/pkg/archive"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/sessionupdater"
)

// ArchiveCheck is the state of the archives of dataset groups.
type ArchiveCheck struct {
	DatasetGroups []ArchiveReport `json:"datasetGroups"`
}

// ArchiveReport is the state of the archive of one dataset group.
type ArchiveReport struct {
	// DatasetGroup is the group's key.
	DatasetGroup string           `json:"datasetGroup"`
	Chains       int              `json:"chains"`
	Files        int              `json:"files"`
	Rows         int64            `json:"rows"`
	Bytes        int64            `json:"bytes"`
	Gaps         []ArchiveGap     `json:"gaps"`
	Problems     []ArchiveProblem `json:"problems"`
}

// ArchiveGap is a stretch of offsets that the log had lost before they could be archived, as the archive itself
// records.
type ArchiveGap struct {
	Chain  string `json:"chain"` // the prefix of its objects
	First  int64  `json:"firstOffset"`
	Last   int64  `json:"lastOffset"`
	Reason string `json:"reason"`
}

// ArchiveProblem is something that the archive's rules exclude.
type ArchiveProblem struct {
	Key    string `json:"key"`
	Kind   string `json:"kind"` // hole, overlap, unreadable, misplaced row, foreign object
	Detail string `json:"detail"`
}

// VerifyArchive checks the archive of a dataset group (name, key or ARN; "" for all groups): that its chains have
// neither holes nor overlaps and hold nothing foreign, and, unless only names and metadata are asked for, that every
// file can be read and holds the rows it should. The error is ErrProblems when something is wrong; gaps that the
// archive itself accounts for are no problems.
func (i *Installation) VerifyArchive(ctx context.Context, group string, namesOnly bool) (*ArchiveCheck, error) {
	if err := i.need(ctx, s3); err != nil {
		return nil, err
	}
	keys, err := i.archivedKeys(ctx, group)
	if err != nil {
		return nil, err
	}
	check := &ArchiveCheck{DatasetGroups: []ArchiveReport{}}
	verify := archive.Verify
	if namesOnly {
		verify = archive.Survey
	}
	problems := 0
	for _, key := range keys {
		found, err := verify(ctx, i.bucket, key)
		if err != nil {
			return nil, fmt.Errorf("verifying the archive of %s: %w", key, err)
		}
		problems += len(found.Problems)
		check.DatasetGroups = append(check.DatasetGroups, archiveReport(key, found))
	}
	if problems > 0 {
		return check, fmt.Errorf("%w: %d in the archive", ErrProblems, problems)
	}
	return check, nil
}

func archiveReport(key string, found archive.Report) ArchiveReport {
	report := ArchiveReport{
		DatasetGroup: key, Chains: found.Chains, Files: found.Files, Rows: found.Rows, Bytes: found.Bytes,
		Gaps: []ArchiveGap{}, Problems: []ArchiveProblem{},
	}
	for _, g := range found.Gaps {
		report.Gaps = append(report.Gaps, ArchiveGap{g.Chain.Prefix(), g.First, g.Last, g.Reason})
	}
	for _, p := range found.Problems {
		report.Problems = append(report.Problems, ArchiveProblem{p.Key, string(p.What), p.Detail})
	}
	return report
}

// Page is the check for people.
func (c *ArchiveCheck) Page() string {
	var page strings.Builder
	var rows [][]string
	for _, r := range c.DatasetGroups {
		rows = append(rows, []string{
			r.DatasetGroup, fmt.Sprint(r.Chains), fmt.Sprint(r.Files), fmt.Sprint(r.Rows), byteCount(r.Bytes),
			fmt.Sprint(len(r.Gaps)), fmt.Sprint(len(r.Problems)),
		})
	}
	printTable(&page, []string{"DATASET GROUP", "CHAINS", "FILES", "ROWS", "SIZE", "GAPS", "PROBLEMS"}, rows)
	for _, r := range c.DatasetGroups {
		for _, g := range r.Gaps {
			fmt.Fprintf(&page, "gap: %s offsets %d to %d: %s\n", g.Chain, g.First, g.Last, g.Reason)
		}
		for _, p := range r.Problems {
			fmt.Fprintf(&page, "%s: %s: %s\n", p.Kind, p.Key, p.Detail)
		}
	}
	return page.String()
}

// Replay chooses what of a dataset group's archive is folded into user states again.
type Replay struct {
	// DatasetGroup is the group's name, key or ARN.
	DatasetGroup string
	// TopicIDs, in hex as in the archive's keys, choose incarnations of the interactions topic; none: all, also those
	// that exist no more.
	TopicIDs []string
	// Users are ids of users or sessions; none: all.
	Users []string
	// From and To bound the arrival in Kafka: not before, and before.
	From, To time.Time
	DryRun   bool
}

// Replayed is the result of a replay of the archive.
type Replayed struct {
	DatasetGroup string `json:"datasetGroup"`
	DryRun       bool   `json:"dryRun"`
	sessionupdater.ArchiveReplayed
	// Warnings are sentences about what could not be done, and does not spoil the result.
	Warnings []string `json:"warnings"`
}

// ReplayArchive folds archived interactions into user states in Redis, and nothing else: neither Kafka nor the archive
// is written, so nothing is archived twice. It may run while the services do, and any number of times: a state that
// holds an interaction does not change by it. The error is ErrProblems when files could not be read.
func (i *Installation) ReplayArchive(ctx context.Context, r Replay) (*Replayed, error) {
	if err := i.need(ctx, s3, redis); err != nil {
		return nil, err
	}
	ids, err := topicIDs(r.TopicIDs)
	if err != nil {
		return nil, err
	}
	groups, err := i.groups(ctx, r.DatasetGroup)
	if err != nil {
		return nil, err
	}
	if r.DatasetGroup == "" {
		return nil, errors.New("which dataset group? (--dataset-group)")
	}
	group := groups[0]
	result := &Replayed{DatasetGroup: group.GroupKey(), DryRun: r.DryRun, Warnings: []string{}}
	started, err := i.runIDs(ctx)
	if err != nil {
		return nil, err
	}
	work := sessionupdater.ArchiveReplay{
		Bucket: i.bucket, Users: i.users, Group: group.GroupKey(), TopicIDs: ids, IDs: r.Users, From: r.From, To: r.To,
		DryRun: r.DryRun,
	}
	if work.Models, err = i.servedModels(ctx, group, result); err != nil {
		return nil, err
	}
	if result.ArchiveReplayed, err = work.Run(ctx); err != nil {
		return nil, fmt.Errorf("replaying the archive of %s: %w", group.GroupKey(), err)
	}
	ended, err := i.runIDs(ctx)
	if err != nil {
		return nil, err
	}
	if ended != started {
		return result, fmt.Errorf("%w: Redis was restarted during the replay and may have lost what was written before: run it again", ErrProblems)
	}
	if damaged := len(result.Damaged); damaged > 0 {
		return result, fmt.Errorf("%w: %d archive files could not be read", ErrProblems, damaged)
	}
	return result, nil
}

// runIDs is a text that changes when a Redis server is started again.
func (i *Installation) runIDs(ctx context.Context) (string, error) {
	servers, err := i.users.Servers(ctx)
	if err != nil {
		return "", err
	}
	ids := map[string]string{}
	for _, server := range servers {
		ids[server.Addr] = server.RunID
	}
	return fmt.Sprint(ids), nil // sorted by address
}

func topicIDs(texts []string) ([][16]byte, error) {
	var ids [][16]byte
	for _, text := range texts {
		raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err != nil || len(raw) != 16 {
			return nil, fmt.Errorf("--topic-id %q: it has 32 hexadecimal digits, as in the keys under archive/", text)
		}
		ids = append(ids, [16]byte(raw))
	}
	return ids, nil
}

// models are those whose vectors the users of one group have.
type models []*modelstore.Loaded

func (m models) Group(string) []*modelstore.Loaded { return m }

// servedModels loads what the group's campaigns answer with, so that the vectors of the states that are written are
// right at once. A model that does not load is left out: recommenders then fold its vector themselves.
func (i *Installation) servedModels(ctx context.Context, group *catalog.DatasetGroup, result *Replayed) (models,
	error) {
	campaigns, err := i.catalog.Campaigns.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the campaigns: %w", err)
	}
	var (
		served models
		known  = map[string]bool{}
	)
	for _, c := range campaigns {
		if c.DatasetGroupARN != group.ARN || c.Status != status.Active || result.DryRun {
			continue
		}
		version, err := i.catalog.SolutionVersions.Get(ctx, c.SolutionVersionARN)
		if err != nil {
			return nil, fmt.Errorf("reading the model of campaign %s: %w", c.Name, err)
		}
		if known[version.ModelID] {
			continue
		}
		known[version.ModelID] = true
		loaded, err := modelstore.Load(ctx, i.bucket, version.ManifestKey, "")
		if err != nil {
			result.Warnings = append(result.Warnings,
				fmt.Sprintf("states have no vectors of campaign %s until their users' next events: %v", c.Name, err))
			continue
		}
		served = append(served, loaded)
	}
	return served, nil
}

// Page returns the result for people.
func (r *Replayed) Page() string {
	var page strings.Builder
	if r.DryRun {
		fmt.Fprintf(&page, "%s: %d archived events would be folded\n", r.DatasetGroup, r.Events)
	} else {
		fmt.Fprintf(&page, "%s: %d archived events read, %d of them changed a user's state\n", r.DatasetGroup, r.Events,
			r.Folded)
	}
	for _, key := range r.Damaged {
		fmt.Fprintf(&page, "unreadable: %s\n", key)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&page, "warning: %s\n", warning)
	}
	return page.String()
}

// byteCount is a number of bytes for people.
func byteCount(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
