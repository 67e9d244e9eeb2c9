package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/penchant-io/penchant/pkg/blob"
)

// Forgotten remembers whose events are deleted from everything that can be written: a topic of Kafka cannot, and holds
// them until its retention has passed. Who folds records of a topic again, after a loss, leaves out those of forgotten
// users below the cut.
//
// It stands in deletions/<group>/<name>.json, named after the job that deletes and the kind of the topic. It holds
// hashes of the ids, no ids.
type Forgotten struct {
	// Topic is the id of a topic of interactions, and Cut the first offset of each of its partitions that counts again.
	Topic [16]byte        `json:"topic"`
	Cut   map[int32]int64 `json:"cut"`
	// Users are hashes of users' and sessions' ids.
	Users [][]byte `json:"users"`

	index map[userHash]struct{}
}

type userHash [16]byte

func hashUser(id string) userHash {
	sum := sha256.Sum256([]byte(id))
	return userHash(sum[:16])
}

func forgottenPrefix(group string) string { return "deletions/" + group + "/" }

// Add takes a user's or a session's id.
func (f *Forgotten) Add(id string) {
	hash := hashUser(id)
	f.Users = append(f.Users, hash[:])
}

// Has reports whether a record of the user's, or the session's, is to be left out.
func (f *Forgotten) Has(id string, partition int32, offset int64) bool {
	if offset >= f.Cut[partition] {
		return false
	}
	_, forgotten := f.index[hashUser(id)]
	return forgotten
}

// Save writes it under a name.
func (f *Forgotten) Save(ctx context.Context, b *blob.Bucket, group, name string) error {
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding whom to forget: %w", err)
	}
	_, err = b.Put(ctx, forgottenPrefix(group)+name+".json", data, blob.PutOptions{ContentType: "application/json"})
	return err
}

// LoadForgotten reads all that speak of offsets of a partition which the log still has, from start on.
func LoadForgotten(
	ctx context.Context, b *blob.Bucket, group string, topic [16]byte, partition int32, start int64,
) ([]*Forgotten, error) {
	var all []*Forgotten
	for info, err := range b.List(ctx, forgottenPrefix(group)) {
		if err != nil {
			return nil, fmt.Errorf("looking whom to forget: %w", err)
		}
		data, _, err := b.Get(ctx, info.Key)
		if err != nil {
			return nil, fmt.Errorf("reading whom to forget: %w", err)
		}
		f := &Forgotten{}
		if err := json.Unmarshal(data, f); err != nil {
			return nil, fmt.Errorf("decoding %s: %w", info.Key, err)
		}
		if f.Topic != topic || f.Cut[partition] <= start {
			continue
		}
		f.index = make(map[userHash]struct{}, len(f.Users))
		for _, hash := range f.Users {
			if len(hash) == len(userHash{}) {
				f.index[userHash(hash)] = struct{}{}
			}
		}
		f.Users = nil
		all = append(all, f)
	}
	return all, nil
}
