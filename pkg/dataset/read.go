package dataset

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventfile"
	"github.com/penchant-io/penchant/pkg/reco"
)

// Interactions reads a version's interactions in the order in which they were imported, one part in memory at a time.
// The first error ends the sequence; it names the object.
func Interactions(ctx context.Context, b *blob.Bucket, v Version) iter.Seq2[reco.Interaction, error] {
	return read(ctx, b, v, eventfile.DecodeInteractions)
}

// Entities reads a version's items, users or actions in the same way. Of several rows with one id the last counts.
func Entities(ctx context.Context, b *blob.Bucket, v Version) iter.Seq2[reco.Entity, error] {
	return read(ctx, b, v, eventfile.DecodeEntities)
}

func read[T any](
	ctx context.Context, b *blob.Bucket, v Version, decode func(io.ReaderAt, int64) iter.Seq2[T, error],
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, p := range v.Parts {
			if !readPart(ctx, b, p, decode, yield) {
				return
			}
		}
	}
}

// readPart reports whether to go on.
func readPart[T any](
	ctx context.Context, b *blob.Bucket, p Part, decode func(io.ReaderAt, int64) iter.Seq2[T, error],
	yield func(T, error) bool,
) bool {
	var none T
	fail := func(err error) bool {
		yield(none, fmt.Errorf("reading imported data: %w", err))
		return false
	}
	data, _, err := b.Get(ctx, p.Key)
	if err != nil {
		return fail(err)
	}
	if int64(len(data)) != p.Bytes {
		return fail(fmt.Errorf("%s has %d bytes instead of %d", p.Key, len(data), p.Bytes))
	}
	rows := int64(0)
	for row, err := range decode(bytes.NewReader(data), p.Bytes) {
		if err != nil {
			return fail(fmt.Errorf("decoding %s: %w", p.Key, err))
		}
		if rows++; !yield(row, nil) {
			return false
		}
	}
	if rows != p.Rows {
		return fail(fmt.Errorf("%s has %d rows instead of %d", p.Key, rows, p.Rows))
	}
	return true
}
