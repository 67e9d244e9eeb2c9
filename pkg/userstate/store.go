package userstate

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"github.com/penchant-io/penchant/pkg/schema"
)

// Options are the settings of a Store; zero values mean the defaults. Every process of an installation must have
// the same History and Sessions.
type Options struct {
	// History is how many of a user's newest interactions are kept, of streamed and of imported ones each: 200 by
	// default. A state takes about 30 bytes plus the texts for each, in Redis and on the wire.
	History int `name:"user-history" default:"200" help:"Recent interactions kept for each user."`
	// Sessions is how many linked sessions are kept: 20 by default. Each costs a reader one more key.
	Sessions int `kong:"-"`
	// TTL is how long a user is kept after their newest event arrived; 0 keeps users forever. It must not be shorter
	// than the log's retention. Users with imported interactions are kept as long as they have some.
	TTL time.Duration `name:"user-ttl" default:"0s" help:"Forget the state of a user who was idle this long. 0: never."`
	// PoolSize is the largest number of connections (to each node); 0 is ten for each CPU.
	PoolSize int `kong:"-"`
}

// Store reads and writes user states and watermarks. It is safe for concurrent use.
type Store struct {
	// reader retries after a failed connection. writer, which reads what is then written as well, does not: between
	// two tries Redis may have been restarted from an older dump, and what follows would hide the loss of what went
	// before.
	reader, writer redis.UniversalClient

	keep    bounds
	ttl     time.Duration
	perCall int // keys in one call of the save script

	save, advance, change *redis.Script

	flight singleflight.Group // readings of watermarks, by group
	mu     sync.Mutex
	marks  map[string]reading // the newest of them, by group
}

const (
	// perPipeline bounds the users in one pipeline: some megabytes of states.
	perPipeline = 512
	// perCall is where more keys a call gain nothing, and Redis is not held up for long.
	perCall = 32
)

// Open returns a store for a URL: redis:// or rediss:// (TLS), with user, password and database number. `?cluster=true`
// or further `addr=host:port` parameters say that it is a Redis Cluster. Nothing is dialled yet: see Ping.
func Open(_ context.Context, rawURL string, opts Options) (*Store, error) {
	reader, cluster, err := newClient(rawURL, opts.PoolSize, true)
	if err != nil {
		return nil, fmt.Errorf("reading the Redis URL: %w", err)
	}
	writer, _, err := newClient(rawURL, opts.PoolSize, false)
	if err != nil {
		return nil, fmt.Errorf("reading the Redis URL: %w", err)
	}
	s := &Store{
		reader: reader, writer: writer, ttl: opts.TTL, perCall: perCall,
		keep: bounds{
			recent: cmp.Or(opts.History, schema.Interactions.History()), sessions: cmp.Or(opts.Sessions, 20),
			actions: schema.ActionInteractions.History(),
		},
		save: redis.NewScript(saveScript), advance: redis.NewScript(advanceScript),
		change: redis.NewScript(switchScript),
		marks:  map[string]reading{},
	}
	if cluster {
		s.perCall = 1
	}
	return s, nil
}

// The library logs failures on stderr, in a form of its own, that it returns as errors as well.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func newClient(rawURL string, poolSize int, retry bool) (client redis.UniversalClient, cluster bool, err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The parser's message repeats the URL, which may hold a password.
		return nil, false, errors.New("it is not a URL")
	}
	query := u.Query()
	if query.Has("cluster") {
		if cluster, err = strconv.ParseBool(query.Get("cluster")); err != nil {
			return nil, false, errors.New("its parameter cluster must be true or false")
		}
		query.Del("cluster")
		u.RawQuery = query.Encode()
	}
	if cluster || query.Has("addr") {
		o, err := redis.ParseClusterURL(u.String())
		if err != nil {
			return nil, false, err
		}
		o.ContextTimeoutEnabled = true
		if !retry {
			o.MaxRetries = -1
		}
		if poolSize > 0 {
			o.PoolSize = poolSize
		}
		return redis.NewClusterClient(o), true, nil
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, false, err
	}
	o.ContextTimeoutEnabled = true
	if !retry {
		o.MaxRetries = -1
	}
	if poolSize > 0 {
		o.PoolSize = poolSize
	}
	return redis.NewClient(o), false, nil
}

// Close closes the connections.
func (s *Store) Close() error { return errors.Join(s.reader.Close(), s.writer.Close()) }

// History is how many of a user's newest interactions of a type are kept.
func (s *Store) History(t schema.Type) int { return s.keep.of(t) }

// Ping returns an error unless Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.reader.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("pinging Redis: %w", err)
	}
	return nil
}

// Load returns one state per id, in order. An unknown user gets an empty state.
func (s *Store) Load(ctx context.Context, group string, ids []string) ([]*State, error) {
	states := make([]*State, 0, len(ids))
	for chunk := range slices.Chunk(ids, perPipeline) {
		hashes, err := s.readHashes(ctx, group, chunk)
		if err != nil {
			return nil, err
		}
		for k, id := range chunk {
			state, err := s.parse(id, hashes[k])
			if err != nil {
				return nil, err
			}
			states = append(states, state)
		}
	}
	return states, nil
}

// readHashes reads whole hashes in one pipeline.
func (s *Store) readHashes(ctx context.Context, group string, ids []string) ([]map[string]string, error) {
	pipe := s.writer.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(ids))
	for k, id := range ids {
		cmds[k] = pipe.HGetAll(ctx, userKey(group, id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("reading user states: %w", err)
	}
	hashes := make([]map[string]string, len(ids))
	for k, cmd := range cmds {
		hashes[k] = cmd.Val()
	}
	return hashes, nil
}

func (s *Store) parse(id string, hash map[string]string) (*State, error) {
	state := &State{ID: id, keep: s.keep, rev: hash[revField]}
	if err := state.decode(hash[stateField]); err != nil {
		return nil, err
	}
	if err := state.decodeActions(hash[actionsField]); err != nil {
		return nil, err
	}
	for name := range hash {
		if strings.HasPrefix(name, vectorPrefix) {
			state.stored = append(state.stored, name)
		}
	}
	return state, nil
}

// Save writes the states that changed, each whole and only if nobody else wrote it since Load: with its Vectors, and
// without the vectors of other models. It returns those that another writer changed, for the caller to load and fold
// again. After an error some may have been written; folding and saving the same again is harmless.
func (s *Store) Save(ctx context.Context, group string, states []*State) (conflicts []*State, err error) {
	changed := make([]*State, 0, len(states))
	for _, state := range states {
		if state.changed {
			changed = append(changed, state)
		}
	}
	for chunk := range slices.Chunk(changed, perPipeline) {
		lost, err := s.saveChunk(ctx, group, chunk)
		if err != nil {
			return nil, fmt.Errorf("writing user states: %w", err)
		}
		conflicts = append(conflicts, lost...)
	}
	return conflicts, nil
}

func (s *Store) saveChunk(ctx context.Context, group string, states []*State) (conflicts []*State, err error) {
	var (
		calls []call
		revs  = make([]string, len(states))
	)
	for k, state := range states {
		if k%s.perCall == 0 {
			calls = append(calls, call{})
		}
		c := &calls[len(calls)-1]
		revs[k] = newRev()
		c.keys = append(c.keys, userKey(group, state.ID))
		c.args = s.appendSave(c.args, state, revs[k])
	}
	answers, err := s.runScript(ctx, s.save, saveScript, calls)
	if err != nil {
		return nil, err
	}
	for k, state := range states {
		done, ok := answers[k/s.perCall].([]any)
		if !ok || len(done) <= k%s.perCall {
			return nil, fmt.Errorf("the save script gave an unexpected answer of type %T", answers[k/s.perCall])
		}
		if done[k%s.perCall] != int64(1) {
			conflicts = append(conflicts, state)
			continue
		}
		state.saved(revs[k])
	}
	return conflicts, nil
}

// appendSave appends the save script's arguments for one state.
func (s *Store) appendSave(args []any, state *State, rev string) []any {
	var dropped, written []any
	for _, name := range state.stored {
		if _, kept := state.Vectors[name[len(vectorPrefix):]]; !kept {
			dropped = append(dropped, name)
		}
	}
	for model, vector := range state.Vectors {
		written = append(written, vectorPrefix+model, encodeVector(rev, vector))
	}
	if state.actions.changed {
		written = append(written, actionsField, state.encodeActions())
	}
	args = append(args, state.rev, rev, state.encode(), s.expiry(state), len(written)/2, len(dropped))
	return append(append(args, written...), dropped...)
}

// expiry returns the save script's argument of that name.
func (s *Store) expiry(state *State) string {
	switch {
	case s.ttl <= 0:
		return ""
	case state.HasImported() || state.lastArrivalMS == 0:
		return "0"
	}
	return strconv.FormatInt(state.LastArrival().Add(s.ttl).Unix(), 10)
}

// saved updates the state to what the hash holds now.
func (s *State) saved(rev string) {
	s.rev, s.changed = rev, false
	s.stored = s.stored[:0]
	s.items.changed, s.actions.changed = false, false
	for model := range s.Vectors {
		s.stored = append(s.stored, vectorPrefix+model)
	}
}

// newRev returns a guard that no other write has: a counter would come to the same value again after Redis lost the
// hash, and let a write through that was folded from what was lost.
func newRev() string {
	return string(binary.LittleEndian.AppendUint64(nil, rand.Uint64()))
}

// IDs calls visit with the ids of all users and sessions of a group, some at a time, in no order; one that is written
// meanwhile may be left out or come twice. It walks all keys of Redis.
func (s *Store) IDs(ctx context.Context, group string, visit func(ids []string) error) error {
	walk := func(ctx context.Context, node redis.Cmdable) error {
		var cursor uint64
		for {
			keys, next, err := node.Scan(ctx, cursor, userPattern(group), 2*perPipeline).Result()
			if err != nil {
				return fmt.Errorf("listing users: %w", err)
			}
			ids := make([]string, 0, len(keys))
			for _, key := range keys {
				if id, ok := userID(group, key); ok {
					ids = append(ids, id)
				}
			}
			for chunk := range slices.Chunk(ids, perPipeline) {
				if err := visit(chunk); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	cluster, ok := s.reader.(*redis.ClusterClient)
	if !ok {
		return walk(ctx, s.reader)
	}
	var one sync.Mutex // the nodes are walked at once, visit is not
	return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		one.Lock()
		defer one.Unlock()
		return walk(ctx, node)
	})
}

// Delete removes users and sessions with all that is known about them. A concurrent write that read a user before the
// deletion fails, because it finds the user changed.
func (s *Store) Delete(ctx context.Context, group string, ids []string) error {
	for chunk := range slices.Chunk(ids, perPipeline) {
		pipe := s.writer.Pipeline()
		for _, id := range chunk {
			pipe.Del(ctx, userKey(group, id))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("deleting user states: %w", err)
		}
	}
	return nil
}
