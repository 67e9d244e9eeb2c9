package batch

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

	"github.com/penchant-io/penchant/pkg/attributes"
	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/catalog"
	"github.com/penchant-io/penchant/pkg/filter"
	"github.com/penchant-io/penchant/pkg/model"
	"github.com/penchant-io/penchant/pkg/modelstore"
	"github.com/penchant-io/penchant/pkg/ranking"
	"github.com/penchant-io/penchant/pkg/ranking/diversity"
	"github.com/penchant-io/penchant/pkg/ranking/exploration"
	"github.com/penchant-io/penchant/pkg/recipe"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
	"github.com/penchant-io/penchant/services/retrainer/jobs"
	"github.com/penchant-io/penchant/services/retrainer/output"
)

// Personalize's bounds of a batch inference job.
var inferenceLimits = batchLimits{files: 1000, lines: 50_000_000, bytes: 1 << 30}

const (
	// defaultResults is how many items or users a batch job lists by default.
	defaultResults = 25
	// longestList bounds the items of a ranking, as at runtime.
	longestList = 500

	// The input is answered in blocks, for each of which the data is read once. A block ends where its lines have so
	// much text, or where the histories of its users become too many (Config.BatchRows).
	blockLines = 500_000
	blockBytes = 128 << 20
	// chunkLines are answered together, in parallel, before they are written.
	chunkLines = 1024
)

// Run runs a batch inference job: each line of the input files is answered by one line of a file of the same name
// with .out behind it. Nothing is written over until a file's last line is answered, and doing the job again gives the
// same. Where several retrainers are at work they share the job (shards.go).
func (s *Inference) Run(
	ctx context.Context, job *catalog.BatchInferenceJob, report func(float64),
) (func(*catalog.BatchInferenceJob), error) {
	started := time.Now()
	plan, err := s.batchPlan(ctx, job)
	if err != nil {
		return nil, err
	}
	out, err := output.Open(ctx, s.S3, *job.JobOutput.S3DataDestination.Path)
	if err != nil {
		return nil, err
	}
	if len(plan.Shards) > 1 {
		lines, err := s.coordinate(ctx, job, plan, out, report)
		if err != nil {
			return nil, err
		}
		s.Log.Info("batch inference written",
			zap.String("job", job.ARN), zap.Int("files", len(plan.Files)), zap.Int("lines", lines),
			zap.Int("shards", len(plan.Shards)), zap.Duration("took", time.Since(started)))
		return nil, s.loadResults(ctx, job, plan, out, lines)
	}
	b, err := s.openInference(ctx, job)
	if err != nil {
		return nil, err
	}
	run := &inferenceRun{
		inference: b, plan: plan, pieces: plan.Shards[0], report: report,
		create: func(ctx context.Context, n int) *output.File {
			return out.Create(ctx, plan.output(n), blob.PutOptions{ContentType: "application/json"})
		},
	}
	if err := run.run(ctx); err != nil {
		return nil, err
	}
	run.log("batch inference written", zap.Int("files", len(plan.Files)))
	return nil, s.loadResults(ctx, job, plan, out, run.lines)
}

// openInference reads everything that a job's lines are answered from.
func (s *Inference) openInference(ctx context.Context, job *catalog.BatchInferenceJob) (*inference, error) {
	loaded, group, err := s.model(ctx, job.SolutionVersionARN)
	if err != nil {
		return nil, err
	}
	items := loaded.Model.Items()
	b := &inference{
		settings: s, job: job, loaded: loaded, results: int(job.NumResults), quoted: make([][]byte, items.Len()),
	}
	if b.results == 0 {
		b.results = defaultResults
	}
	for i := range b.quoted {
		b.quoted[i] = appendJSON(nil, items.ID(i))
	}
	if b.filter, err = s.openFilter(ctx, job.FilterARN, group, schema.Items); err != nil {
		return nil, err
	}
	if err := b.openItems(ctx, group); err != nil {
		return nil, err
	}
	if err := b.openUsers(ctx, group); err != nil {
		return nil, err
	}
	if b.asksHistories() {
		if b.source, err = s.openHistories(ctx, group.GroupKey(), loaded.Manifest.DataCut.Time); err != nil {
			return nil, err
		}
	}
	b.workers = make([]inferenceWorker, model.Threads(s.Threads))
	for i := range b.workers {
		b.workers[i].scores = make([]float32, items.Len())
	}
	return b, nil
}

// asksHistories reports whether the recipe or the filter looks at what users did.
func (b *inference) asksHistories() bool {
	r := b.loaded.Recipe
	return r.Realtime || len(r.HidesEvents) > 0 ||
		b.filter != nil && (b.filter.Uses(schema.Interactions.DatasetType()) || b.filter.users != nil)
}

// openItems prepares the catalogue that lists are made from, with the attributes of items where the filter, exploration
// or diversity ask for them. Exploration is of the items that are new when the job is created.
func (b *inference) openItems(ctx context.Context, group *catalog.DatasetGroup) error {
	b.catalogue = ranking.NewCatalogue(b.loaded.Recipe, b.loaded.Model.Items())
	var explores exploration.Settings
	var diverse diversity.Settings
	if b.loaded.Recipe.Explores {
		var config map[string]string
		if b.job.Config != nil {
			config = b.job.Config.ItemExplorationConfig
		}
		if b.settings.Explore {
			explores = exploration.Read(config)
		}
		diverse = diversity.Read(config)
	}
	var table *attributes.Table
	switch {
	case b.filter != nil:
		table = b.filter.table
	case explores.Weight > 0 || diverse.Weight > 0:
		var err error
		if table, err = b.settings.attributes().Load(ctx, group, schema.Items); err != nil {
			return err
		}
	default:
		return nil
	}
	b.catalogue = b.catalogue.WithAttributes(table.Table, table)
	if explores.Weight > 0 {
		cold := explores.Cold(b.catalogue.Newest(b.loaded.Novelty), b.job.CreatedAt)
		b.exploration = &ranking.Exploration{Settings: explores, Cold: cold}
	}
	if b.diversity = b.catalogue.Diversity(diverse, table.Schema); b.diversity != nil {
		b.diversity.Prepare()
	}
	return nil
}

// openUsers reads the attributes of users, where the model asks for them.
func (b *inference) openUsers(ctx context.Context, group *catalog.DatasetGroup) error {
	if !model.AsksUser(b.loaded.Model, nil) {
		return nil
	}
	if b.filter != nil && b.filter.users != nil {
		b.users = b.filter.users
		return nil
	}
	var err error
	b.users, err = b.settings.attributes().Load(ctx, group, schema.Users)
	return err
}

// inference answers the lines of one job. One run at a time uses it.
type inference struct {
	settings *Inference
	job      *catalog.BatchInferenceJob
	loaded   *modelstore.Loaded
	results  int
	source   *historySource    // nil: neither recipe nor filter asks for histories
	filter   *batchFilter      // nil: there is none
	users    *attributes.Table // nil: the model does not ask for them
	quoted   [][]byte          // the items' ids as JSON

	catalogue   *ranking.Catalogue
	exploration *ranking.Exploration // nil: cold items are not lifted. Its seed is the line's
	diversity   *ranking.Diversity   // nil: lists are not made diverse
	workers     []inferenceWorker
}

// inferenceRun answers some pieces of the input of a job, each into an object of its own.
type inferenceRun struct {
	*inference
	plan   *batchPlan
	pieces []piece
	// create begins the object of a piece.
	create func(ctx context.Context, piece int) *output.File
	report func(float64)

	in       *blob.Bucket
	next     int // piece to be opened
	reading  *openPiece
	writing  *output.File
	answered int64
	started  time.Time

	counts                 []int // lines, by piece
	lines, refused, passes int
}

// openPiece is a piece of the input being read.
type openPiece struct {
	number int
	object blob.Reader
	lines  *lineReader
}

// question is one line of the input.
type question struct {
	piece   int
	text    []byte // nil: the end of the piece
	request inferenceRequest
	refusal string
}

// inferenceRequest holds the members of a line.
type inferenceRequest struct {
	UserID       string            `json:"userId"`
	ItemID       string            `json:"itemId"`
	ItemList     []string          `json:"itemList"`
	FilterValues map[string]string `json:"filterValues"`
	Context      map[string]string `json:"context"`
}

// inferenceWorker is the scratch memory of one goroutine.
type inferenceWorker struct {
	scores  []float32
	history historyScratch
	filters lastFilter
}

func (b *inferenceRun) run(ctx context.Context) (err error) {
	defer func() {
		if b.reading != nil {
			b.reading.object.Close()
		}
		if b.writing != nil {
			b.writing.Abort()
		}
	}()
	b.started, b.counts = time.Now(), make([]int, len(b.pieces))
	b.in = b.settings.S3.Bucket(b.plan.Bucket)
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
func (b *inferenceRun) fill(ctx context.Context, block []question) (_ []question, more bool, err error) {
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
			if b.next == len(b.pieces) {
				return block, false, nil
			}
			if b.reading, err = b.open(ctx, b.next); err != nil {
				return nil, false, err
			}
			b.next++
		}
		n := b.reading.number
		line, err := b.reading.lines.next()
		if errors.Is(err, io.EOF) {
			block = append(block, question{piece: n})
			b.reading.object.Close()
			b.reading = nil
			continue
		}
		if err != nil {
			return nil, false, inputError(b.plan.name(b.pieces[n].File), err)
		}
		if b.counts[n]++; b.counts[n] > inferenceLimits.lines {
			return nil, false, tooManyLines(b.plan.name(b.pieces[n].File))
		}
		q := question{piece: n, text: line.text}
		if q.text == nil {
			q.text = []byte{}
		}
		q.request, q.refusal = b.parse(line)
		block = append(block, q)
		size += len(line.text)
	}
	return block, true, nil
}

func tooManyLines(name string) error {
	return jobs.Faultf("Input %s has more than %d lines", name, inferenceLimits.lines)
}

func (b *inferenceRun) open(ctx context.Context, n int) (*openPiece, error) {
	p := b.pieces[n]
	object, err := b.plan.open(ctx, b.in, p.File)
	if err != nil {
		return nil, err
	}
	if _, err := object.Seek(p.From, io.SeekStart); err != nil {
		object.Close()
		return nil, inputError(b.plan.name(p.File), err)
	}
	lines := newLineReader(io.LimitReader(object, p.To-p.From))
	if p.From == 0 {
		lines.skipMark()
	}
	return &openPiece{number: n, object: object, lines: lines}, nil
}

// parse reads a line as the recipe wants it, or returns the reason why it is refused.
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

// histories reads those of a block's users, and returns up to which question they are complete.
func (b *inferenceRun) histories(ctx context.Context, block []question) (*histories, int, error) {
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
	settings := b.settings
	known := newHistories(b.loaded.Model.Items(), users, settings.UserHistory, settings.Rows)
	if err := known.gather(ctx, b.source, settings.Threads); err != nil {
		return nil, 0, err
	}
	b.passes++
	if kept := int(known.kept.Load()); kept < len(users) {
		return known, first[users[kept]], nil
	}
	return known, len(block), nil
}

// answer writes the answers to questions, in their order.
func (b *inferenceRun) answer(ctx context.Context, questions []question, known *histories) error {
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

// write appends an answer to its object, and completes that behind its last one.
func (b *inferenceRun) write(ctx context.Context, q *question, answer []byte) error {
	if b.writing == nil {
		b.writing = b.create(ctx, q.piece)
	}
	if q.text == nil {
		done := b.writing
		b.writing = nil
		return done.Close()
	}
	b.lines++
	if q.refusal != "" {
		b.refused++
	}
	b.answered += int64(len(q.text)) + 1
	_, err := b.writing.Write(answer)
	return err
}

func (b *inferenceRun) progress() {
	total := int64(1)
	for _, p := range b.pieces {
		total += p.To - p.From
	}
	b.report(float64(b.answered) / float64(total))
}

func (b *inferenceRun) log(event string, more ...zap.Field) {
	b.settings.Log.Info(event, append(more,
		zap.String("job", b.job.ARN), zap.Int("lines", b.lines), zap.Int("refused", b.refused),
		zap.Int("passes", b.passes), zap.Duration("took", time.Since(b.started)))...)
}

// line makes the answer to one question.
func (b *inference) line(w *inferenceWorker, q *question, known *histories) ([]byte, error) {
	var f *ranking.Filter
	if b.filter != nil && q.refusal == "" {
		f, q.refusal = w.filters.bind(b.filter, q.request.FilterValues)
	}
	answer := append(make([]byte, 0, 256), `{"input":`...)
	answer = appendEcho(answer, q.text)
	if q.refusal != "" {
		answer = append(answer, `,"output":null,"error":`...)
		return append(appendJSON(answer, q.refusal), "}\n"...), nil
	}
	var history []reco.RecentInteraction
	if known != nil {
		history = known.of(q.request.UserID, &w.history)
	}
	scorer := ranking.ModelScorer(b.loaded.Model, b.query(q, history), w.scores)
	picks, err := b.list(scorer, q, f, history)
	if err != nil {
		return nil, err
	}
	answer = append(answer, `,"output":{"recommendedItems":[`...)
	for n := range picks {
		if picks[n].Known() {
			answer = appendSeparated(answer, n, b.quoted[picks[n].Item])
		} else {
			answer = appendSeparated(answer, n, appendJSON(nil, picks[n].ID))
		}
	}
	answer = append(answer, ']')
	if b.showsScores() {
		answer = appendScores(answer, picks)
	}
	return append(answer, `},"error":null}`+"\n"...), nil
}

// query returns what the model is asked for a line.
func (b *inference) query(q *question, history []reco.RecentInteraction) model.Query {
	query := model.Query{ItemID: q.request.ItemID}
	if b.loaded.Recipe.Realtime {
		query.History = history // otherwise it is for the filter alone
	}
	if model.AsksUser(b.loaded.Model, query.History) {
		query.User = b.users.Record(q.request.UserID)
	}
	return query
}

// list makes the list of a line as the recommender makes it for a request.
func (b *inference) list(
	scorer ranking.Scorer, q *question, f *ranking.Filter, history []reco.RecentInteraction,
) ([]ranking.Pick, error) {
	subject := filter.Subject{History: history, UserID: q.request.UserID, CurrentItem: q.request.ItemID}
	if b.filter != nil {
		subject.User = b.filter.users.UserRecord(q.request.UserID, len(history) > 0)
	}
	if b.loaded.Recipe.Type == recipe.PersonalizedRanking {
		return b.catalogue.Rank(scorer, q.request.ItemList, f, &subject)
	}
	req := &ranking.Request{Scorer: scorer, Results: b.results, Subject: subject, Filter: f, Diversity: b.diversity}
	if b.exploration != nil {
		explores := *b.exploration
		explores.Seed = exploration.Seed(q.request.UserID, b.loaded.ModelID, b.job.ID)
		req.Exploration = &explores
	}
	list, err := b.catalogue.List(req)
	if err != nil {
		return nil, err
	}
	return list.Picks, nil
}

// showsScores reports whether the recipe's answers have scores.
func (b *inference) showsScores() bool {
	return b.loaded.Recipe.Type == recipe.PersonalizedRanking || b.loaded.Recipe.Scores == recipe.CatalogueScores
}

// appendScores appends a score for each item. Items that the model does not know have none at runtime; here a 0 keeps
// the two lists equally long.
func appendScores(answer []byte, picks []ranking.Pick) []byte {
	answer = append(answer, `,"scores":[`...)
	for n := range picks {
		if n > 0 {
			answer = append(answer, ',')
		}
		answer = strconv.AppendFloat(answer, picks[n].Share, 'g', -1, 32)
	}
	return append(answer, ']')
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
