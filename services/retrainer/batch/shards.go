package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/resource"
	"github.com/penchant-io/penchant/pkg/resource/status"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/output"
)

// How one batch inference job is spread over the retrainers.
//
// Whoever holds the job's lease is its coordinator. It cuts the input into shards at the ends of lines, writes that
// plan to a place where only the first write counts, and creates a catalog.BatchShard for each shard. Those are jobs
// like any other: whoever takes a shard's lease answers its lines into objects of Penchant's bucket, of which the first
// counts as well. When all shards are done, the coordinator joins these parts, in the order of the plan, into the files
// that the job is asked for. So a process may die or wake up at any point: plan and parts that are there stay as they
// are, a shard without a living worker is taken over, and so is the job, by a coordinator that finds the plan and goes
// on.
//
// A job of one shard has neither plan nor parts: its coordinator answers it straight into the output.

const (
	// DefaultShardLines is the least share worth a shard: it makes up for the pass over the data that each shard costs,
	// and for the reading of its model.
	DefaultShardLines = 5_000
	// shardsPerReplica is more than one, so that faster retrainers can do more.
	shardsPerReplica = 2

	batchRoot = "batch/"
	planName  = "plan.json"
	// shardPause is the pause between a coordinator's looks at its shards, in memory.
	shardPause = 50 * time.Millisecond
	// leftoversInterval is the pause between looks for what processes left behind that died at the end of a job.
	leftoversInterval = 10 * time.Minute
	// lateWrite is the age from which an object without a plan counts as left behind.
	lateWrite = time.Hour
)

// batchPlan assigns the parts of a job's input to shards. It never changes once it is written.
type batchPlan struct {
	// Job is the ARN, JobID the Meta.ID.
	Job    string        `json:"job"`
	JobID  string        `json:"jobId"`
	Bucket string        `json:"bucket"`
	Files  []plannedFile `json:"files"`
	// Shards hold all pieces of the files, in the order of the input.
	Shards [][]piece `json:"shards"`
}

// plannedFile is an object of the input as it was when the plan was made.
type plannedFile struct {
	Key  string `json:"key"`
	Size int64  `json:"size"`
	ETag string `json:"etag"`
}

// piece is a run of whole lines of a file: the bytes from From up to, not including, To.
type piece struct {
	File int   `json:"file"`
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

func (p *batchPlan) total() (bytes int64) {
	for _, f := range p.Files {
		bytes += f.Size
	}
	return bytes
}

// name is a file's s3:// address.
func (p *batchPlan) name(file int) string { return "s3://" + p.Bucket + "/" + p.Files[file].Key }

// output is Personalize's name for the results of an input file.
func (p *batchPlan) output(file int) string { return path.Base(p.Files[file].Key) + ".out" }

// batchFolder is the folder of a job's plan and parts in Penchant's bucket.
func batchFolder(jobID string) string { return batchRoot + jobID + "/" }

func partName(shard, piece int) string { return fmt.Sprintf("%05d-%05d.part", shard, piece) }

// batchPlan returns the plan of a job that was spread before, or makes one.
func (s *Inference) batchPlan(ctx context.Context, job *catalog.BatchInferenceJob) (*batchPlan, error) {
	plan, err := s.readPlan(ctx, batchFolder(job.ID))
	if !errors.Is(err, blob.ErrNotFound) {
		return plan, err
	}
	in, files, err := batchInput(ctx, s.S3, *job.JobInput.S3DataSource.Path, inferenceLimits)
	if err != nil {
		return nil, err
	}
	plan = &batchPlan{Job: job.ARN, JobID: job.ID, Bucket: in.Name()}
	for _, f := range files {
		plan.Files = append(plan.Files, plannedFile{f.info.Key, f.info.Size, f.info.ETag})
	}
	lines, err := plan.guessLines(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := plan.cut(ctx, in, s.shardsOf(ctx, lines)); err != nil {
		return nil, err
	}
	if len(plan.Shards) == 1 {
		return plan, nil
	}
	err = s.writePlan(ctx, plan)
	if errors.Is(err, blob.ErrPrecondition) { // another coordinator was faster
		return s.readPlan(ctx, batchFolder(job.ID))
	}
	return plan, err
}

// writePlan writes a plan unless there is one.
func (s *Inference) writePlan(ctx context.Context, plan *batchPlan) error {
	_, err := s.planOf(batchFolder(plan.JobID)).Create(ctx, plan)
	return err
}

func (s *Inference) readPlan(ctx context.Context, folder string) (*batchPlan, error) {
	plan, _, err := s.planOf(folder).Read(ctx)
	return plan, err
}

func (s *Inference) planOf(folder string) blob.Document[*batchPlan] {
	return blob.Document[*batchPlan]{Bucket: s.Data.Bucket, Key: folder + planName}
}

// shardsOf returns into how many shards so many lines are cut. One retrainer alone gains nothing by small ones.
func (s *Inference) shardsOf(ctx context.Context, lines int64) int64 {
	size := int64(blockLines)
	replicas, err := s.Data.Bus.GroupMembers(ctx, s.Group)
	if err != nil {
		s.Log.Warn("counting the retrainers failed, cutting a batch job as for one", zap.Error(err))
	}
	if replicas > 1 {
		size = min(size, lines/int64(replicas*shardsPerReplica))
	}
	return max(1, lines/max(size, s.ShardLines))
}

// guessLines estimates how many lines the input has from the begin of its first file with any.
func (p *batchPlan) guessLines(ctx context.Context, in *blob.Bucket) (int64, error) {
	for n, f := range p.Files {
		if f.Size == 0 {
			continue
		}
		sample, err := p.sample(ctx, in, n, 0)
		if err != nil {
			return 0, err
		}
		return p.total() * int64(max(1, bytes.Count(sample, []byte("\n")))) / int64(max(1, len(sample))), nil
	}
	return 0, nil
}

// sample reads some of a file.
func (p *batchPlan) sample(ctx context.Context, in *blob.Bucket, file int, from int64) ([]byte, error) {
	object, err := p.open(ctx, in, file)
	if err != nil {
		return nil, err
	}
	defer object.Close()
	sample := make([]byte, min(64<<10, p.Files[file].Size-from))
	n, err := object.ReadAt(sample, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, inputError(p.name(file), err)
	}
	return sample[:n], nil
}

// open opens a file, if it is still the one that was planned with.
func (p *batchPlan) open(ctx context.Context, in *blob.Bucket, file int) (blob.Reader, error) {
	object, info, err := in.Open(ctx, p.Files[file].Key)
	if err != nil {
		return nil, inputError(p.name(file), err)
	}
	if info.ETag != p.Files[file].ETag {
		object.Close()
		return nil, inputError(p.name(file), blob.ErrPrecondition)
	}
	return object, nil
}

// cut divides the input into count shards of about the same size, or fewer where lines are long.
func (p *batchPlan) cut(ctx context.Context, in *blob.Bucket, count int64) error {
	var (
		total = p.total()
		next  = int64(1) // the cut to be made: behind so many shares of the whole
		start = int64(0) // of the file, in the whole
		fresh = true     // whether the next piece begins a shard
	)
	add := func(piece piece) {
		if fresh {
			p.Shards = append(p.Shards, nil)
		}
		last := len(p.Shards) - 1
		p.Shards[last], fresh = append(p.Shards[last], piece), false
	}
	for n, f := range p.Files {
		for ; next < count && total*next/count <= start; next++ {
			fresh = true
		}
		from := int64(0)
		for ; next < count && total*next/count < start+f.Size; next++ {
			to, err := p.lineEnd(ctx, in, n, total*next/count-start)
			if err != nil {
				return err
			}
			if to > from && to < f.Size {
				add(piece{n, from, to})
				from, fresh = to, true
			}
		}
		add(piece{n, from, f.Size})
		start += f.Size
	}
	return nil
}

// lineEnd is the first place at or behind an offset where a line has just ended.
func (p *batchPlan) lineEnd(ctx context.Context, in *blob.Bucket, file int, offset int64) (int64, error) {
	for from := max(offset-1, 0); from < p.Files[file].Size; {
		sample, err := p.sample(ctx, in, file, from)
		if err != nil {
			return 0, err
		}
		if end := bytes.IndexByte(sample, '\n'); end >= 0 {
			return from + int64(end) + 1, nil
		}
		if len(sample) == 0 {
			break
		}
		from += int64(len(sample))
	}
	return p.Files[file].Size, nil
}

// coordinate has the shards of a plan worked on, by whichever retrainers are there, and joins their parts. It returns
// how many lines there were.
func (s *Inference) coordinate(
	ctx context.Context, job *catalog.BatchInferenceJob, plan *batchPlan, out output.Folder, report func(float64),
) (int, error) {
	const answered = 0.95
	arns := make([]string, len(plan.Shards))
	for n := range plan.Shards {
		shard, err := newShard(job, n)
		if err != nil {
			return 0, err
		}
		if err := s.Data.Store.Create(ctx, shard); err != nil && !errors.Is(err, catalog.ErrExists) {
			return 0, err
		}
		arns[n] = shard.ARN
	}
	s.WakeShards()
	shards, err := s.awaitShards(ctx, arns, jobs.Between(report, 0, answered))
	if err != nil {
		return 0, err
	}
	lines := make([]int, len(plan.Files))
	total := 0
	for n, shard := range shards {
		for k, p := range plan.Shards[n] {
			lines[p.File] += shard.Lines[k]
			total += shard.Lines[k]
		}
	}
	for file, count := range lines {
		if count > inferenceLimits.lines {
			return 0, tooManyLines(plan.name(file))
		}
	}
	return total, s.join(ctx, plan, out, jobs.Between(report, answered, 1))
}

func newShard(job *catalog.BatchInferenceJob, n int) (*catalog.BatchShard, error) {
	arn, err := resource.ParseARN(job.ARN)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%05d", n)
	return &catalog.BatchShard{
		Metadata: catalog.Metadata{
			ARN: arn.With(resource.BatchShard, job.ID+"/"+name).String(), Name: name, Status: status.CreatePending,
		},
		JobARN: job.ARN, JobID: job.ID, Number: n,
	}, nil
}

// awaitShards waits until all shards are done, or one has failed.
func (s *Inference) awaitShards(
	ctx context.Context, arns []string, report func(float64),
) ([]*catalog.BatchShard, error) {
	tick := time.NewTicker(shardPause)
	defer tick.Stop()
	shards := make([]*catalog.BatchShard, len(arns))
	for {
		done, progress := 0, 0.0
		for n, arn := range arns {
			shard, known := catalog.Lookup[*catalog.BatchShard](s.Data.View, arn)
			switch {
			case !known: // the view lags behind
			case shard.Status == status.CreateFailed:
				return nil, jobs.Faultf("%s", shard.FailureReason)
			case shard.Status == status.Active:
				shards[n] = shard
				done++
				progress++
			default:
				progress += shard.Progress
			}
		}
		report(progress / float64(len(arns)))
		if done == len(arns) {
			return shards, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// join writes the output from the parts. Each file appears whole.
func (s *Inference) join(ctx context.Context, plan *batchPlan, out output.Folder, report func(float64)) error {
	var writing *output.File
	defer func() {
		if writing != nil {
			writing.Abort()
		}
	}()
	parts := output.Folder{Bucket: s.Data.Bucket, Prefix: batchFolder(plan.JobID)}
	for shard, pieces := range plan.Shards {
		for k, p := range pieces {
			if writing == nil {
				writing = out.Create(ctx, plan.output(p.File), blob.PutOptions{ContentType: "application/json"})
			}
			if err := parts.CopyTo(ctx, partName(shard, k), writing); err != nil {
				return err
			}
			if p.To == plan.Files[p.File].Size {
				done := writing
				writing = nil
				if err := done.Close(); err != nil {
					return err
				}
			}
		}
		report(float64(shard+1) / float64(len(plan.Shards)))
	}
	return nil
}

// Run runs one shard of a batch inference job.
func (s *Shards) Run(
	ctx context.Context, shard *catalog.BatchShard, report func(float64),
) (func(*catalog.BatchShard), error) {
	data := s.inference.Data
	job, err := data.Store.BatchInferenceJobs.Get(ctx, shard.JobARN)
	if errors.Is(err, catalog.ErrNotFound) || err == nil && (job.ID != shard.JobID || job.Finished()) {
		// A coordinator that was too late has made it.
		return nil, errors.Join(jobs.ErrLeaseLost, data.Store.Delete(ctx, shard))
	}
	if err != nil {
		return nil, err
	}
	plan, err := s.inference.readPlan(ctx, batchFolder(job.ID))
	if err != nil {
		return nil, err
	}
	if s.answering == nil || s.answering.job.ID != job.ID {
		if s.answering, err = s.inference.openInference(ctx, job); err != nil {
			return nil, err
		}
	}
	parts := output.Folder{Bucket: data.Bucket, Prefix: batchFolder(job.ID)}
	run := &inferenceRun{
		inference: s.answering, plan: plan, pieces: plan.Shards[shard.Number], report: report,
		create: func(ctx context.Context, n int) *output.File {
			return parts.Create(ctx, partName(shard.Number, n), blob.PutOptions{IfAbsent: true})
		},
	}
	err = run.run(ctx)
	if err != nil || !s.othersWait(shard) {
		s.answering = nil // it may be large
	}
	if err != nil {
		return nil, err
	}
	run.log("batch shard written", zap.Int("shard", shard.Number))
	return func(shard *catalog.BatchShard) { shard.Lines = run.counts }, nil
}

// othersWait reports whether another shard of a shard's job waits for a worker.
func (s *Shards) othersWait(of *catalog.BatchShard) bool {
	for _, shard := range catalog.All[*catalog.BatchShard](s.inference.Data.View) {
		if shard.JobID == of.JobID && shard.Number != of.Number && jobs.Waiting(shard.Meta()) {
			return true
		}
	}
	return false
}

// shardsEnded removes what a finished job leaves behind: its shards, so that nobody works on them any more, then the
// parts, then the plan.
func (s *Inference) shardsEnded(ctx context.Context, jobID string) error {
	for _, shard := range catalog.All[*catalog.BatchShard](s.Data.View) {
		if shard.JobID != jobID {
			continue
		}
		if err := s.Data.Store.Delete(ctx, shard); err != nil {
			return err // with ErrLeased another process is at it, or has died in it: the plan stays for the next look
		}
	}
	plan := batchFolder(jobID) + planName
	var parts []string
	found := false
	for info, err := range s.Data.Bucket.List(ctx, batchFolder(jobID)) {
		if err != nil {
			return err
		}
		if info.Key == plan {
			found = true
		} else {
			parts = append(parts, info.Key)
		}
	}
	if len(parts) > 0 {
		if err := s.Data.Bucket.Delete(ctx, parts...); err != nil {
			return err
		}
	}
	if !found {
		return nil
	}
	return s.Data.Bucket.Delete(ctx, plan)
}

// Ended cleans up behind a job that this process brought to its end.
func (s *Inference) Ended(ctx context.Context, job *catalog.BatchInferenceJob) {
	if err := s.shardsEnded(ctx, job.ID); err != nil && ctx.Err() == nil {
		s.Log.Warn("cleaning up after a batch job failed, retrying later", zap.String("job", job.ARN), zap.Error(err))
	}
}

// RemoveLeftovers removes what is left of jobs whose coordinators died before they could, periodically until ctx ends.
func (s *Inference) RemoveLeftovers(ctx context.Context) error {
	tick := time.NewTicker(leftoversInterval)
	defer tick.Stop()
	for {
		if err := s.removeLeftoversOnce(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("looking for leftovers of batch jobs failed, retrying", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Inference) removeLeftoversOnce(ctx context.Context) error {
	folders := map[string]time.Time{} // the newest write
	for info, err := range s.Data.Bucket.List(ctx, batchRoot) {
		if err != nil {
			return err
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(info.Key, batchRoot), "/")
		if info.LastModified.After(folders[id]) {
			folders[id] = info.LastModified
		}
	}
	for id, written := range folders {
		over, err := s.isLeftOver(ctx, id, written)
		if err != nil {
			return err
		}
		if over {
			if err := s.shardsEnded(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Inference) isLeftOver(ctx context.Context, jobID string, written time.Time) (bool, error) {
	plan, err := s.readPlan(ctx, batchFolder(jobID))
	if errors.Is(err, blob.ErrNotFound) {
		return time.Since(written) > lateWrite, nil // the part of a worker that woke up too late
	}
	if err != nil {
		return false, err
	}
	job, err := s.Data.Store.BatchInferenceJobs.Get(ctx, plan.Job)
	if errors.Is(err, catalog.ErrNotFound) {
		return true, nil
	}
	return err == nil && (job.ID != jobID || job.Finished()), err
}
