package archive

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/penchant-io/penchant/pkg/blob"
)

const failuresRoot = "archive-errors/"

// Failure is a record that could not be archived as a row, with everything needed to repair and replay it.
type Failure struct {
	Topic     string            `json:"topic"`
	TopicID   string            `json:"topicId"` // hex
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Arrival   time.Time         `json:"arrival"`
	Key       []byte            `json:"key"`
	Value     []byte            `json:"value"`
	Headers   map[string][]byte `json:"headers,omitempty"`
	Reason    string            `json:"reason"`
}

// PutFailure stores the record under archive-errors/<group>/<topic id>/<partition>/<offset>.json. It is idempotent.
func PutFailure(ctx context.Context, b *blob.Bucket, group string, f Failure) error {
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding a failed record: %w", err)
	}
	if id, err := hex.DecodeString(f.TopicID); err != nil || len(id) != 16 {
		return fmt.Errorf("storing a failed record: %q is not a topic id", f.TopicID)
	}
	key := fmt.Sprintf("%s%s/%s/%05d/%020d.json", failuresRoot, group, f.TopicID, f.Partition, f.Offset)
	if _, err := b.Put(ctx, key, data, blob.PutOptions{ContentType: "application/json"}); err != nil {
		return fmt.Errorf("writing %s: %w", key, err)
	}
	return nil
}

// Failures lists a group's failed records.
func Failures(ctx context.Context, b *blob.Bucket, group string) iter.Seq2[Failure, error] {
	return func(yield func(Failure, error) bool) {
		for info, err := range b.List(ctx, failuresRoot+group+"/") {
			var f Failure
			if err == nil {
				f, err = readFailure(ctx, b, info.Key)
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func readFailure(ctx context.Context, b *blob.Bucket, key string) (f Failure, err error) {
	data, _, err := b.Get(ctx, key)
	if err != nil {
		return f, fmt.Errorf("reading %s: %w", key, err)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, &CorruptError{key, err}
	}
	return f, nil
}
