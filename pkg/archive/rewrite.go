package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Rewriting is the only operation that changes archived files: it removes records whose owner wants them deleted. A
// file keeps its name and the offsets that it covers, so chains, sinks and readers see no difference but the missing
// rows. Each file is replaced by one conditional put. A rewrite may be repeated, and run concurrently with everything
// else.

// RewriteInteractions removes the interactions for which drop returns true from a group's archive, and returns their
// number. A damaged file is a *CorruptError, because nobody can tell whose records it holds.
func RewriteInteractions(
	ctx context.Context, b *blob.Bucket, group string, t schema.Type, drop func(*reco.Interaction) bool,
) (dropped int64, err error) {
	w := rewriter[reco.Interaction]{bucket: b, format: interactionRows, drop: drop}
	return w.files(ctx, typePrefix(group, t))
}

// RewriteUsers does the same for users.
func RewriteUsers(
	ctx context.Context, b *blob.Bucket, group string, drop func(*reco.Entity) bool,
) (dropped int64, err error) {
	w := rewriter[reco.Entity]{bucket: b, format: entityRows, schema: &schema.Schema{Type: schema.Users}, drop: drop}
	return w.files(ctx, typePrefix(group, schema.Users))
}

type rewriter[T any] struct {
	bucket *blob.Bucket
	format rowFormat[T]
	schema *schema.Schema // of the files written
	drop   func(*T) bool
}

func (w *rewriter[T]) files(ctx context.Context, prefix string) (dropped int64, err error) {
	for f, err := range files(ctx, w.bucket, prefix, ReadOptions{}) {
		if err != nil {
			return dropped, err
		}
		n, err := w.file(ctx, f)
		dropped += n
		if err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// file replaces one file, unless nothing is dropped.
func (w *rewriter[T]) file(ctx context.Context, f file) (dropped int64, err error) {
	data, info, err := w.bucket.Get(ctx, f.key)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", f.key, err)
	}
	if want, ok := info.Metadata[metadataChecksum]; ok && want != checksum(data) {
		return 0, &CorruptError{f.key, errors.New("the checksum is not the one it was written with")}
	}
	var kept []T
	for row, err := range w.format.decode(bytes.NewReader(data), int64(len(data))) {
		if err != nil {
			return 0, &CorruptError{f.key, err}
		}
		o := w.format.origin(&row)
		o.TopicID, o.Partition = f.id.TopicID, f.id.Partition
		if w.drop(&row) {
			dropped++
		} else {
			kept = append(kept, row)
		}
	}
	if dropped == 0 {
		return 0, nil
	}
	if data, err = w.format.encode(w.schema, kept); err != nil {
		return 0, &EncodeError{err}
	}
	metadata := maps.Clone(info.Metadata)
	metadata[metadataRows], metadata[metadataChecksum] = strconv.Itoa(len(kept)), checksum(data)
	_, err = w.bucket.Put(ctx, f.key, data, blob.PutOptions{
		IfMatch: info.ETag, Metadata: metadata, ContentType: "application/vnd.apache.parquet",
	})
	if err != nil {
		return 0, fmt.Errorf("writing %s: %w", f.key, err)
	}
	return dropped, nil
}
