package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/penchant-io/penchant/pkg/blob"
	"github.com/penchant-io/penchant/pkg/eventfile"
	"github.com/penchant-io/penchant/pkg/reco"
	"github.com/penchant-io/penchant/pkg/schema"
)

// ErrSuperseded says that another sink has written the file that was to be next, or that an earlier attempt of this one
// had succeeded after all. The chain has been read again: Next says what is still missing.
var ErrSuperseded = errors.New("the archive has gone on without this writer")

// EncodeError says that rows could not be made into a file. Trying again does not help.
type EncodeError struct{ Err error }

// Error gives the cause in words.
func (e *EncodeError) Error() string { return fmt.Sprintf("encoding rows: %v", e.Err) }

// Unwrap gives the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

// newestFiles is how many of the chain's newest files Newest can read back.
const newestFiles = 100

// Chain appends to the archive of one partition. It is not safe for concurrent use; any number of Chains, in any number
// of processes, may append to the same partition.
type Chain struct {
	bucket       *blob.Bucket
	id           ChainID
	next         int64
	newest       []string // keys, oldest first
	files, bytes int64
	maxBytes     int // of a file: MaxFileBytes, less in tests
}

// OpenChain finds the chain's end in the bucket; a partition that was never archived begins at offset 0.
func OpenChain(ctx context.Context, b *blob.Bucket, id ChainID) (*Chain, error) {
	c := &Chain{bucket: b, id: id, maxBytes: MaxFileBytes}
	var first int64
	for info, err := range b.List(ctx, id.Prefix()) {
		if err != nil {
			return nil, fmt.Errorf("listing the archive of partition %d: %w", id.Partition, err)
		}
		if _, offset, ok := parseKey(info.Key); ok {
			first = offset
			c.remember(info.Key)
		}
	}
	if len(c.newest) == 0 {
		return c, nil
	}
	last, err := c.last(ctx, first)
	if err != nil {
		return nil, err
	}
	c.next = last + 1
	return c, nil
}

// Next is the first offset that the archive does not have.
func (c *Chain) Next() int64 { return c.next }

// Written counts the files and bytes that this Chain has put.
func (c *Chain) Written() (files, bytes int64) { return c.files, c.bytes }

// AppendInteractions writes the file that covers the offsets from Next to last, of which rows are the records worth keeping, in
// the order of their offsets; they may be none. Rows that make more than MaxFileBytes become several files, so after an
// error Next may have moved. The errors to act on are ErrSuperseded and *EncodeError.
func (c *Chain) AppendInteractions(ctx context.Context, s *schema.Schema, rows []reco.Interaction, last int64) error {
	return appendRows(ctx, c, rows, last,
		func(i *reco.Interaction) int64 { return i.Origin.Offset },
		func(rows []reco.Interaction) ([]byte, error) { return eventfile.EncodeInteractions(c.schema(s), rows) })
}

// AppendEntities does the same for items, users and actions.
func (c *Chain) AppendEntities(ctx context.Context, s *schema.Schema, rows []reco.Entity, last int64) error {
	return appendRows(ctx, c, rows, last,
		func(e *reco.Entity) int64 { return e.Origin.Offset },
		func(rows []reco.Entity) ([]byte, error) { return eventfile.EncodeEntities(c.schema(s), rows) })
}

// AppendGap closes the offsets from Next to last, which the log no longer has, by an empty file that says why.
func (c *Chain) AppendGap(ctx context.Context, last int64, reason string) error {
	if last < c.next {
		return fmt.Errorf("closing a gap up to offset %d: the archive goes to %d already", last, c.next-1)
	}
	data, err := c.emptyFile()
	if err != nil {
		return &EncodeError{err}
	}
	return c.put(ctx, data, 0, last, map[string]string{metadataGap: printable(reason)})
}

// NewestEventIDs reads the event ids in the chain's newest files back, at most a hundred files, the newest first; the ids
// of one file come together, in the order of their offsets.
func (c *Chain) NewestEventIDs(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for _, key := range slices.Backward(slices.Clone(c.newest)) {
			var ids []string
			var failed error
			for row, err := range rows(ctx, c.bucket, key, eventfile.DecodeInteractions, nil) {
				if err != nil {
					failed = err
					break
				}
				ids = append(ids, row.EventID)
			}
			if !yield(ids, failed) {
				return
			}
		}
	}
}

func appendRows[T any](ctx context.Context, c *Chain, rows []T, last int64, offset func(*T) int64, encode func([]T) ([]byte, error)) error {
	// These checks are what keeps a caller's mistake from becoming a gap or an overlap for ever.
	if last < c.next {
		return fmt.Errorf("appending up to offset %d: the archive goes to %d already", last, c.next-1)
	}
	previous := c.next - 1
	for i := range rows {
		if o := offset(&rows[i]); o <= previous || o > last {
			return fmt.Errorf("appending offset %d after %d in a file that ends at %d", o, previous, last)
		}
		previous = offset(&rows[i])
	}
	data, err := encode(rows)
	if err != nil {
		return &EncodeError{err}
	}
	if len(data) <= c.maxBytes {
		return c.put(ctx, data, len(rows), last, nil)
	}
	if len(rows) < 2 {
		return &EncodeError{fmt.Errorf("one row takes %d bytes", len(data))}
	}
	half := len(rows) / 2
	if err := appendRows(ctx, c, rows[:half], offset(&rows[half-1]), offset, encode); err != nil {
		return err
	}
	return appendRows(ctx, c, rows[half:], last, offset, encode)
}

// put writes the next file if its name is free.
func (c *Chain) put(ctx context.Context, data []byte, rows int, last int64, metadata map[string]string) error {
	key := c.id.key(c.next)
	all := map[string]string{
		metadataLast:     strconv.FormatInt(last, 10),
		metadataRows:     strconv.Itoa(rows),
		metadataChecksum: checksum(data),
	}
	for name, value := range metadata {
		all[name] = value
	}
	_, err := c.bucket.Put(ctx, key, data, blob.PutOptions{
		IfAbsent: true, Metadata: all, ContentType: "application/vnd.apache.parquet",
	})
	if errors.Is(err, blob.ErrPrecondition) {
		if err := c.catchUp(ctx); err != nil {
			return err
		}
		return ErrSuperseded
	}
	if err != nil {
		// The object may be there nevertheless; then the next attempt finds the name taken and catches up with itself.
		return fmt.Errorf("writing %s: %w", key, err)
	}
	c.files++
	c.bytes += int64(len(data))
	c.remember(key)
	c.next = last + 1
	return nil
}

// catchUp follows the chain from Next to its end.
func (c *Chain) catchUp(ctx context.Context) error {
	for {
		last, err := c.last(ctx, c.next)
		if errors.Is(err, blob.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		c.remember(c.id.key(c.next))
		c.next = last + 1
	}
}

// last asks for the last offset of the file that begins at first.
func (c *Chain) last(ctx context.Context, first int64) (int64, error) {
	key := c.id.key(first)
	info, err := c.bucket.Head(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("asking for the last offset of %s: %w", key, err)
	}
	return lastOffset(key, first, info.Metadata)
}

func (c *Chain) remember(key string) {
	if len(c.newest) == newestFiles {
		c.newest = append(c.newest[:0], c.newest[1:]...)
	}
	c.newest = append(c.newest, key)
}

// emptyFile is readable like every other one: tools that read all files of a prefix do not stumble over it.
func (c *Chain) emptyFile() ([]byte, error) {
	if c.id.Type.IsInteractions() {
		return eventfile.EncodeInteractions(c.schema(nil), nil)
	}
	return eventfile.EncodeEntities(c.schema(nil), nil)
}

// schema names at least the id column right where the dataset's schema is not known.
func (c *Chain) schema(s *schema.Schema) *schema.Schema {
	if s != nil {
		return s
	}
	return &schema.Schema{Type: c.id.Type}
}

// printable makes a reason fit for an object's metadata, which are HTTP headers.
func printable(reason string) string {
	const longest = 500
	reason = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, reason)
	return reason[:min(len(reason), longest)]
}
