package workflow

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/penchant-io/penchant/pkg/asl"
	"github.com/penchant-io/penchant/pkg/blob"
)

const (
	root            = "workflows/"
	machinesRoot    = root + "machines/"
	definitionsRoot = root + "definitions/"
	executionsRoot  = root + "executions/"
	historyRoot     = root + "history/"
	runningRoot     = root + "running/"
	startedRoot     = root + "started/"
)

// machine is a state machine.
type machine struct {
	ARN        string            `json:"arn"`
	Name       string            `json:"name"`
	Definition string            `json:"definition"`
	RoleARN    string            `json:"roleArn"`
	CreatedAt  time.Time         `json:"createdAt"`
	Revision   string            `json:"revision,omitempty"` // of the last update
	Tags       map[string]string `json:"tags,omitempty"`
	Nonce      string            `json:"nonce"`
}

// execution names one.
type execution struct{ machine, name string }

func (e execution) path() string { return url.PathEscape(e.machine) + "/" + url.PathEscape(e.name) }
func (e execution) key() string  { return executionsRoot + e.path() + ".json" }

// listed returns the key of the execution's place in its machine's list, which sorts the newest first.
func (e execution) listed(started time.Time) string {
	return fmt.Sprintf("%s%s/%016x-%s", startedRoot, url.PathEscape(e.machine), math.MaxInt64-started.UnixMilli(), url.PathEscape(e.name))
}

// executionOf returns the execution of a key under a root.
func executionOf(key, root, suffix string) (execution, bool) {
	machine, name, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(key, root), suffix), "/")
	m, err1 := url.PathUnescape(machine)
	n, err2 := url.PathUnescape(name)
	return execution{m, n}, ok && err1 == nil && err2 == nil
}

// record is an execution as it is kept.
type record struct {
	// Input is verbatim.
	Input string `json:"input"`
	// Definition is the hash of the machine's definition when the execution began.
	Definition string         `json:"definition"`
	Execution  *asl.Execution `json:"execution"`
	Lease      lease          `json:"lease"`
	// Chunks are older events in objects of their own, Tail the newest ones.
	Chunks []chunk           `json:"chunks,omitempty"`
	Tail   []json.RawMessage `json:"tail"`
	// Nonce is the newest writer's, who may not learn of the success: see blob.Document.
	Nonce string `json:"nonce"`
}

type lease struct {
	Owner   string    `json:"owner,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

func (l lease) held(now time.Time) bool { return l.Owner != "" && now.Before(l.Expires) }

type chunk struct {
	Key   string `json:"key"`
	First int64  `json:"first"`
	Last  int64  `json:"last"`
}

const (
	// maxTail is how many bytes of history an execution's own object holds.
	maxTail = 256 << 10
	readers = 16
)

func newID() string {
	var n [16]byte
	_, _ = rand.Read(n[:]) // never fails
	return hex.EncodeToString(n[:])
}

func encode[T any](v T) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	return buffer.Bytes(), nil
}

// document is the object of a value that has a nonce.
func document[T any](b *blob.Bucket, key string, nonce func(*T) *string) blob.Document[*T] {
	return blob.Document[*T]{
		Bucket:  b,
		Key:     key,
		Encode:  encode[*T],
		Stamp:   func(v *T, n string) { *nonce(v) = n },
		Stamped: func(v *T, n string) bool { return *nonce(v) == n },
	}
}

func (s *Service) machineDocument(name string) blob.Document[*machine] {
	return document(s.Bucket, machineKey(name), func(m *machine) *string { return &m.Nonce })
}

func (s *Service) recordDocument(e execution) blob.Document[*record] {
	return document(s.Bucket, e.key(), func(r *record) *string { return &r.Nonce })
}

func (s *Service) scheduleDocument(key string) blob.Document[*scheduled] {
	return document(s.Bucket, key, func(s *scheduled) *string { return &s.Nonce })
}

func machineKey(name string) string { return machinesRoot + url.PathEscape(name) + ".json" }

// keepDefinition stores a definition under its hash.
func (s *Service) keepDefinition(ctx context.Context, definition string) (string, error) {
	sum := sha256.Sum256([]byte(definition))
	hash := hex.EncodeToString(sum[:])
	_, err := s.Bucket.Put(ctx, definitionsRoot+hash+".json", []byte(definition), blob.PutOptions{IfAbsent: true, ContentType: "application/json"})
	if err != nil && !errors.Is(err, blob.ErrPrecondition) {
		return "", fmt.Errorf("keeping a definition: %w", err)
	}
	return hash, nil
}

// program returns the machine of a stored definition. What was taken once is not refused when the configuration has changed:
// its tasks fail.
func (s *Service) program(ctx context.Context, hash string) (*asl.Machine, error) {
	s.mu.Lock()
	m := s.machines[hash]
	s.mu.Unlock()
	if m != nil {
		return m, nil
	}
	definition, _, err := s.Bucket.Get(ctx, definitionsRoot+hash+".json")
	if err != nil {
		return nil, fmt.Errorf("reading a definition: %w", err)
	}
	m, found := asl.Parse(string(definition), nil)
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("reading a definition: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.machines) >= 1000 {
		clear(s.machines)
	}
	s.machines[hash] = m
	return m, nil
}

// change applies a change to an execution's record; its history grows by what change returns.
func (s *Service) change(ctx context.Context, e execution, change func(*record) ([]asl.HistoryEvent, error)) (*record, error) {
	r, _, err := s.recordDocument(e).Update(ctx, func(r *record) error {
		events, err := change(r)
		if err != nil {
			return err
		}
		return s.append(ctx, e, r, events)
	})
	return r, err
}

// append adds events to a history, whose older part it moves into an object of its own when it has become long. That
// object is of no account until the record names it.
func (s *Service) append(ctx context.Context, e execution, r *record, events []asl.HistoryEvent) error {
	size := 0
	for _, event := range events {
		data, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("encoding an event: %w", err)
		}
		r.Tail = append(r.Tail, data)
	}
	for _, event := range r.Tail {
		size += len(event)
	}
	if size <= maxTail || len(r.Tail) < 2 {
		return nil
	}
	data, err := encode(r.Tail)
	if err != nil {
		return err
	}
	last := r.Execution.LastEvent
	c := chunk{First: last - int64(len(r.Tail)) + 1, Last: last}
	c.Key = fmt.Sprintf("%s%s/%08d-%s.json", historyRoot, e.path(), c.First, newID())
	if _, err := s.Bucket.Put(ctx, c.Key, data, blob.PutOptions{ContentType: "application/json"}); err != nil {
		return fmt.Errorf("keeping a part of a history: %w", err)
	}
	r.Chunks, r.Tail = append(r.Chunks, c), []json.RawMessage{}
	return nil
}

// history reads the events from first to last.
func (s *Service) history(ctx context.Context, r *record, first, last int64) ([]json.RawMessage, error) {
	var events []json.RawMessage
	take := func(from int64, list []json.RawMessage) {
		for i, event := range list {
			if id := from + int64(i); id >= first && id <= last {
				events = append(events, event)
			}
		}
	}
	for _, c := range r.Chunks {
		if c.Last < first || c.First > last {
			continue
		}
		list, _, err := blob.Document[[]json.RawMessage]{Bucket: s.Bucket, Key: c.Key}.Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading a part of a history: %w", err)
		}
		take(c.First, list)
	}
	take(r.Execution.LastEvent-int64(len(r.Tail))+1, r.Tail)
	return events, nil
}

// list reads the objects under a prefix.
func list[T any](ctx context.Context, b *blob.Bucket, prefix string) ([]*T, error) {
	var keys []string
	for info, err := range b.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", prefix, err)
		}
		keys = append(keys, info.Key)
	}
	return readAll[T](ctx, b, keys)
}

// readAll reads objects, in the order of their keys, without those that are not there.
func readAll[T any](ctx context.Context, b *blob.Bucket, keys []string) ([]*T, error) {
	found := make([]*T, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, key := range keys {
		group.Go(func() error {
			v, _, err := blob.Document[*T]{Bucket: b, Key: key}.Read(ctx)
			if errors.Is(err, blob.ErrNotFound) {
				return nil
			}
			found[i] = v
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(v *T) bool { return v == nil }), nil
}

// marked returns the executions that may not have ended.
func (s *Service) marked(ctx context.Context) ([]execution, error) {
	var found []execution
	for info, err := range s.Bucket.List(ctx, runningRoot) {
		if err != nil {
			return nil, fmt.Errorf("listing the executions that run: %w", err)
		}
		if e, ok := executionOf(info.Key, runningRoot, ""); ok {
			found = append(found, e)
		}
	}
	return found, nil
}
