package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/userstate"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/output"
)

// resultsAtOnce are read from the output before they are written to Redis.
const resultsAtOnce = 512

// loadResults reads a job's output back and lets it be looked up by user, or by item where the recipe finds related
// items, if the job was created with a result set. Lines that were answered by an error are left out.
func (s *Inference) loadResults(
	ctx context.Context, job *catalog.BatchInferenceJob, plan *batchPlan, out output.Folder, lines int,
) error {
	if job.ResultSet == "" {
		return nil
	}
	started := time.Now()
	fail := func(err error) error {
		return jobs.Explain(fmt.Errorf("loading results of %s: %w", job.ARN, err),
			"the results are in the output, but could not be loaded into Redis; the retrainer's log holds the details")
	}
	if s.Users == nil {
		return fail(errors.New("there is no Redis"))
	}
	version, err := s.Data.Store.SolutionVersions.Get(ctx, job.SolutionVersionARN)
	if err != nil {
		return jobs.Missing(err, "solution version", job.SolutionVersionARN)
	}
	group, err := s.Data.Store.DatasetGroups.Get(ctx, job.DatasetGroupARN)
	if err != nil {
		return jobs.Missing(err, "dataset group", job.DatasetGroupARN)
	}
	used, _ := recipe.ByARN(version.RecipeARN)
	load := &resultLoad{
		users: s.Users, group: group.GroupKey(), byItem: used != nil && used.Type == recipe.RelatedItems,
		set: &userstate.ResultSet{
			Job: job.ARN, Load: job.ID, Created: job.CreatedAt, Expires: time.Now().Add(job.ResultsTTL), Results: lines,
		},
	}
	for file := range plan.Files {
		if err := load.file(ctx, out, plan.output(file)); err != nil {
			return fail(err)
		}
	}
	if err := load.flush(ctx); err != nil {
		return fail(err)
	}
	current, err := load.users.PublishResults(ctx, load.group, job.ResultSet, load.set)
	if err != nil {
		return fail(err)
	}
	s.Log.Info("batch results loaded",
		zap.String("job", job.ARN), zap.String("result_set", job.ResultSet), zap.Int("results", load.loaded),
		zap.Bool("current", current), zap.Duration("took", time.Since(started)))
	return nil
}

// resultLoad is one load under way.
type resultLoad struct {
	users  *userstate.Store
	group  string
	byItem bool
	set    *userstate.ResultSet

	waiting []userstate.Result
	loaded  int
}

func (l *resultLoad) file(ctx context.Context, out output.Folder, name string) error {
	object, _, err := out.Bucket.Open(ctx, out.Prefix+name)
	if err != nil {
		return err
	}
	defer object.Close()
	for decoder := json.NewDecoder(object); ; {
		var line struct {
			Input  json.RawMessage `json:"input"`
			Output json.RawMessage `json:"output"`
			Error  *string         `json:"error"`
		}
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("decoding %s: %w", name, err)
		}
		if line.Error != nil {
			continue
		}
		var request inferenceRequest
		if err := json.Unmarshal(line.Input, &request); err != nil {
			return fmt.Errorf("decoding a request in %s: %w", name, err)
		}
		id := request.UserID
		if l.byItem {
			id = request.ItemID
		}
		l.waiting = append(l.waiting, userstate.Result{ID: id, Value: line.Output})
		if len(l.waiting) == resultsAtOnce {
			if err := l.flush(ctx); err != nil {
				return err
			}
		}
	}
}

func (l *resultLoad) flush(ctx context.Context) error {
	err := l.users.PutResults(ctx, l.group, l.set, l.waiting)
	l.loaded += len(l.waiting)
	l.waiting = l.waiting[:0]
	return err
}
