package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventfile"
	"github.com/penchant-io/penchant/pkg/schema"
)

// Report is the result of Verify and Survey.
type Report struct {
	Chains, Files int
	Rows, Bytes   int64
	Gaps          []Gap
	Problems      []Problem
}

// Gap is a range of offsets that the log had lost before they could be archived.
type Gap struct {
	Chain       ChainID
	First, Last int64
	Reason      string
}

// Problem is a violation of the archive's rules.
type Problem struct {
	Key  string
	What ProblemKind
	// Detail is a sentence for the operator.
	Detail string
}

// ProblemKind classifies problems.
type ProblemKind string

// The kinds of problems of an object.
const (
	// Hole: between this file and the one before it offsets are missing.
	Hole ProblemKind = "hole"
	// Overlap: this file begins before the one before it ends.
	Overlap ProblemKind = "overlap"
	// Unreadable: the object or its metadata is damaged.
	Unreadable ProblemKind = "unreadable"
	// Misplaced: a row has an offset that its file does not cover, or its offsets do not ascend.
	Misplaced ProblemKind = "misplaced row"
	// Foreign: the object does not belong to the archive.
	Foreign ProblemKind = "foreign object"
)

// Verify reads a group's whole archive and checks that its chains have no gaps and no overlaps, and that every file can
// be read and holds what its name and metadata say. An error means that the check itself could not be finished.
func Verify(ctx context.Context, b *blob.Bucket, group string) (Report, error) {
	v := verification{bucket: b}
	for info, err := range b.List(ctx, GroupPrefix(group)) {
		if err != nil {
			return v.report, fmt.Errorf("listing the archive: %w", err)
		}
		if err := v.object(ctx, info); err != nil {
			return v.report, err
		}
	}
	return v.report, nil
}

type verification struct {
	bucket *blob.Bucket
	report Report
	chain  ChainID // of the object before
	next   int64   // offset at which the chain continues; -1 while unknown
}

// name checks a name against the one before. ok is false if it does not belong to the archive.
func (v *verification) name(info blob.Info) (id ChainID, first int64, ok bool) {
	id, first, ok = parseKey(info.Key)
	if !ok {
		v.problem(info.Key, Foreign, "its name is not <first offset, 20 digits>.parquet under type, topic id and partition")
		return id, first, false
	}
	if id != v.chain || v.report.Files == 0 {
		v.chain, v.next = id, 0
		v.report.Chains++
	}
	v.report.Files++
	v.report.Bytes += info.Size
	switch {
	case v.next >= 0 && first > v.next:
		v.problem(info.Key, Hole, fmt.Sprintf("offsets %d to %d are in no file", v.next, first-1))
	case first < v.next:
		v.problem(info.Key, Overlap, fmt.Sprintf("the file before covers offsets up to %d", v.next-1))
	}
	v.next = -1
	return id, first, true
}

// metadata reads where the file ends, and so where the next one must begin. last is -1 if the metadata is damaged.
func (v *verification) metadata(
	key string, id ChainID, first int64, metadata map[string]string,
) (last int64, err error) {
	last, err = lastOffset(key, first, metadata)
	if err != nil {
		return -1, v.unreadable(key, err)
	}
	v.next = last + 1
	if reason, ok := metadata[metadataGap]; ok {
		v.report.Gaps = append(v.report.Gaps, Gap{id, first, last, reason})
	}
	return last, nil
}

func (v *verification) object(ctx context.Context, info blob.Info) error {
	id, first, ok := v.name(info)
	if !ok {
		return nil
	}
	data, metadata, err := get(ctx, v.bucket, info.Key)
	if err != nil {
		return v.unreadable(info.Key, err)
	}
	last, err := v.metadata(info.Key, id, first, metadata)
	if err != nil || last < 0 {
		return err
	}
	v.rows(info.Key, id.Type, data, first, last)
	return nil
}

// rows checks the offsets of a file's rows.
func (v *verification) rows(key string, t schema.Type, data []byte, first, last int64) {
	previous := first - 1
	check := func(offset int64, err error) bool {
		if err != nil {
			v.problem(key, Unreadable, err.Error())
			return false
		}
		if offset <= previous || offset > last {
			v.problem(key, Misplaced, fmt.Sprintf("offset %d after %d in the file of %d to %d", offset, previous, first,
				last))
			return false
		}
		previous = offset
		v.report.Rows++
		return true
	}
	r, size := bytes.NewReader(data), int64(len(data))
	if t.IsInteractions() {
		for row, err := range eventfile.DecodeInteractions(r, size) {
			if !check(row.Origin.Offset, err) {
				return
			}
		}
		return
	}
	for row, err := range eventfile.DecodeEntities(r, size) {
		if !check(row.Origin.Offset, err) {
			return
		}
	}
}

// unreadable reports damage as a problem and returns every other error.
func (v *verification) unreadable(key string, err error) error {
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		v.problem(key, Unreadable, corrupt.Err.Error())
		return nil
	}
	return err
}

func (v *verification) problem(key string, what ProblemKind, detail string) {
	v.report.Problems = append(v.report.Problems, Problem{key, what, detail})
}
