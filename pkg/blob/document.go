package blob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/penchant-io/penchant/pkg/backoff"
)

// ErrContended means that other writers changed a document in each of many rounds; nothing was written.
var ErrContended = errors.New("the object is changed by too many at once")

// updateAttempts bounds the rounds of an Update. In each of them another writer succeeded, so this many rounds mean
// hundreds of writers at one document.
const updateAttempts = 200

// Document is one object that holds a value and that several processes read and change. Writes are conditional, so no
// change is lost: Create writes only where there is no object, Swap only over the version that was read, and Update
// repeats reading, changing and swapping until it is not overtaken.
//
// The answer to a conditional write can be lost, and its repeat then meets the write's own success. Document looks at
// the object before it reports such a failure: if the write is there, it succeeded. A write is recognised by its nonce,
// or, in values without one, by its bytes.
type Document[T any] struct {
	Bucket      *Bucket
	Key         string
	ContentType string // "": application/json
	// Encode and Decode convert between a value and the object's bytes; nil: encoding/json.
	Encode func(T) ([]byte, error)
	Decode func([]byte) (T, error)
	// Stamp writes a nonce into a value that is about to be stored, and Stamped reports whether a stored value has the
	// nonce, or followed one that had it. Both may be nil.
	Stamp   func(value T, nonce string)
	Stamped func(stored T, nonce string) bool
}

// Read returns the value and the ETag of its version, for Swap.
func (d Document[T]) Read(ctx context.Context) (T, string, error) {
	var none T
	data, info, err := d.Bucket.Get(ctx, d.Key)
	if err != nil {
		return none, "", err
	}
	value, err := d.decode(data)
	if err != nil {
		return none, "", fmt.Errorf("decoding %s: %w", d.Key, err)
	}
	return value, info.ETag, nil
}

// Create writes the first version and returns its ETag. It fails with ErrPrecondition if there is an object.
func (d Document[T]) Create(ctx context.Context, value T) (string, error) {
	return d.Swap(ctx, value, "")
}

// Swap replaces the version with the given ETag and returns the new ETag. An empty etag stands for no object. Swap
// fails with ErrPrecondition if there is another version. The new ETag is empty if the answer was lost and a later
// writer has replaced the version since.
func (d Document[T]) Swap(ctx context.Context, value T, etag string) (string, error) {
	nonce := newNonce()
	if d.Stamp != nil {
		d.Stamp(value, nonce)
	}
	data, err := d.encode(value)
	if err != nil {
		return "", fmt.Errorf("encoding %s: %w", d.Key, err)
	}
	options := PutOptions{IfAbsent: etag == "", IfMatch: etag, ContentType: cmp.Or(d.ContentType, "application/json")}
	info, err := d.Bucket.Put(ctx, d.Key, data, options)
	if err == nil {
		return info.ETag, nil
	}
	arrived, stored, unknown := d.arrived(ctx, data, nonce)
	switch {
	case unknown != nil:
		// The condition may have failed on the object of this very write: which condition it was must not be asked of
		// the error.
		return "", fmt.Errorf("whether %s was written is unknown: %w", d.Key, errors.Join(unknown, errors.New(err.Error())))
	case !arrived:
		return "", err
	}
	return stored, nil
}

// arrived reports whether a write that failed is in the object all the same, and under which ETag.
func (d Document[T]) arrived(ctx context.Context, data []byte, nonce string) (bool, string, error) {
	stored, info, err := d.Bucket.Get(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, "", nil
	case err != nil:
		return false, "", err
	case bytes.Equal(stored, data):
		return true, info.ETag, nil
	case d.Stamped == nil:
		return false, "", nil
	}
	value, err := d.decode(stored)
	if err != nil {
		return false, "", fmt.Errorf("decoding %s: %w", d.Key, err)
	}
	return d.Stamped(value, nonce), "", nil
}

// Update applies change to the value and swaps the result in. If another writer was faster, change runs again on the
// newer value. An error of change ends the update without a write and is returned as it is, with the value that it was
// given. Update fails with ErrNotFound if there is no object.
func (d Document[T]) Update(ctx context.Context, change func(T) error) (T, string, error) {
	var none T
	for attempt := range updateAttempts {
		value, etag, err := d.Read(ctx)
		if err != nil {
			return none, "", err
		}
		if err := change(value); err != nil {
			return value, etag, err
		}
		etag, err = d.Swap(ctx, value, etag)
		if err == nil {
			return value, etag, nil
		}
		if !errors.Is(err, ErrPrecondition) && !errors.Is(err, ErrNotFound) {
			return none, "", fmt.Errorf("changing %s: %w", d.Key, err)
		}
		// Spreads writers that met: a random time, longer the more often they met.
		longest := min(time.Duration(attempt+1)*time.Millisecond, 20*time.Millisecond)
		if err := backoff.Sleep(ctx, mathrand.N(longest)); err != nil {
			return none, "", err
		}
	}
	return none, "", fmt.Errorf("changing %s: %w", d.Key, ErrContended)
}

func (d Document[T]) encode(value T) ([]byte, error) {
	if d.Encode != nil {
		return d.Encode(value)
	}
	return json.Marshal(value)
}

func (d Document[T]) decode(data []byte) (T, error) {
	if d.Decode != nil {
		return d.Decode(data)
	}
	var value T
	err := json.Unmarshal(data, &value)
	return value, err
}

func newNonce() string {
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return hex.EncodeToString(nonce[:])
}
