package retrainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Personalize's bounds of a batch inference job.
var inferenceLimits = batchLimits{files: 1000, lines: 50_000_000, bytes: 1 << 30}

const (
	// defaultResults is how many items or users a batch job lists where its request says nothing.
	defaultResults = 25
	// longestList is how many items a ranking may be asked for, as at runtime.
	longestList = 500

	// The input is answered in blocks, for each of which the data is read once. A block ends where its lines have so much
	// text, or where the histories of its users become too many (Config.BatchRows).
	blockLines = 500_000
	blockBytes = 128 << 20
	// chunkLines are answered together, in parallel, before they are written.
	chunkLines = 1024
)

// inferBatch runs a batch inference job: each line of the input files is answered by one line of a file of the same name
// with .out behind it. Nothing is written over until a file's last line is answered, and doing the job again gives the same:
// answers are exploitation only, whatever the job's explorationWeight.
func (s *Service) inferBatch(ctx context.Context, job *catalog.BatchInferenceJob, report func(float64)) (func(*catalog.BatchInferenceJob), error) {
	started := time.Now()
	loaded, group, err := s.batchModel(ctx, job.SolutionVersionARN)
	if err != nil {
		return nil, err
	}
	in, files, err := batchInput(ctx, s.config.S3, *job.JobInput.S3DataSource.Path, inferenceLimits)
	if err != nil {
		return nil, err
	}
	out, err := openOutput(ctx, s.config.S3, *job.JobOutput.S3DataDestination.Path)
	if err != nil {
		return nil, err
	}
	b := &inference{
		service: s, loaded: loaded, results: int(job.NumResults), in: in, files: files, out: out, report: report,
		quoted: make([][]byte, loaded.Model.Items().Len()),
	}
	if b.results == 0 {
		b.results = defaultResults
	}
	if b.filter, err = s.openFilter(ctx, job.FilterARN, group, filter.Items); err != nil {
		return nil, err
	}
	if loaded.Recipe.Realtime || b.filter != nil && b.filter.Uses(schema.Interactions.DatasetType()) {
		if b.source, err = s.openHistories(ctx, group.GroupKey(), loaded.Manifest.DataCut.Time); err != nil {
			return nil, err
		}
	}
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	s.config.Log.Info("batch inference written", zap.String("job", job.ARN), zap.Int("files", len(files)), zap.Int("lines", b.lines),
		zap.Int("refused", b.refused), zap.Int("passes", b.passes), zap.Duration("took", time.Since(started)))
	return nil, nil
}

// batchModel loads the model of a solution version.
func (s *Service) batchModel(ctx context.Context, versionARN string) (*modelstore.Loaded, *catalog.DatasetGroup, error) {
	version, err := catalog.Get[*catalog.SolutionVersion](ctx, s.config.Store, versionARN)
	if err != nil {
		return nil, nil, gone(err, "solution version", versionARN)
	}
	group, err := catalog.Get[*catalog.DatasetGroup](ctx, s.config.Store, version.DatasetGroupARN)
	if err != nil {
		return nil, nil, gone(err, "dataset group", version.DatasetGroupARN)
	}
	loaded, err := modelstore.Load(ctx, s.config.Bucket, version.ManifestKey, "")
	return loaded, group, err
}

// inference is one job under way.
type inference struct {
	service *Service
	loaded  *modelstore.Loaded
	results int
	source  *historySource // nil: neither recipe nor filter asks for histories
	filter  *batchFilter   // nil: none
	rows    []int32        // in the filter's table, by item
	in      *blob.Bucket
	files   []batchFile
	out     outputFolder
	report  func(float64)
	quoted  [][]byte // the items' ids as JSON

	next     int // file to be opened
	reading  *openFile
	writing  *outputFile
	written  int // file that writing belongs to
	answered int64
	workers  []inferenceWorker

	lines, refused, passes int
}

// openFile is an input file being read.
type openFile struct {
	number int
	object blob.Reader
	lines  *lineReader
	count  int
}

// question is one line of the input.
type question struct {
	file    int
	text    []byte // nil: the end of the file
	request inferenceRequest
	refusal string
}

// inferenceRequest is what a line may hold.
type inferenceRequest struct {
	UserID       string            `json:"userId"`
	ItemID       string            `json:"itemId"`
	ItemList     []string          `json:"itemList"`
	FilterValues map[string]string `json:"filterValues"`
	Context      map[string]string `json:"context"`
}

// inferenceWorker is one goroutine's scratch memory.
type inferenceWorker struct {
	scores     []float32
	history    historyScratch
	selections selections
}

func (b *inference) run(ctx context.Context) (err error) {
	defer func() {
		if b.reading != nil {
			b.reading.object.Close()
		}
		if b.writing != nil {
			b.writing.abort()
		}
	}()
	items := b.loaded.Model.Items()
	for i := range b.quoted {
		b.quoted[i] = appendJSON(nil, items.ID(i))
	}
	if b.filter != nil {
		b.rows = make([]int32, items.Len())
		for i := range b.rows {
			b.filter.table.Add(items.ID(i)) // an item may have no attributes
			b.rows[i], _ = b.filter.table.Row(items.ID(i))
		}
	}
	b.workers = make([]inferenceWorker, model.Threads(b.service.config.Threads))
	for i := range b.workers {
		b.workers[i].scores = make([]float32, items.Len())
	}
	var block []question
	for {
		var more bool
		if block, more, err = b.fill(ctx, block); err != nil {
			return err
		}
		if len(block) == 0 && !more {
			return nil
		}
		known, upTo, err := b.histories(ctx, block)
		if err != nil {
			return err
		}
		if err := b.answer(ctx, block[:upTo], known); err != nil {
			return err
		}
		block = slices.Clone(block[upTo:])
	}
}

// fill reads lines until a block is full. more is false once the input has ended.
func (b *inference) fill(ctx context.Context, block []question) (_ []question, more bool, err error) {
	size := 0
	for _, q := range block {
		size += len(q.text)
	}
	most := blockLines
	if b.source == nil {
		most = chunkLines * len(b.workers)
	}
	for len(block) < most && size < blockBytes {
		if b.reading == nil {
			if b.next == len(b.files) {
				return block, false, nil
			}
			if b.reading, err = b.open(ctx, b.next); err != nil {
				return nil, false, err
			}
			b.next++
		}
		f := b.files[b.reading.number]
		line, err := b.reading.lines.next()
		if errors.Is(err, io.EOF) {
			block = append(block, question{file: b.reading.number})
			b.reading.object.Close()
			b.reading = nil
			continue
		}
		if err != nil {
			return nil, false, inputError(f.name, err)
		}
		if b.reading.count++; b.reading.count > inferenceLimits.lines {
			return nil, false, rejected("Input %s has more than %d lines", f.name, inferenceLimits.lines)
		}
		q := question{file: b.reading.number, text: line.text}
		if q.text == nil {
			q.text = []byte{}
		}
		q.request, q.refusal = b.parse(line)
		block = append(block, q)
		size += len(line.text)
	}
	return block, true, nil
}

func (b *inference) open(ctx context.Context, n int) (*openFile, error) {
	f := b.files[n]
	object, info, err := b.in.Open(ctx, f.info.Key)
	if err != nil {
		return nil, inputError(f.name, err)
	}
	if info.ETag != f.info.ETag {
		object.Close()
		return nil, inputError(f.name, blob.ErrPrecondition)
	}
	return &openFile{number: n, object: object, lines: newLineReader(object)}, nil
}

// parse reads a line as the recipe wants it, or says what is wrong with it.
func (b *inference) parse(line batchLine) (r inferenceRequest, refusal string) {
	switch {
	case line.cut:
		return r, fmt.Sprintf("The line is longer than %d bytes", maxBatchLine)
	case len(bytes.TrimSpace(line.text)) == 0:
		return r, "The line is empty"
	}
	if err := json.Unmarshal(line.text, &r); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return r, fmt.Sprintf("%s has a value of the wrong type", wrong.Field)
		}
		return r, "The line is not a JSON object"
	}
	switch b.loaded.Recipe.Type {
	case recipe.RelatedItems:
		if r.ItemID == "" {
			return r, "itemId is missing"
		}
	case recipe.PersonalizedRanking:
		switch {
		case r.UserID == "":
			return r, "userId is missing"
		case len(r.ItemList) == 0:
			return r, "itemList is missing"
		case len(r.ItemList) > longestList:
			return r, fmt.Sprintf("itemList has %d items, more than %d", len(r.ItemList), longestList)
		}
	default:
		if r.UserID == "" {
			return r, "userId is missing"
		}
	}
	return r, ""
}

// histories reads those of a block's users, and says up to which question they are complete.
func (b *inference) histories(ctx context.Context, block []question) (*histories, int, error) {
	if b.source == nil {
		return nil, len(block), nil
	}
	var users []string
	first := map[string]int{} // the user's first question
	for n := range block {
		if id := block[n].request.UserID; block[n].refusal == "" && id != "" {
			if _, seen := first[id]; !seen {
				first[id] = n
				users = append(users, id)
			}
		}
	}
	if len(users) == 0 {
		return nil, len(block), nil
	}
	config := b.service.config
	known := newHistories(b.loaded.Model.Items(), users, config.UserHistory, config.BatchRows)
	if err := known.gather(ctx, b.source, config.Threads); err != nil {
		return nil, 0, err
	}
	b.passes++
	if kept := int(known.kept.Load()); kept < len(users) {
		return known, first[users[kept]], nil
	}
	return known, len(block), nil
}

// answer writes the answers to questions, in their order.
func (b *inference) answer(ctx context.Context, questions []question, known *histories) error {
	for chunk := range slices.Chunk(questions, chunkLines) {
		answers := make([][]byte, len(chunk))
		failures := make([]error, len(b.workers))
		err := model.Blocks(ctx, len(chunk), 16, len(b.workers), func(worker, from, to int) {
			for n := from; n < to && failures[worker] == nil; n++ {
				if chunk[n].text != nil {
					answers[n], failures[worker] = b.line(&b.workers[worker], &chunk[n], known)
				}
			}
		})
		if err = errors.Join(append(failures, err)...); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
		for n := range chunk {
			if err := b.write(ctx, &chunk[n], answers[n]); err != nil {
				return err
			}
		}
		b.progress()
	}
	return nil
}

// write appends an answer to its file, and completes the file behind its last one.
func (b *inference) write(ctx context.Context, q *question, answer []byte) error {
	if b.writing == nil {
		b.writing, b.written = b.out.create(ctx, outputName(b.files[q.file].info), "application/json"), q.file
	}
	if q.text == nil {
		done := b.writing
		b.writing = nil
		return done.close()
	}
	b.lines++
	if q.refusal != "" {
		b.refused++
	}
	b.answered += int64(len(q.text)) + 1
	if _, err := b.writing.Write(answer); err != nil {
		return outputError(b.writing.name, err)
	}
	return nil
}

func (b *inference) progress() {
	total := int64(1)
	for _, f := range b.files {
		total += f.info.Size
	}
	b.report(float64(b.answered) / float64(total))
}

// line makes the answer to one question.
func (b *inference) line(w *inferenceWorker, q *question, known *histories) ([]byte, error) {
	query := model.Query{ItemID: q.request.ItemID}
	if known != nil {
		query.History = known.of(q.request.UserID, &w.history)
	}
	var selection *filter.Selection
	if b.filter != nil && q.refusal == "" {
		selection, q.refusal = w.selections.of(b.filter, q.request.FilterValues, filter.Subject{
			History: query.History, User: b.filter.user(q.request.UserID), UserID: q.request.UserID, CurrentItem: q.request.ItemID,
		})
	}
	answer := append(make([]byte, 0, 256), `{"input":`...)
	answer = appendEcho(answer, q.text)
	if q.refusal != "" {
		answer = append(answer, `,"output":null,"error":`...)
		return append(appendJSON(answer, q.refusal), "}\n"...), nil
	}
	if !b.loaded.Recipe.Realtime {
		query.History = nil // it was the filter's
	}
	if err := b.loaded.Model.Score(query, w.scores); err != nil {
		return nil, err
	}
	answer = append(answer, `,"output":{"recommendedItems":[`...)
	var shares []float64
	if b.loaded.Recipe.Type == recipe.PersonalizedRanking {
		answer, shares = b.appendRanking(answer, w.scores, q.request.ItemList, selection)
	} else {
		var skip func(int) bool
		if selection != nil {
			skip = func(item int) bool { return !selection.Has(b.rows[item]) }
		}
		best := model.TopK(w.scores, b.results, skip)
		for n, item := range best {
			answer = appendSeparated(answer, n, b.quoted[item])
		}
		if b.loaded.Recipe.Scores == recipe.CatalogueScores {
			shares = model.Shares(w.scores, best)
		}
	}
	answer = append(answer, ']')
	if shares != nil {
		answer = append(answer, `,"scores":[`...)
		for n, share := range shares {
			if n > 0 {
				answer = append(answer, ',')
			}
			answer = strconv.AppendFloat(answer, share, 'g', -1, 32)
		}
		answer = append(answer, ']')
	}
	return append(answer, `},"error":null}`+"\n"...), nil
}

// appendRanking orders the list as at runtime: items that the model does not know come last, as they came, and each item
// once. Those have no score at runtime; here a 0 keeps the two lists equally long. Of an item that is in neither model nor
// dataset no filter can say anything: it is left out where there is one.
func (b *inference) appendRanking(answer []byte, scores []float32, list []string, selection *filter.Selection) ([]byte, []float64) {
	known, unknown := model.Divide(b.loaded.Model.Items(), list)
	if selection != nil {
		known = slices.DeleteFunc(known, func(item int32) bool { return !selection.Has(b.rows[item]) })
		unknown = slices.DeleteFunc(unknown, func(id string) bool {
			row, ok := b.filter.table.Row(id)
			return !ok || !selection.Has(row)
		})
	}
	ranked, shares := model.Rank(scores, known)
	for n, item := range ranked {
		answer = appendSeparated(answer, n, b.quoted[item])
	}
	for _, id := range unknown {
		answer = appendSeparated(answer, len(shares), appendJSON(nil, id))
		shares = append(shares, 0)
	}
	return answer, shares
}

func appendSeparated(answer []byte, n int, text []byte) []byte {
	if n > 0 {
		answer = append(answer, ',')
	}
	return append(answer, text...)
}

// appendEcho repeats a line of the input: as it is where it is JSON, else as a string.
func appendEcho(answer, line []byte) []byte {
	if json.Valid(line) {
		var compact bytes.Buffer
		if json.Compact(&compact, line) == nil {
			return append(answer, compact.Bytes()...)
		}
	}
	return appendJSON(answer, string(line))
}

// appendJSON appends a string as JSON; most need no escapes.
func appendJSON(to []byte, text string) []byte {
	plain := utf8.ValidString(text)
	for i := 0; plain && i < len(text); i++ {
		plain = text[i] >= ' ' && text[i] != '"' && text[i] != '\\'
	}
	if plain {
		return append(append(append(to, '"'), text...), '"')
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return append(to, `""`...) // a string always encodes
	}
	return append(to, bytes.TrimSuffix(encoded.Bytes(), []byte("\n"))...)
}
