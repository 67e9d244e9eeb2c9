package dataset

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/google/uuid"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventfile"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// maxUserIDs bounds the text of a list of user ids.
const maxUserIDs = 1 << 30

// UserIDs reads the column USER_ID of CSV files, as an import does.
func UserIDs(ctx context.Context, source *blob.Client, location string, take func(id string)) error {
	files, err := sourceFiles(ctx, source, location)
	if err != nil {
		return err
	}
	column := &schema.Schema{Type: schema.Users, Fields: []schema.Field{{Name: "USER_ID", Kind: schema.String}}}
	limit := int64(maxUserIDs)
	for _, f := range files {
		if err := userIDs(ctx, f, column, &limit, take); err != nil {
			return err
		}
	}
	return nil
}

func userIDs(ctx context.Context, f sourceFile, column *schema.Schema, limit *int64, take func(id string)) error {
	object, info, err := f.bucket.Open(ctx, f.info.Key)
	if err != nil {
		return sourceError(f.name, err)
	}
	defer object.Close()
	if info.ETag != f.info.ETag {
		return sourceError(f.name, blob.ErrPrecondition)
	}
	in, err := newInput(f.name, object, limit)
	if err != nil {
		return err
	}
	t, err := openTable(f.name, newCSVReader(in), column)
	if err != nil {
		return err
	}
	for {
		cells, err := t.next()
		if cells == nil || err != nil {
			return err
		}
		var user reco.Entity
		if err := t.entity(cells, "USER_ID", &user); err != nil {
			return t.wrongValue(err)
		}
		take(user.ID)
	}
}

// Removal says which rows of a dataset's imported data are to go.
type Removal struct {
	Bucket *blob.Bucket
	Group  string
	Schema *schema.Schema
	// ID names the removal: one that has already succeeded isn't done again, as with imports.
	ID string
	// Interaction and Entity report whether a row goes; the one that suits the schema is asked.
	Interaction func(*reco.Interaction) bool
	Entity      func(*reco.Entity) bool
}

// Run makes a version of the dataset without those rows, and deletes the files that hold them: who reads the version
// before finds them gone. It gives the current version and the number of rows that went. A dataset that holds no such
// row stays as it is.
//
// The version counts as a full import to those who have applied an earlier one.
func (r Removal) Run(ctx context.Context) (Version, int64, error) {
	datasetType := r.Schema.Type.DatasetType()
	for {
		m, err := readManifest(ctx, r.Bucket, r.Group, datasetType)
		if err != nil {
			return Version{}, 0, err
		}
		if _, done := m.done(r.ID); done {
			return m.Current, 0, r.deleteReplaced(ctx, m)
		}
		parts, removed, written, err := r.parts(ctx, m.Current)
		if err != nil {
			discard(ctx, r.Bucket, written)
			return Version{}, 0, err
		}
		if removed == 0 {
			return m.Current, 0, nil
		}
		m.replace(r.ID, parts)
		switch err := m.write(ctx, r.Bucket, r.Group, datasetType); {
		case errors.Is(err, blob.ErrPrecondition):
			// Another import finished first, or this very write had arrived: the next round sees which. Parts that turn
			// out not to be referred to are swept by a later import.
			continue
		case err != nil:
			return Version{}, 0, err
		}
		return m.Current, removed, r.deleteReplaced(ctx, m)
	}
}

func (r Removal) deleteReplaced(ctx context.Context, m *manifest) error {
	if len(m.Replaced) == 0 {
		return nil
	}
	if err := r.Bucket.Delete(ctx, m.Replaced...); err != nil {
		return fmt.Errorf("deleting replaced data: %w", err)
	}
	return nil
}

// parts are the version's parts without the rows; those that held none of them are as they were.
func (r Removal) parts(ctx context.Context, v Version) (parts []Part, removed int64, written []Part, err error) {
	attempt, s := uuid.NewString()[:8], r.Schema
	interactions := rewrite[reco.Interaction]{r.Bucket, eventfile.DecodeInteractions, interactionFile(s), r.Interaction}
	entities := rewrite[reco.Entity]{r.Bucket, eventfile.DecodeEntities, entityFile(s), r.Entity}
	for n, p := range v.Parts {
		key := partKey(r.Group, r.Schema.Type, v.Number+1, attempt, n)
		var kept Part
		if s.Type == schema.Interactions || s.Type == schema.ActionInteractions {
			kept, err = interactions.part(ctx, p, key)
		} else {
			kept, err = entities.part(ctx, p, key)
		}
		if kept.Key != p.Key && kept.Key != "" {
			written = append(written, kept)
		}
		if err != nil {
			return nil, 0, written, err
		}
		removed += p.Rows - kept.Rows
		if kept.Rows > 0 {
			parts = append(parts, kept)
		}
	}
	return parts, removed, written, nil
}

// rewrite writes parts without the rows that drop returns true for.
type rewrite[T any] struct {
	bucket *blob.Bucket
	decode func(io.ReaderAt, int64) iter.Seq2[T, error]
	open   func(io.Writer) (rowWriter[T], error)
	drop   func(*T) bool
}

// part writes a part without some rows under another key. A part that has none of them stays what it is.
func (w rewrite[T]) part(ctx context.Context, p Part, key string) (Part, error) {
	fail := func(err error) error { return fmt.Errorf("removing rows from %s: %w", p.Key, err) }
	data, _, err := w.bucket.Get(ctx, p.Key)
	if err != nil {
		return Part{}, fail(err)
	}
	kept := Part{Key: key, Version: p.Version, Imported: p.Imported, Repeats: p.Repeats}
	for row, err := range w.decode(bytes.NewReader(data), int64(len(data))) {
		if err != nil {
			return Part{}, fail(err)
		}
		if !w.drop(&row) {
			kept.Rows++
		}
	}
	switch kept.Rows {
	case p.Rows:
		return p, nil
	case 0:
		return Part{}, nil
	}
	reader, pipe := io.Pipe()
	uploaded := make(chan error, 1)
	go func() {
		err := w.bucket.Upload(ctx, key, reader, blob.PutOptions{ContentType: "application/vnd.apache.parquet"})
		_ = reader.CloseWithError(err) // unblocks the writer
		uploaded <- err
	}()
	counted := &countingWriter{Writer: pipe}
	err = copyRows(w.decode(bytes.NewReader(data), int64(len(data))), counted, w.open, w.drop)
	_ = pipe.CloseWithError(err) // nil is the end of the data; it never fails
	if uploadErr := <-uploaded; err == nil {
		err = uploadErr
	}
	kept.Bytes = counted.bytes
	if err != nil {
		return kept, fail(err)
	}
	return kept, nil
}

func copyRows[T any](
	rows iter.Seq2[T, error], to io.Writer, open func(io.Writer) (rowWriter[T], error), drop func(*T) bool,
) error {
	buffer := bufio.NewWriterSize(to, 256<<10)
	w, err := open(buffer)
	if err != nil {
		return err
	}
	batch := make([]T, 0, batchRows)
	for row, err := range rows {
		if err != nil {
			return err
		}
		if drop(&row) {
			continue
		}
		if batch = append(batch, row); len(batch) == cap(batch) {
			if err := w.Write(batch...); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := w.Write(batch...); err != nil {
		return err
	}
	return errors.Join(w.Close(), buffer.Flush())
}

type countingWriter struct {
	io.Writer
	bytes int64
}

func (w *countingWriter) Write(data []byte) (int, error) {
	n, err := w.Writer.Write(data)
	w.bytes += int64(n)
	return n, err
}

// replace makes a version current that has the same imports, without some rows. All parts get the version's number:
// whoever has applied them before must drop what they have and start again.
func (m *manifest) replace(id string, parts []Part) {
	m.Replaced = nil
	for _, old := range m.Current.Parts {
		if !slices.ContainsFunc(parts, func(p Part) bool { return p.Key == old.Key }) {
			m.Replaced = append(m.Replaced, old.Key)
		}
	}
	imported, mode := m.Current.Imported, m.Current.Mode
	times := make([]Part, len(parts))
	copy(times, parts)
	m.add(id, Full, parts)
	m.Current.Mode, m.Current.Imported = mode, imported
	for n := range m.Current.Parts {
		m.Current.Parts[n].Imported = times[n].Imported
	}
}
