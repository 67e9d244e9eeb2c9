// Package blobtest is the contract of pkg/blob as a suite of tests that any store has to pass.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/penchant-io/penchant/pkg/blob"
)

// Run runs the suite against an empty bucket of the store.
func Run(t *testing.T, bucket *blob.Bucket) {
	tests := []struct {
		name string
		run  func(t *testing.T, b *blob.Bucket)
	}{
		{"an object comes back as it was put", roundTrip},
		{"what isn't there is ErrNotFound", notFound},
		{"only the first creates", ifAbsent},
		{"only the latest version is replaced", ifMatch},
		{"one of many concurrent creators wins", createRace},
		{"no increment is lost by compare-and-swap", casRace},
		{"the store passes the probe", func(t *testing.T, b *blob.Bucket) { must(t, b.Probe(t.Context())) }},
		{"metadata that can't travel is refused", badMetadata},
		{"a long stream is uploaded whole", upload},
		{"a condition holds for an upload in parts", uploadConditions},
		{"a broken stream leaves nothing", brokenUpload},
		{"a listing is complete and in order", list},
		{"deleting is idempotent", deleteTwice},
		{"a reader reads, seeks and reads at", reader},
		{"a reader sees one version", readerOverwritten},
		{"an empty object is an object", empty},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, bucket) })
	}
}

func roundTrip(t *testing.T, b *blob.Bucket) {
	metadata := map[string]string{"penchant-last-offset": "41", "content-type": "not the header"}
	put, err := b.Put(t.Context(), "round/trip", []byte("hello"), blob.PutOptions{Metadata: metadata})
	must(t, err)
	data, got, err := b.Get(t.Context(), "round/trip")
	must(t, err)
	head, err := b.Head(t.Context(), "round/trip")
	must(t, err)
	if string(data) != "hello" {
		t.Errorf("got %q", data)
	}
	for _, info := range []blob.Info{got, head} {
		if info.Key != "round/trip" || info.Size != 5 || info.ETag == "" || info.ETag != put.ETag || info.LastModified.IsZero() {
			t.Errorf("got %+v, put %+v", info, put)
		}
		for key, value := range metadata {
			if info.Metadata[key] != value {
				t.Errorf("metadata %s: got %q, want %q", key, info.Metadata[key], value)
			}
		}
	}
}

func notFound(t *testing.T, b *blob.Bucket) {
	_, _, err := b.Get(t.Context(), "nowhere")
	want(t, err, blob.ErrNotFound)
	_, err = b.Head(t.Context(), "nowhere")
	want(t, err, blob.ErrNotFound)
	_, _, err = b.Open(t.Context(), "nowhere/either")
	want(t, err, blob.ErrNotFound)
}

func ifAbsent(t *testing.T, b *blob.Bucket) {
	_, err := b.Put(t.Context(), "absent", []byte("first"), blob.PutOptions{IfAbsent: true})
	must(t, err)
	_, err = b.Put(t.Context(), "absent", []byte("second"), blob.PutOptions{IfAbsent: true})
	want(t, err, blob.ErrPrecondition)
	holds(t, b, "absent", "first")
}

func ifMatch(t *testing.T, b *blob.Bucket) {
	first, err := b.Put(t.Context(), "match", []byte("first"), blob.PutOptions{})
	must(t, err)
	_, err = b.Put(t.Context(), "match", []byte("second"), blob.PutOptions{IfMatch: first.ETag})
	must(t, err)
	_, err = b.Put(t.Context(), "match", []byte("third"), blob.PutOptions{IfMatch: first.ETag})
	want(t, err, blob.ErrPrecondition)
	holds(t, b, "match", "second")
	_, err = b.Put(t.Context(), "never there", []byte("x"), blob.PutOptions{IfMatch: first.ETag})
	want(t, err, blob.ErrPrecondition)
	_, err = b.Put(t.Context(), "match", nil, blob.PutOptions{IfMatch: first.ETag, IfAbsent: true})
	if err == nil {
		t.Error("two conditions at once were accepted")
	}
}

func createRace(t *testing.T, b *blob.Bucket) {
	for round := range 20 {
		key := fmt.Sprintf("race/%d", round)
		var (
			wait sync.WaitGroup
			mu   sync.Mutex
			won  []string
		)
		for writer := range 8 {
			wait.Go(func() {
				name := fmt.Sprint("writer ", writer)
				_, err := b.Put(t.Context(), key, []byte(name), blob.PutOptions{IfAbsent: true})
				if err == nil {
					mu.Lock()
					won = append(won, name)
					mu.Unlock()
				} else {
					want(t, err, blob.ErrPrecondition)
				}
			})
		}
		wait.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d writers were told that they created the object: %v", round, len(won), won)
		}
		holds(t, b, key, won[0])
	}
}

// casRace lets writers count up together: each reads the number, adds one and writes it back if nobody else has. It
// fails where a reader can be given one version's bytes with another's ETag, or where two writers pass one check.
func casRace(t *testing.T, b *blob.Bucket) {
	const writers, rounds = 6, 15
	_, err := b.Put(t.Context(), "counter", nil, blob.PutOptions{})
	must(t, err)
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for done := 0; done < rounds; {
				data, info, err := b.Get(t.Context(), "counter")
				if err != nil {
					t.Error(err)
					return
				}
				// One byte more: the length is the count, and no two versions have equal bytes.
				_, err = b.Put(t.Context(), "counter", append(data, 'x'), blob.PutOptions{IfMatch: info.ETag})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, blob.ErrPrecondition):
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	info, err := b.Head(t.Context(), "counter")
	must(t, err)
	if info.Size != writers*rounds {
		t.Errorf("%d increments left %d", writers*rounds, info.Size)
	}
}

func badMetadata(t *testing.T, b *blob.Bucket) {
	for _, metadata := range []map[string]string{{"Upper": "x"}, {"lower": "ümlaut"}, {"lower": "line\nbreak"}} {
		if _, err := b.Put(t.Context(), "bad", nil, blob.PutOptions{Metadata: metadata}); err == nil {
			t.Errorf("metadata %q was accepted", metadata)
		}
	}
}

func upload(t *testing.T, b *blob.Bucket) {
	for _, size := range []int{0, 100, 16 << 20, 35<<20 + 17} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		key := fmt.Sprint("upload-", size)
		must(t, b.Upload(t.Context(), key, iotest.HalfReader(bytes.NewReader(data)), blob.PutOptions{Metadata: map[string]string{"a": "b"}}))
		got, info, err := b.Get(t.Context(), key)
		must(t, err)
		if !bytes.Equal(got, data) || info.Metadata["a"] != "b" {
			t.Errorf("%d bytes: came back as %d, with %v", size, len(got), info.Metadata)
		}
	}
}

func uploadConditions(t *testing.T, b *blob.Bucket) {
	long := bytes.Repeat([]byte("long"), 5<<20)
	first, err := b.Put(t.Context(), "parts", []byte("first"), blob.PutOptions{})
	must(t, err)
	want(t, b.Upload(t.Context(), "parts", bytes.NewReader(long), blob.PutOptions{IfAbsent: true}), blob.ErrPrecondition)
	want(t, b.Upload(t.Context(), "parts", bytes.NewReader(long), blob.PutOptions{IfMatch: strings.Repeat("0", 32)}), blob.ErrPrecondition)
	holds(t, b, "parts", "first")
	must(t, b.Upload(t.Context(), "parts", bytes.NewReader(long), blob.PutOptions{IfMatch: first.ETag}))
	must(t, b.Upload(t.Context(), "parts-new", bytes.NewReader(long), blob.PutOptions{IfAbsent: true}))
}

func brokenUpload(t *testing.T, b *blob.Bucket) {
	for _, size := range []int{100, 20 << 20} {
		for _, failure := range []error{errors.New("broken"), io.ErrUnexpectedEOF, fmt.Errorf("wrapped: %w", io.EOF)} {
			broken := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(failure))
			want(t, b.Upload(t.Context(), "broken", broken, blob.PutOptions{}), failure)
			_, err := b.Head(t.Context(), "broken")
			want(t, err, blob.ErrNotFound)
		}
	}
}

func list(t *testing.T, b *blob.Bucket) {
	keys := []string{"l/a-b", "l/a.b", "l/a/0", "l/a/b/c", "l/a0", "l/b", "l/é", "l/part%2F=x y+z"}
	for i := range 1100 { // more than one page
		keys = append(keys, fmt.Sprintf("l/many/%020d.parquet", i))
	}
	var wait sync.WaitGroup
	for chunk := range slices.Chunk(keys, 140) {
		wait.Go(func() {
			for _, key := range chunk {
				if _, err := b.Put(t.Context(), key, []byte("."), blob.PutOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	slices.Sort(keys)
	listed := keysOf(t, b, "l/")
	if !slices.Equal(listed, keys) {
		t.Errorf("%d keys listed, want %d; first %q, want %q", len(listed), len(keys), listed[:min(9, len(listed))], keys[:9])
	}
	if got := keysOf(t, b, "l/a"); !slices.Equal(got, []string{"l/a-b", "l/a.b", "l/a/0", "l/a/b/c", "l/a0"}) {
		t.Errorf("a prefix that ends within a name lists %q", got)
	}
	if got := keysOf(t, b, "l/nothing"); len(got) != 0 {
		t.Errorf("an unused prefix lists %q", got)
	}
	for _, err := range b.List(t.Context(), "l/") { // breaking off leaves nothing behind
		must(t, err)
		break
	}
	must(t, b.Delete(t.Context(), keys...))
	if left := keysOf(t, b, "l/"); len(left) != 0 {
		t.Errorf("%d keys are left", len(left))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range b.List(ended, "l/") {
		want(t, err, context.Canceled)
	}
}

func deleteTwice(t *testing.T, b *blob.Bucket) {
	_, err := b.Put(t.Context(), "delete", []byte("x"), blob.PutOptions{})
	must(t, err)
	must(t, b.Delete(t.Context(), "delete"))
	must(t, b.Delete(t.Context(), "delete"))
	must(t, b.Delete(t.Context(), "delete", "delete/what/never/was"))
	must(t, b.Delete(t.Context()))
	_, err = b.Head(t.Context(), "delete")
	want(t, err, blob.ErrNotFound)
}

func reader(t *testing.T, b *blob.Bucket) {
	content := []byte("0123456789")
	_, err := b.Put(t.Context(), "reader", content, blob.PutOptions{})
	must(t, err)
	r, info, err := b.Open(t.Context(), "reader")
	must(t, err)
	defer r.Close()
	if info.Size != 10 {
		t.Errorf("size %d", info.Size)
	}
	if err := iotest.TestReader(r, content); err != nil {
		t.Error(err)
	}
}

func readerOverwritten(t *testing.T, b *blob.Bucket) {
	_, err := b.Put(t.Context(), "overwritten", []byte("old bytes"), blob.PutOptions{})
	must(t, err)
	r, _, err := b.Open(t.Context(), "overwritten")
	must(t, err)
	defer r.Close()
	_, err = b.Put(t.Context(), "overwritten", []byte("new bytes"), blob.PutOptions{})
	must(t, err)
	_, err = r.ReadAt(make([]byte, 3), 3)
	want(t, err, blob.ErrPrecondition)
}

func empty(t *testing.T, b *blob.Bucket) {
	_, err := b.Put(t.Context(), "empty", nil, blob.PutOptions{IfAbsent: true})
	must(t, err)
	holds(t, b, "empty", "")
	r, _, err := b.Open(t.Context(), "empty")
	must(t, err)
	defer r.Close()
	if data, err := io.ReadAll(r); err != nil || len(data) != 0 {
		t.Errorf("read %q, %v", data, err)
	}
}

func keysOf(t *testing.T, b *blob.Bucket, prefix string) []string {
	t.Helper()
	var keys []string
	for info, err := range b.List(t.Context(), prefix) {
		must(t, err)
		keys = append(keys, info.Key)
	}
	return keys
}

func holds(t *testing.T, b *blob.Bucket, key, content string) {
	t.Helper()
	data, _, err := b.Get(t.Context(), key)
	must(t, err)
	if string(data) != content {
		t.Errorf("%s holds %q, want %q", key, data, content)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got error %v, want %v", err, target)
	}
}
