// Package archive keeps every record of a dataset group's topics in the bucket, exactly once, as Parquet files
// (pkg/eventfile) that other tools read too.
//
// The files of one partition form a chain:
//
//	archive/<group>/<type>/<topic id, hex>/<partition, 5 digits>/<first offset, 20 digits>.parquet
//
// A file's name is the offset after the previous file's last one, and nothing else. Its own last offset is in the
// object's metadata. It is written only if the name is free. So any writer, at any time, after any crash, can only put
// the one next file: two sinks that both believe they own a partition produce one sequence without gaps or overlaps,
// and the archive itself is the log of what has been archived. Names never depend on settings or time.
//
// The firehose appends; the retrainer, the session-updater's rebuild and the operator's commands read. Records that
// cannot be written as rows are kept under archive-errors/<group>/ with the reason.
package archive

import (
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/penchant-io/penchant/pkg/schema"
)

// MaxFileBytes bounds every archived object, so that one conditional put writes it whole and a reader can hold it.
const MaxFileBytes = 64 << 20

// Metadata of the objects.
const (
	metadataLast     = "penchant-last-offset"
	metadataRows     = "penchant-rows"
	metadataChecksum = "penchant-crc32c"
	metadataGap      = "penchant-gap-reason"
)

const (
	root   = "archive/"
	suffix = ".parquet"
)

// ChainID identifies the archive of one partition.
type ChainID struct {
	// Group is the dataset group's key.
	Group string
	Type  schema.Type
	// TopicID is Kafka's id of the topic. A topic that is created again under its old name has its own chain.
	TopicID   [16]byte
	Partition int32
}

// Prefix returns the prefix of the chain's objects, with a trailing slash.
func (id ChainID) Prefix() string {
	return fmt.Sprintf("%s%s/%s/%s/%05d/", root, id.Group, id.Type.Folder(), hex.EncodeToString(id.TopicID[:]),
		id.Partition)
}

func (id ChainID) key(first int64) string {
	return fmt.Sprintf("%s%020d%s", id.Prefix(), first, suffix)
}

// GroupPrefix returns the prefix of all chains of a dataset group.
func GroupPrefix(group string) string { return root + group + "/" }

func typePrefix(group string, t schema.Type) string { return GroupPrefix(group) + t.Folder() + "/" }

// parseKey is the inverse of key; ok is false for every other name.
func parseKey(key string) (id ChainID, first int64, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 6 {
		return ChainID{}, 0, false
	}
	id.Group = parts[1]
	if id.Type, ok = schema.TypeOfFolder(parts[2]); !ok {
		return ChainID{}, 0, false
	}
	topic, err := hex.DecodeString(parts[3])
	if err != nil || len(topic) != len(id.TopicID) {
		return ChainID{}, 0, false
	}
	copy(id.TopicID[:], topic)
	partition, err := strconv.ParseInt(parts[4], 10, 32)
	if err != nil {
		return ChainID{}, 0, false
	}
	id.Partition = int32(partition)
	first, err = strconv.ParseInt(strings.TrimSuffix(parts[5], suffix), 10, 64)
	if err != nil {
		return ChainID{}, 0, false
	}
	return id, first, first >= 0 && id.key(first) == key
}

// CorruptError means that an object of the archive cannot be read. Readers can skip it and continue.
type CorruptError struct {
	Key string
	Err error
}

// Error names the object and its damage.
func (e *CorruptError) Error() string { return fmt.Sprintf("reading %s: %v", e.Key, e.Err) }

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// lastOffset reads an object's last offset from its metadata.
func lastOffset(key string, first int64, metadata map[string]string) (int64, error) {
	last, err := strconv.ParseInt(metadata[metadataLast], 10, 64)
	if err != nil || last < first {
		return 0, &CorruptError{key, fmt.Errorf("metadata %s is %q", metadataLast, metadata[metadataLast])}
	}
	return last, nil
}

func checksum(data []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}
