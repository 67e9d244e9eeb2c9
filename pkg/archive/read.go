package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// ReadOptions selects what is read; the zero value reads everything.
type ReadOptions struct {
	TopicID   *[16]byte
	Partition *int32
	// FromOffset excludes the records before it, in every chain that is read.
	FromOffset int64
	// Covered, if set, is called for each file that is read, before its rows, with the offsets that the file covers
	// and, for a file that closes a gap, the reason why these do not exist.
	Covered func(first, last int64, gap string)
}

// ReadInteractions reads a group's interactions, with items or with actions, in the order of topic id, partition and
// offset, one file in memory at a time, with Origin filled in. Repeats of an event id that were too far apart for the
// sink are still there. After a *CorruptError the caller may continue with the sequence, which skips the rest of the
// object; every other error ends it.
func ReadInteractions(
	ctx context.Context, b *blob.Bucket, group string, t schema.Type, opts ReadOptions,
) iter.Seq2[reco.Interaction, error] {
	return read(ctx, b, typePrefix(group, t), opts, interactionRows)
}

// ReadEntities reads a group's items, users or actions in the same way: every record that was put, of which the newest
// for each id is valid.
func ReadEntities(ctx context.Context, b *blob.Bucket, group string, t schema.Type) iter.Seq2[reco.Entity, error] {
	return read(ctx, b, typePrefix(group, t), ReadOptions{}, entityRows)
}

func read[T any](
	ctx context.Context, b *blob.Bucket, prefix string, opts ReadOptions, format rowFormat[T],
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for f, err := range files(ctx, b, prefix, opts) {
			if err != nil {
				yield(none, err)
				return
			}
			for row, err := range rows(ctx, b, f.key, format, opts.Covered) {
				var corrupt *CorruptError
				if err != nil && (!yield(none, err) || !errors.As(err, &corrupt)) {
					return
				}
				if err != nil {
					break
				}
				o := format.origin(&row)
				o.TopicID, o.Partition = f.id.TopicID, f.id.Partition
				if o.Offset >= opts.FromOffset && !yield(row, nil) {
					return
				}
			}
		}
	}
}

// selects reports whether opts includes the chain.
func (o *ReadOptions) selects(id ChainID) bool {
	return (o.TopicID == nil || id.TopicID == *o.TopicID) && (o.Partition == nil || id.Partition == *o.Partition)
}

// file is an object of the archive, as its name describes it.
type file struct {
	id    ChainID
	first int64
	key   string
	size  int64
}

// files lists the objects that may hold what opts selects. A name gives only the first offset, so each file waits for
// its successor: if that one begins at or before FromOffset, nothing in the file is selected.
func files(ctx context.Context, b *blob.Bucket, prefix string, opts ReadOptions) iter.Seq2[file, error] {
	return func(yield func(file, error) bool) {
		var waiting *file
		for info, err := range b.List(ctx, prefix) {
			if err != nil {
				yield(file{}, fmt.Errorf("listing %s: %w", prefix, err))
				return
			}
			id, first, ok := parseKey(info.Key)
			if !ok || !opts.selects(id) {
				continue
			}
			if waiting != nil && (waiting.id != id || first > opts.FromOffset) && !yield(*waiting, nil) {
				return
			}
			waiting = &file{id, first, info.Key, info.Size}
		}
		if waiting != nil {
			yield(*waiting, nil)
		}
	}
}

// rows reads one object, and calls covered, unless that is nil, with the offsets it covers. The first error ends it.
func rows[T any](
	ctx context.Context, b *blob.Bucket, key string, format rowFormat[T], covered func(first, last int64, gap string),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		data, metadata, err := get(ctx, b, key)
		if err != nil {
			yield(none, err)
			return
		}
		if covered != nil {
			_, first, _ := parseKey(key)
			last, err := lastOffset(key, first, metadata)
			if err != nil {
				yield(none, err)
				return
			}
			covered(first, last, metadata[metadataGap])
		}
		for row, err := range format.decode(bytes.NewReader(data), int64(len(data))) {
			if err != nil {
				yield(none, &CorruptError{key, err})
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

// get reads one whole object and checks it. The checksum comes before any decoding: a decoder should not have to make
// sense of flipped bits.
func get(ctx context.Context, b *blob.Bucket, key string) (data []byte, metadata map[string]string, err error) {
	data, info, err := b.Get(ctx, key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", key, err)
	}
	if want, ok := info.Metadata[metadataChecksum]; ok && want != checksum(data) {
		return nil, nil, &CorruptError{
			key, fmt.Errorf("the checksum is %s, but was %s when it was written", checksum(data), want),
		}
	}
	return data, info.Metadata, nil
}
