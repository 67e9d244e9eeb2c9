package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/output"
)

// Personalize's bounds of a batch segment job's input: of items, and of attributes.
const (
	segmentItems      = 500
	segmentAttributes = 10
)

var segmentLimits = batchLimits{files: 1000, bytes: 1 << 30}

// Run runs a batch segment job: each line of the input is answered by the users with the most affinity to its item, or
// to the items with its attributes.
func (s *Segments) Run(
	ctx context.Context, job *catalog.BatchSegmentJob, report func(float64),
) (func(*catalog.BatchSegmentJob), error) {
	loaded, group, err := s.model(ctx, job.SolutionVersionARN)
	if err != nil {
		return nil, err
	}
	segmenter, ok := loaded.Model.(model.Segmenter)
	if !ok {
		return nil, jobs.Faultf("Recipe %s makes no user segments", loaded.Recipe.ARN())
	}
	in, files, err := batchInput(ctx, s.S3, *job.JobInput.S3DataSource.Path, segmentLimits)
	if err != nil {
		return nil, err
	}
	out, err := output.Open(ctx, s.S3, *job.JobOutput.S3DataDestination.Path)
	if err != nil {
		return nil, err
	}
	b := &segmentation{
		segmenter: segmenter, byAttributes: loaded.Recipe.Name == "aws-item-attribute-affinity",
		results: int(job.NumResults),
	}
	if b.results == 0 {
		b.results = defaultResults
	}
	if b.filter, err = s.openFilter(ctx, job.FilterARN, group, schema.Users); err != nil {
		return nil, err
	}
	if b.filter != nil && b.filter.Uses(schema.Interactions.DatasetType()) {
		source, err := s.openHistories(ctx, group.GroupKey(), loaded.Manifest.DataCut.Time)
		if err != nil {
			return nil, err
		}
		if b.subject.EventTypes, err = source.eventTypes(ctx, s.Threads); err != nil {
			return nil, err
		}
	}
	questions, err := b.read(ctx, in, files)
	if err != nil {
		return nil, err
	}
	for n, f := range files {
		file := out.Create(ctx, outputName(f.info), blob.PutOptions{ContentType: "application/json"})
		if err := b.file(ctx, file, questions[n]); err != nil {
			return nil, err
		}
		report(float64(n+1) / float64(len(files)))
	}
	s.Log.Info("batch segments written",
		zap.String("job", job.ARN), zap.Int("segments", b.segments), zap.Int("refused", b.refused))
	return nil, nil
}

// segmentation is one job under way.
type segmentation struct {
	segmenter    model.Segmenter
	byAttributes bool
	results      int
	filter       *batchFilter // nil: none
	subject      filter.Subject

	segments, refused int
}

// segmentRequest holds the members of a line.
type segmentRequest struct {
	ItemID         string            `json:"itemId"`
	ItemAttributes string            `json:"itemAttributes"`
	FilterValues   map[string]string `json:"filterValues"`
}

// read takes all lines at once, of which there are few: too many are refused before anything is answered.
func (b *segmentation) read(ctx context.Context, in *blob.Bucket, files []batchFile) ([][]batchLine, error) {
	most, of := segmentItems, "items"
	if b.byAttributes {
		most, of = segmentAttributes, "attribute expressions"
	}
	lines, total := make([][]batchLine, len(files)), 0
	for n, f := range files {
		object, info, err := in.Open(ctx, f.info.Key)
		if err != nil {
			return nil, inputError(f.name, err)
		}
		defer object.Close()
		if info.ETag != f.info.ETag {
			return nil, inputError(f.name, blob.ErrPrecondition)
		}
		reader := newLineReader(object)
		reader.skipMark()
		for {
			line, err := reader.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, inputError(f.name, err)
			}
			if total++; total > most {
				return nil, jobs.Faultf("The input has more than %d %s", most, of)
			}
			lines[n] = append(lines[n], line)
		}
	}
	return lines, nil
}

// file answers one file's lines.
func (b *segmentation) file(ctx context.Context, out *output.File, lines []batchLine) error {
	for _, line := range lines {
		answer, err := b.line(line)
		if err == nil {
			_, err = out.Write(answer)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			out.Abort()
			return fmt.Errorf("writing segments: %w", err)
		}
	}
	return out.Close()
}

// line makes the answer to one line. Personalize echoes a request for an item as input, and one for attributes as it
// is.
func (b *segmentation) line(line batchLine) ([]byte, error) {
	request, query, refusal := b.parse(line)
	var users []string
	if refusal == "" {
		var err error
		if users, refusal, err = b.users(query, request.FilterValues); err != nil {
			return nil, err
		}
	}
	answer := []byte(`{"input":`)
	if b.byAttributes && request.ItemAttributes != "" {
		answer = append(appendJSON([]byte(`{"itemAttributes":`), request.ItemAttributes), `,"output":`...)
	} else {
		answer = append(appendEcho(answer, line.text), `,"output":`...)
	}
	if refusal != "" {
		b.refused++
		return append(appendJSON(append(answer, `null,"error":`...), refusal), "}\n"...), nil
	}
	b.segments++
	answer = append(answer, `{"recommendedUsers":[`...)
	for n, id := range users {
		answer = appendSeparated(answer, n, appendJSON(nil, id))
	}
	return append(answer, `]},"error":null}`+"\n"...), nil
}

// users lists the users of a segment that the filter selects. For wrong values of the filter it returns the reason why
// the line is refused.
func (b *segmentation) users(q model.SegmentQuery, values map[string]string) (ids []string, refusal string, err error) {
	req := &ranking.SegmentRequest{Segmenter: b.segmenter, Query: q, Results: b.results, Subject: b.subject}
	if b.filter != nil {
		if req.Filter, err = b.filter.Bind(values); err != nil {
			return nil, err.Error(), nil
		}
		req.Table = b.filter.table.Table
	}
	ids, err = ranking.ListUsers(req)
	return ids, "", err
}

func (b *segmentation) parse(line batchLine) (r segmentRequest, q model.SegmentQuery, refusal string) {
	if line.cut {
		return r, q, fmt.Sprintf("The line is longer than %d bytes", maxBatchLine)
	}
	if err := json.Unmarshal(line.text, &r); err != nil {
		return r, q, "The line is not a JSON object with text members"
	}
	if !b.byAttributes {
		if r.ItemID == "" {
			return r, q, "itemId is missing"
		}
		return r, model.SegmentQuery{ItemID: r.ItemID}, ""
	}
	if r.ItemAttributes == "" {
		return r, q, "itemAttributes is missing"
	}
	attributes, err := model.ParseAttributes(r.ItemAttributes)
	if err != nil {
		return r, q, err.Error()
	}
	return r, model.SegmentQuery{Attributes: attributes}, ""
}
