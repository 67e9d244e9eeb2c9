package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventfile"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Rewriting is the one thing that changes archived files: it takes records out of them whose owner wants them gone. A file
// keeps its name and the offsets that it covers, so chains, sinks and readers see no difference but the missing rows. Each
// file is replaced by one conditional put. It may be repeated, and go on beside everything else.

// RewriteInteractions takes the interactions out of a group's archive that drop says true to, and gives their number. A
// damaged file is a *CorruptError: nobody can say whom it holds.
func RewriteInteractions(ctx context.Context, b *blob.Bucket, group string, t schema.Type, drop func(*reco.Interaction) bool) (dropped int64, err error) {
	return rewriteFiles(ctx, b, typePrefix(group, t), eventfile.DecodeInteractions, func(i *reco.Interaction) *reco.Origin { return &i.Origin }, drop,
		func(rows []reco.Interaction) ([]byte, error) { return eventfile.EncodeInteractions(nil, rows) })
}

// RewriteUsers does the same for users.
func RewriteUsers(ctx context.Context, b *blob.Bucket, group string, drop func(*reco.Entity) bool) (dropped int64, err error) {
	return rewriteFiles(ctx, b, typePrefix(group, schema.Users), eventfile.DecodeEntities, func(e *reco.Entity) *reco.Origin { return &e.Origin }, drop,
		func(rows []reco.Entity) ([]byte, error) {
			return eventfile.EncodeEntities(&schema.Schema{Type: schema.Users}, rows)
		})
}

func rewriteFiles[T any](ctx context.Context, b *blob.Bucket, prefix string, decode decoder[T], origin func(*T) *reco.Origin, drop func(*T) bool, encode func([]T) ([]byte, error)) (dropped int64, err error) {
	for f, err := range files(ctx, b, prefix, ReadOptions{}) {
		if err != nil {
			return dropped, err
		}
		n, err := rewriteFile(ctx, b, f, decode, func(row *T) bool {
			o := origin(row)
			o.TopicID, o.Partition = f.id.TopicID, f.id.Partition
			return drop(row)
		}, encode)
		dropped += n
		if err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// rewriteFile replaces one file, unless nothing is to go.
func rewriteFile[T any](ctx context.Context, b *blob.Bucket, f file, decode decoder[T], drop func(*T) bool, encode func([]T) ([]byte, error)) (dropped int64, err error) {
	data, info, err := b.Get(ctx, f.key)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", f.key, err)
	}
	if want, ok := info.Metadata[metadataChecksum]; ok && want != checksum(data) {
		return 0, &CorruptError{f.key, errors.New("the checksum is not the one it was written with")}
	}
	var kept []T
	for row, err := range decode(bytes.NewReader(data), int64(len(data))) {
		if err != nil {
			return 0, &CorruptError{f.key, err}
		}
		if drop(&row) {
			dropped++
		} else {
			kept = append(kept, row)
		}
	}
	if dropped == 0 {
		return 0, nil
	}
	if data, err = encode(kept); err != nil {
		return 0, &EncodeError{err}
	}
	metadata := maps.Clone(info.Metadata)
	metadata[metadataRows], metadata[metadataChecksum] = strconv.Itoa(len(kept)), checksum(data)
	_, err = b.Put(ctx, f.key, data, blob.PutOptions{IfMatch: info.ETag, Metadata: metadata, ContentType: "application/vnd.apache.parquet"})
	if err != nil {
		return 0, fmt.Errorf("writing %s: %w", f.key, err)
	}
	return dropped, nil
}
