package archive

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/blob"
)

// ChainState describes the archive of one partition.
type ChainState struct {
	ID           ChainID
	Files        int
	Bytes        int64
	Next         int64     // the first offset that the archive does not have
	LastModified time.Time // when the newest file was written
}

// Chains returns the state of each of a group's chains, in the order of their keys. It takes one listing, and one
// request for the newest file of each chain. A newest file with damaged metadata is a *CorruptError.
func Chains(ctx context.Context, b *blob.Bucket, group string) ([]ChainState, error) {
	var chains []ChainState
	var firsts []int64 // of each chain's newest file
	for info, err := range b.List(ctx, GroupPrefix(group)) {
		if err != nil {
			return nil, fmt.Errorf("listing the archive: %w", err)
		}
		id, first, ok := parseKey(info.Key)
		if !ok {
			continue
		}
		if len(chains) == 0 || chains[len(chains)-1].ID != id {
			chains, firsts = append(chains, ChainState{ID: id}), append(firsts, 0)
		}
		newest := len(chains) - 1
		chain := &chains[newest]
		chain.Files++
		chain.Bytes += info.Size
		chain.LastModified, firsts[newest] = info.LastModified, first
	}
	heads, ctx := errgroup.WithContext(ctx)
	heads.SetLimit(parallelHeads)
	for k := range chains {
		heads.Go(func() error {
			key := chains[k].ID.key(firsts[k])
			info, err := b.Head(ctx, key)
			if err != nil {
				return fmt.Errorf("looking up the last offset of %s: %w", key, err)
			}
			last, err := lastOffset(key, firsts[k], info.Metadata)
			chains[k].Next = last + 1
			return err
		})
	}
	if err := heads.Wait(); err != nil {
		return nil, err
	}
	return chains, nil
}

// parallelHeads bounds the requests for metadata at one time.
const parallelHeads = 16

// Survey is Verify by names and metadata alone: it finds holes, overlaps, gaps and foreign objects without reading the
// files, so it does not see damage and misplaced rows. It takes the number of rows from the metadata.
func Survey(ctx context.Context, b *blob.Bucket, group string) (Report, error) {
	v := verification{bucket: b}
	var (
		listed   []blob.Info
		metadata []map[string]string
	)
	for info, err := range b.List(ctx, GroupPrefix(group)) {
		if err != nil {
			return v.report, fmt.Errorf("listing the archive: %w", err)
		}
		listed = append(listed, info)
	}
	metadata = make([]map[string]string, len(listed))
	heads, headsCtx := errgroup.WithContext(ctx)
	heads.SetLimit(parallelHeads)
	for k, info := range listed {
		if _, _, ok := parseKey(info.Key); !ok {
			continue
		}
		heads.Go(func() error {
			found, err := b.Head(headsCtx, info.Key)
			if err != nil {
				return fmt.Errorf("reading the metadata of %s: %w", info.Key, err)
			}
			metadata[k] = found.Metadata
			return nil
		})
	}
	if err := heads.Wait(); err != nil {
		return v.report, err
	}
	for k, info := range listed {
		id, first, ok := v.name(info)
		if !ok {
			continue
		}
		if _, err := v.metadata(info.Key, id, first, metadata[k]); err != nil {
			return v.report, err
		}
		if rows, err := strconv.ParseInt(metadata[k][metadataRows], 10, 64); err == nil {
			v.report.Rows += rows
		}
	}
	return v.report, nil
}
