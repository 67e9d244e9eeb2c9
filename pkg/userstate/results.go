package userstate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"
)

// Results of batch jobs, for looking up by id: a named set of a dataset group holds those of the newest job that was
// told to load them.
//
// A load is written into hashes of its own, `{<group>:r:<load>:<n>}`, each with some hundred results by id and with an
// expiry. The hash `{<group>:results}` names the current load of each set. It is changed when the load is complete, so
// a reader finds all of the former results or all of the new ones; then the former load's hashes go.

// ErrNoResultSet means that a dataset group has no current results of a name: none were loaded, they have expired, or
// Redis has lost them.
var ErrNoResultSet = errors.New("no such result set")

// ErrNoResult means that a result set has nothing for an id.
var ErrNoResult = errors.New("no such result")

// resultsPerBucket is about how many results share a hash.
const resultsPerBucket = 256

// ResultSet is one load of a job's results.
type ResultSet struct {
	// Job is the ARN of the job, Created when it was created: of two loads under one name that of the newer job stays.
	Job     string    `json:"job"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Load is a text that no other job's load has. Loading the same again changes nothing.
	Load string `json:"load"`
	// Results is how many there are at most. It must be the same in each try of a load.
	Results int `json:"results"`
}

// Result is what was computed for one id.
type Result struct {
	ID    string
	Value []byte
}

func resultSetsKey(group string) string { return "{" + group + ":results}" }

func (r *ResultSet) buckets() int { return r.Results/resultsPerBucket + 1 }

func (r *ResultSet) key(group string, bucket int) string {
	return "{" + group + ":r:" + r.Load + ":" + strconv.Itoa(bucket) + "}"
}

func (r *ResultSet) keyOf(group, id string) string {
	return r.key(group, int(xxhash.Sum64String(id)%uint64(r.buckets())))
}

// PutResults writes some results of a load that is not published yet. Of several of one id the last counts.
func (s *Store) PutResults(ctx context.Context, group string, set *ResultSet, results []Result) error {
	for chunk := range slices.Chunk(results, perPipeline) {
		fields := map[string][]any{}
		for _, r := range chunk {
			key := set.keyOf(group, r.ID)
			fields[key] = append(fields[key], r.ID, r.Value)
		}
		pipe := s.writer.Pipeline()
		for key, pairs := range fields {
			pipe.HSet(ctx, key, pairs...)
			pipe.ExpireAt(ctx, key, set.Expires)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
	}
	return nil
}

// switchScript sets a field that still has the expected value, and answers 1; else 0.
const switchScript = `
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`

// PublishResults makes a load, all of which was put, the current one of a name, and removes the one that was. It
// reports false, and removes the new one, where the name has a newer job's results.
func (s *Store) PublishResults(ctx context.Context, group, name string, set *ResultSet) (bool, error) {
	next, err := json.Marshal(set)
	if err != nil {
		return false, fmt.Errorf("encoding a result set: %w", err)
	}
	for {
		former, text, err := s.resultSet(ctx, s.writer, group, name)
		if err != nil && !errors.Is(err, ErrNoResultSet) {
			return false, err
		}
		if err == nil && former.Created.After(set.Created) {
			return false, s.dropResults(ctx, group, set)
		}
		answers, err := s.runScript(ctx, s.change, switchScript,
			[]call{{[]string{resultSetsKey(group)}, []any{name, text, next}}})
		if err != nil {
			return false, fmt.Errorf("publishing results: %w", err)
		}
		if answers[0] != int64(1) {
			continue // another job was faster
		}
		if former == nil || former.Load == set.Load {
			return true, nil
		}
		return true, s.dropResults(ctx, group, former)
	}
}

func (s *Store) dropResults(ctx context.Context, group string, set *ResultSet) error {
	for from := 0; from < set.buckets(); from += perPipeline {
		pipe := s.writer.Pipeline()
		for n := from; n < min(from+perPipeline, set.buckets()); n++ {
			pipe.Unlink(ctx, set.key(group, n))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("removing former results: %w", err)
		}
	}
	return nil
}

// resultSet reads what is current under a name, and the text it is stored as. An expired one is returned with
// ErrNoResultSet.
func (s *Store) resultSet(
	ctx context.Context, client redis.Cmdable, group, name string,
) (set *ResultSet, text string, err error) {
	text, err = client.HGet(ctx, resultSetsKey(group), name).Result()
	if errors.Is(err, redis.Nil) {
		return nil, "", ErrNoResultSet
	}
	if err != nil {
		return nil, "", fmt.Errorf("finding results: %w", err)
	}
	set = new(ResultSet)
	if err := json.Unmarshal([]byte(text), set); err != nil {
		return nil, "", fmt.Errorf("decoding a result set: %w", err)
	}
	if !time.Now().Before(set.Expires) {
		return set, text, ErrNoResultSet
	}
	return set, text, nil
}

// FindResult looks up what the current load of a name has for an id.
func (s *Store) FindResult(ctx context.Context, group, name, id string) ([]byte, *ResultSet, error) {
	set, _, err := s.resultSet(ctx, s.reader, group, name)
	for err == nil {
		var value []byte
		value, err = s.reader.HGet(ctx, set.keyOf(group, id), id).Bytes()
		if err == nil {
			return value, set, nil
		}
		if !errors.Is(err, redis.Nil) {
			return nil, nil, fmt.Errorf("reading a result: %w", err)
		}
		// Nothing, or another load has replaced this one in between.
		looked := set
		if set, _, err = s.resultSet(ctx, s.reader, group, name); err == nil && set.Load == looked.Load {
			return nil, set, ErrNoResult
		}
	}
	return nil, nil, err
}

// DeleteResults removes the results of ids from all sets of a group.
func (s *Store) DeleteResults(ctx context.Context, group string, ids []string) error {
	names, err := s.writer.HKeys(ctx, resultSetsKey(group)).Result()
	if err != nil {
		return fmt.Errorf("listing result sets: %w", err)
	}
	for _, name := range names {
		set, _, err := s.resultSet(ctx, s.writer, group, name)
		if errors.Is(err, ErrNoResultSet) {
			continue
		}
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(ids, perPipeline) {
			pipe := s.writer.Pipeline()
			for _, id := range chunk {
				pipe.HDel(ctx, set.keyOf(group, id), id)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return fmt.Errorf("deleting results: %w", err)
			}
		}
	}
	return nil
}
