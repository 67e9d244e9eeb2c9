package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventfile"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// The most text an import reads, as Personalize has it.
const (
	maxFullBytes        = 100 << 30
	maxIncrementalBytes = 1 << 30
)

// ImportRequest says what to import where.
type ImportRequest struct {
	// Source is the store of the user's buckets, and Location a file or folder in it.
	Source   *blob.Client
	Location string
	// Bucket is where datasets are kept.
	Bucket *blob.Bucket
	Group  string
	Schema *schema.Schema
	Mode   Mode
	// ID names the import: one that has already succeeded under this name isn't done again. "" names none.
	ID string
	// MinInteractions is how many rows an import of interactions must have at least.
	MinInteractions int
	// MaxBytes bounds the text, unpacked, of all files; 0 means 100 GiB for full and 1 GiB for incremental imports.
	MaxBytes int64
	// Progress, if set, is told the share of the input that has been read, 0 to 1, now and then.
	Progress func(float64)
}

// Import brings CSV files into a dataset and gives its new version. Either all rows are imported or none.
//
// A *RowError or *InputError says what is wrong with the input; see Reason. Any other error is the store's or the
// context's, changes nothing, and may pass when the import is run again.
func Import(ctx context.Context, req ImportRequest) (Version, error) {
	if req.ID == "" {
		req.ID = uuid.NewString()
	}
	m, err := readManifest(ctx, req.Bucket, req.Group, req.Schema.Type.DatasetType())
	if err != nil {
		return Version{}, err
	}
	if v, done := m.done(req.ID); done {
		return v, nil
	}
	switch {
	case req.Mode == Incremental && len(m.Current.Parts) == 0:
		return Version{}, &InputError{"An INCREMENTAL import needs data from an earlier FULL import"}
	case req.Mode != Incremental && req.Mode != Full:
		return Version{}, fmt.Errorf("importing: unknown mode %q", req.Mode)
	}
	parts, err := req.parts(ctx, m.Current.Number+1)
	if err != nil {
		return Version{}, err
	}
	return req.publish(ctx, m, parts)
}

// Reason is the failure reason of an import's error: what the user must mend. ok is false for errors that may pass when
// the import is run again.
func Reason(err error) (reason string, ok bool) {
	var row *RowError
	if errors.As(err, &row) {
		return row.Error(), true
	}
	var input *InputError
	if errors.As(err, &input) {
		return input.Error(), true
	}
	return "", false
}

// parts writes the rows of all files.
func (req *ImportRequest) parts(ctx context.Context, number int64) ([]Part, error) {
	files, err := sourceFiles(ctx, req.Source, req.Location)
	if err != nil {
		return nil, err
	}
	if s := req.Schema; s.Type == schema.Interactions || s.Type == schema.ActionInteractions {
		return importFiles(ctx, req, files, newInteractionBatch(number), newPartsWriter(req, number, interactionFile(s)))
	}
	return importFiles(ctx, req, files, newEntityBatch(req.Schema), newPartsWriter(req, number, entityFile(req.Schema)))
}

// partKey is the key of the n-th part that an attempt writes of a version.
func partKey(group string, t schema.Type, number int64, attempt string, n int) string {
	return fmt.Sprintf("%sv%d/part-%s-%05d.parquet", prefix(group, t.DatasetType()), number, attempt, n)
}

func interactionFile(s *schema.Schema) func(io.Writer) (rowWriter[reco.Interaction], error) {
	return func(w io.Writer) (rowWriter[reco.Interaction], error) { return eventfile.NewInteractionWriter(w, s) }
}

func entityFile(s *schema.Schema) func(io.Writer) (rowWriter[reco.Entity], error) {
	return func(w io.Writer) (rowWriter[reco.Entity], error) { return eventfile.NewEntityWriter(w, s) }
}

// publish makes the parts the dataset's data.
func (req *ImportRequest) publish(ctx context.Context, m *manifest, parts []Part) (Version, error) {
	datasetType := req.Schema.Type.DatasetType()
	m.add(req.ID, req.Mode, parts)
	err := m.write(ctx, req.Bucket, req.Group, datasetType)
	if errors.Is(err, blob.ErrPrecondition) {
		return req.lostRace(ctx, parts)
	}
	if err != nil {
		// Whether the manifest was switched is unknown: the parts stay. Run again, the import finds out.
		return Version{}, err
	}
	// Sweeping is housekeeping: the import has succeeded whatever comes of it.
	_ = Sweep(ctx, req.Bucket, req.Group, datasetType, sweepGrace)
	return m.Current, nil
}

// lostRace tells a repeat of the switch that met its own success from another import's.
func (req *ImportRequest) lostRace(ctx context.Context, parts []Part) (Version, error) {
	now, err := readManifest(ctx, req.Bucket, req.Group, req.Schema.Type.DatasetType())
	if err != nil {
		return Version{}, err
	}
	if v, done := now.done(req.ID); done {
		return v, nil
	}
	discard(ctx, req.Bucket, parts)
	return Version{}, errConcurrent
}

// discard deletes the parts of an import that failed, also when it failed because its context ended. What it misses is
// swept later.
func discard(ctx context.Context, b *blob.Bucket, parts []Part) {
	keys := make([]string, len(parts))
	for i := range parts {
		keys[i] = parts[i].Key
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = b.Delete(ctx, keys...)
}

// newPartsWriter writes the parts of an attempt to import a version.
func newPartsWriter[T any](
	req *ImportRequest, number int64, open func(io.Writer) (rowWriter[T], error),
) *partsWriter[T] {
	// The attempt's name keeps a slow worker, presumed dead, from writing over the parts of its successor.
	attempt := uuid.NewString()[:8]
	return &partsWriter[T]{bucket: req.Bucket, open: open, key: func(n int) string {
		return partKey(req.Group, req.Schema.Type, number, attempt, n)
	}}
}

// importFiles reads every file into the batch and writes the batch out whenever it is full.
func importFiles[T any](
	ctx context.Context, req *ImportRequest, files []sourceFile, b batch[T], w *partsWriter[T],
) (parts []Part, err error) {
	defer func() {
		if err != nil {
			w.abort()
			discard(ctx, req.Bucket, w.parts)
		}
	}()
	im := importer[T]{request: req, batch: b, out: w, limit: req.maxBytes()}
	for _, f := range files {
		im.total += f.info.Size
	}
	for _, f := range files {
		if err := im.file(ctx, f); err != nil {
			return nil, err
		}
	}
	if err := im.checkRows(); err != nil {
		return nil, err
	}
	if err := im.flush(ctx); err != nil {
		return nil, err
	}
	if parts, err = w.close(); err != nil {
		return nil, err
	}
	parts[len(parts)-1].Repeats = im.rows - rowsOf(parts)
	if req.Progress != nil {
		req.Progress(1)
	}
	return parts, nil
}

func (req *ImportRequest) maxBytes() int64 {
	switch {
	case req.MaxBytes > 0:
		return req.MaxBytes
	case req.Mode == Incremental:
		return maxIncrementalBytes
	}
	return maxFullBytes
}

// importer moves rows from files to parts.
type importer[T any] struct {
	request *ImportRequest
	batch   batch[T]
	out     *partsWriter[T]
	limit   int64 // bytes of text left
	total   int64 // bytes of all files, as they are stored
	before  int64 // bytes of the files that are finished
	rows    int64 // read so far, repeats included
	held    int   // bytes of the text of the rows in the batch
}

func (im *importer[T]) file(ctx context.Context, f sourceFile) error {
	object, info, err := f.bucket.Open(ctx, f.info.Key)
	if err != nil {
		return sourceError(f.name, err)
	}
	defer object.Close()
	if info.ETag != f.info.ETag {
		return sourceError(f.name, blob.ErrPrecondition)
	}
	in, err := newInput(f.name, object, &im.limit)
	if err != nil {
		return err
	}
	t, err := openTable(f.name, newCSVReader(in), im.request.Schema)
	if err != nil {
		return err
	}
	if err := im.table(ctx, t, in); err != nil {
		return err
	}
	im.before += f.info.Size
	return nil
}

func (im *importer[T]) table(ctx context.Context, t *table, in *input) error {
	for {
		cells, err := t.next()
		if cells == nil || err != nil {
			return err
		}
		if err := im.batch.add(t, cells, im.rows); err != nil {
			return t.wrongValue(err)
		}
		im.rows++
		for _, cell := range cells {
			im.held += len(cell)
		}
		if im.batch.full() || im.held >= batchBytes {
			if err := im.flush(ctx); err != nil {
				return err
			}
			im.progress(in)
		}
	}
}

func (im *importer[T]) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	text := im.held
	im.held = 0
	return im.out.write(ctx, im.batch.take(), text)
}

func (im *importer[T]) progress(in *input) {
	if im.request.Progress != nil && im.total > 0 {
		im.request.Progress(min(1, float64(im.before+in.raw.bytes)/float64(im.total)))
	}
}

func (im *importer[T]) checkRows() error {
	minimum := 1
	if im.request.Schema.Type == schema.Interactions {
		minimum = max(minimum, im.request.MinInteractions)
	}
	if im.rows >= int64(minimum) {
		return nil
	}
	return &InputError{
		fmt.Sprintf(
			"Input CSV has %d rows; an import of %s needs at least %d", im.rows, im.request.Schema.Type, minimum,
		),
	}
}

// batch gathers parsed rows, so that parsing and writing each run over warm memory.
type batch[T any] interface {
	// add parses a row; ordinal is its number in the import.
	add(t *table, cells []string, ordinal int64) *columnError
	full() bool
	// take empties the batch; the rows are valid until the next add.
	take() []T
}

// A batch is written when it has so many rows, or so much text: a row can be a megabyte long.
const (
	batchRows  = 256
	batchBytes = 4 << 20
)

type interactionBatch struct {
	version int64
	rows    [batchRows]reco.Interaction
	values  [batchRows]float64 // what EventValue points to
	n       int
	seen    recentHashes
	scratch []byte
}

func newInteractionBatch(version int64) *interactionBatch {
	return &interactionBatch{version: version, seen: newRecentHashes()}
}

func (b *interactionBatch) add(t *table, cells []string, ordinal int64) *columnError {
	row := &b.rows[b.n]
	if err := t.interaction(cells, row, &b.values[b.n]); err != nil {
		return err
	}
	if b.repeats(t, cells) {
		return nil
	}
	row.EventID = importedEventID(b.version, ordinal)
	b.n++
	return nil
}

// repeats compares the cells of the schema's columns, in its order.
func (b *interactionBatch) repeats(t *table, cells []string) bool {
	s := b.scratch[:0]
	for i := range t.columns {
		cell := cells[t.columns[i].cell]
		s = binary.LittleEndian.AppendUint32(s, uint32(len(cell)))
		s = append(s, cell...)
	}
	b.scratch = s
	return !b.seen.add(xxhash.Sum64(s))
}

func (b *interactionBatch) full() bool { return b.n == batchRows }

func (b *interactionBatch) take() []reco.Interaction {
	rows := b.rows[:b.n]
	b.n = 0
	return rows
}

type entityBatch struct {
	id   string
	rows [batchRows]reco.Entity
	n    int
}

func newEntityBatch(s *schema.Schema) *entityBatch { return &entityBatch{id: s.IDField()} }

func (b *entityBatch) add(t *table, cells []string, _ int64) *columnError {
	if err := t.entity(cells, b.id, &b.rows[b.n]); err != nil {
		return err
	}
	b.n++
	return nil
}

func (b *entityBatch) full() bool { return b.n == batchRows }

func (b *entityBatch) take() []reco.Entity {
	rows := b.rows[:b.n]
	b.n = 0
	return rows
}

// recentHashes remembers hashes until others need their places: a set of bounded memory that may forget, but that never
// takes a new hash for a known one.
type recentHashes []uint64

func newRecentHashes() recentHashes { return make(recentHashes, 1<<21) }

// add reports whether the hash is new.
func (r recentHashes) add(hash uint64) bool {
	hash |= 1 // 0 marks a free place
	slot := &r[hash%uint64(len(r))]
	if *slot == hash {
		return false
	}
	*slot = hash
	return true
}

// The fixed widths of imported event ids: 60 million imports of 78 billion rows.
const (
	versionDigits = 5
	rowDigits     = 7
)

// importedEventID makes the id of an imported row; the package comment tells why it is a position.
func importedEventID(version, row int64) string {
	var id [1 + versionDigits + rowDigits]byte
	id[0] = 'i'
	digits(id[1:1+versionDigits], version)
	digits(id[1+versionDigits:], row)
	return string(id[:])
}

// digits writes n in base 36, whose digits sort as bytes do.
func digits(to []byte, n int64) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[n%36]
		n /= 36
	}
}
