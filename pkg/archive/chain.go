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

// ErrSuperseded means that another sink has written the file that was to be next, or that an earlier attempt of this
// sink succeeded after all. The chain has been read again: Next returns the first offset that is still missing.
var ErrSuperseded = errors.New("the archive has gone on without this writer")

// EncodeError means that rows could not be encoded as a file. Retrying does not help.
type EncodeError struct{ Err error }

// Error describes the cause.
func (e *EncodeError) Error() string { return fmt.Sprintf("encoding rows: %v", e.Err) }

// Unwrap returns the cause.
func (e *EncodeError) Unwrap() error { return e.Err }

// newestFiles is how many of the chain's newest files NewestEventIDs reads back.
const newestFiles = 100

// Chain appends to the archive of one partition. It is not safe for concurrent use; any number of Chains, in any number
// of processes, may append to the same partition.
type Chain struct {
	bucket       *blob.Bucket
	id           ChainID
	next         int64
	newest       []string // keys, oldest first
	files, bytes int64
	maxBytes     int // of a file: MaxFileBytes, or less in tests
}

// OpenChain finds the chain's end in the bucket. A partition that was never archived begins at offset 0.
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

// Next returns the first offset that the archive does not have.
func (c *Chain) Next() int64 { return c.next }

// Written returns how many files and bytes this Chain has put.
func (c *Chain) Written() (files, bytes int64) { return c.files, c.bytes }

// AppendInteractions writes the file that covers the offsets from Next to last. rows are the records worth keeping, in
// the order of their offsets, and may be empty. Rows that take more than MaxFileBytes become several files, so after an
// error Next may have moved. The errors to act on are ErrSuperseded and *EncodeError.
func (c *Chain) AppendInteractions(ctx context.Context, s *schema.Schema, rows []reco.Interaction, last int64) error {
	a := appender[reco.Interaction]{chain: c, format: interactionRows, schema: c.schema(s)}
	return a.append(ctx, rows, last)
}

// AppendEntities does the same for items, users and actions.
func (c *Chain) AppendEntities(ctx context.Context, s *schema.Schema, rows []reco.Entity, last int64) error {
	a := appender[reco.Entity]{chain: c, format: entityRows, schema: c.schema(s)}
	return a.append(ctx, rows, last)
}

// AppendGap closes the offsets from Next to last, which the log no longer has, with an empty file that holds the
// reason.
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

// NewestEventIDs reads back the event ids of at most a hundred of the chain's newest files, the newest file first. The
// ids of one file come together, in the order of their offsets.
func (c *Chain) NewestEventIDs(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for _, key := range slices.Backward(slices.Clone(c.newest)) {
			var ids []string
			var failed error
			for row, err := range rows(ctx, c.bucket, key, interactionRows, nil) {
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

// appender appends rows of one format to a chain.
type appender[T any] struct {
	chain  *Chain
	format rowFormat[T]
	schema *schema.Schema
}

func (a *appender[T]) append(ctx context.Context, rows []T, last int64) error {
	// These checks keep a caller's mistake from becoming a permanent gap or overlap.
	c := a.chain
	if last < c.next {
		return fmt.Errorf("appending up to offset %d: the archive goes to %d already", last, c.next-1)
	}
	previous := c.next - 1
	for i := range rows {
		o := a.format.origin(&rows[i]).Offset
		if o <= previous || o > last {
			return fmt.Errorf("appending offset %d after %d in a file that ends at %d", o, previous, last)
		}
		previous = o
	}
	data, err := a.format.encode(a.schema, rows)
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
	if err := a.append(ctx, rows[:half], a.format.origin(&rows[half-1]).Offset); err != nil {
		return err
	}
	return a.append(ctx, rows[half:], last)
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
		// The object may exist nevertheless. Then the next attempt finds the name taken and catches up with itself.
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

// last looks up the last offset of the file that begins at first.
func (c *Chain) last(ctx context.Context, first int64) (int64, error) {
	key := c.id.key(first)
	info, err := c.bucket.Head(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("looking up the last offset of %s: %w", key, err)
	}
	return lastOffset(key, first, info.Metadata)
}

func (c *Chain) remember(key string) {
	if len(c.newest) == newestFiles {
		c.newest = append(c.newest[:0], c.newest[1:]...)
	}
	c.newest = append(c.newest, key)
}

// emptyFile returns a file without rows. It is as readable as any other, for tools that read all files of a prefix.
func (c *Chain) emptyFile() ([]byte, error) {
	if c.id.Type.IsInteractions() {
		return eventfile.EncodeInteractions(c.schema(nil), nil)
	}
	return eventfile.EncodeEntities(c.schema(nil), nil)
}

// schema returns s, or a schema that at least names the id column where the dataset's own is not known.
func (c *Chain) schema(s *schema.Schema) *schema.Schema {
	if s != nil {
		return s
	}
	return &schema.Schema{Type: c.id.Type}
}

// printable makes a reason fit into an object's metadata, which are HTTP headers.
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
