package blobtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penchant-io/penchant/pkg/blob"
)

// note is a document's value: with the nonces of its newest writes.
type note struct {
	Lines  []string `json:"lines"`
	Nonces []string `json:"nonces,omitempty"`
}

// RunDocuments runs the contract of blob.Document against a bucket of the store.
func RunDocuments(t *testing.T, cfg blob.Config, bucket string) {
	tests := []struct {
		name string
		run  func(t *testing.T, d *desk)
	}{
		{"a document comes back as it was created", documentRoundTrip},
		{"only the first creates a document", documentCreate},
		{"only the version that was read is swapped", documentSwap},
		{"no update is lost", documentUpdates},
		{"an error of the change writes nothing", documentRefusal},
		{"a creation whose answer was lost has succeeded", documentLostCreation},
		{"a write whose answer was lost is recognised under a later one", documentLostUnderLater},
		{"without a nonce, bytes recognise a write", documentLostBytes},
		{"a write without any answer is recognised", documentNoAnswer},
		{"a write that did not arrive is not recognised", documentOvertaken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			lossy := NewLossy(t, cfg)
			key := "documents/" + strings.ReplaceAll(test.name, " ", "-")
			test.run(t, &desk{lossy: lossy, near: open(t, cfg, bucket), far: open(t, lossy.Config, bucket), key: key})
		})
	}
}

// desk has one document's object within reach of two processes: answers to the far one can be lost.
type desk struct {
	lossy     *Lossy
	near, far *blob.Bucket
	key       string
}

func (d *desk) stamped(b *blob.Bucket) blob.Document[*note] {
	return blob.Document[*note]{
		Bucket: b, Key: d.key,
		Stamp:   func(n *note, nonce string) { n.Nonces = slices.Insert(n.Nonces, 0, nonce) },
		Stamped: func(n *note, nonce string) bool { return slices.Contains(n.Nonces, nonce) },
	}
}

func (d *desk) plain(b *blob.Bucket) blob.Document[*note] {
	return blob.Document[*note]{Bucket: b, Key: d.key}
}

func open(t *testing.T, cfg blob.Config, bucket string) *blob.Bucket {
	t.Helper()
	client, err := blob.Open(cfg)
	must(t, err)
	t.Cleanup(client.Close)
	return client.Bucket(bucket)
}

// add is a change that adds a line.
func add(line string) func(*note) error {
	return func(n *note) error {
		n.Lines = append(n.Lines, line)
		return nil
	}
}

func (d *desk) hasLines(t *testing.T, lines ...string) {
	t.Helper()
	n, _, err := d.plain(d.near).Read(t.Context())
	must(t, err)
	if !slices.Equal(n.Lines, lines) {
		t.Errorf("%s has the lines %q, want %q", d.key, n.Lines, lines)
	}
}

func documentRoundTrip(t *testing.T, d *desk) {
	_, _, err := d.stamped(d.near).Read(t.Context())
	want(t, err, blob.ErrNotFound)
	_, _, err = d.stamped(d.near).Update(t.Context(), add("nothing to change"))
	want(t, err, blob.ErrNotFound)
	etag, err := d.stamped(d.near).Create(t.Context(), &note{Lines: []string{"<first>"}})
	must(t, err)
	n, read, err := d.stamped(d.near).Read(t.Context())
	must(t, err)
	if !slices.Equal(n.Lines, []string{"<first>"}) || len(n.Nonces) != 1 || read != etag || etag == "" {
		t.Errorf("read %+v with ETag %q, created with ETag %q", n, read, etag)
	}
}

func documentCreate(t *testing.T, d *desk) {
	_, err := d.stamped(d.near).Create(t.Context(), &note{Lines: []string{"first"}})
	must(t, err)
	_, err = d.stamped(d.near).Create(t.Context(), &note{Lines: []string{"first"}})
	want(t, err, blob.ErrPrecondition)
}

func documentSwap(t *testing.T, d *desk) {
	first, err := d.stamped(d.near).Create(t.Context(), &note{Lines: []string{"first"}})
	must(t, err)
	second, err := d.stamped(d.near).Swap(t.Context(), &note{Lines: []string{"second"}}, first)
	must(t, err)
	_, err = d.stamped(d.near).Swap(t.Context(), &note{Lines: []string{"third"}}, first)
	want(t, err, blob.ErrPrecondition)
	d.hasLines(t, "second")
	must(t, d.near.Delete(t.Context(), d.key))
	_, err = d.stamped(d.near).Swap(t.Context(), &note{Lines: []string{"fourth"}}, second)
	want(t, err, blob.ErrPrecondition)
}

func documentUpdates(t *testing.T, d *desk) {
	const writers, rounds = 5, 8
	_, err := d.stamped(d.near).Create(t.Context(), &note{})
	must(t, err)
	var wait sync.WaitGroup
	for writer := range writers {
		wait.Go(func() {
			for round := range rounds {
				if _, _, err := d.stamped(d.near).Update(t.Context(), add(fmt.Sprint(writer, round))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	n, _, err := d.stamped(d.near).Read(t.Context())
	must(t, err)
	slices.Sort(n.Lines)
	if distinct := len(slices.Compact(n.Lines)); distinct != writers*rounds || len(n.Nonces) != writers*rounds+1 {
		t.Errorf("%d updates left %d lines and %d nonces", writers*rounds, distinct, len(n.Nonces))
	}
}

func documentRefusal(t *testing.T, d *desk) {
	etag, err := d.stamped(d.near).Create(t.Context(), &note{Lines: []string{"first"}})
	must(t, err)
	refused := errors.New("refused")
	n, read, err := d.stamped(d.near).Update(t.Context(), func(*note) error { return refused })
	if !errors.Is(err, refused) || n == nil || read != etag {
		t.Errorf("the change's error came back as %v, with %v", err, n)
	}
	d.hasLines(t, "first")
}

func documentLostCreation(t *testing.T, d *desk) {
	d.lossy.Lose(1, nil)
	etag, err := d.stamped(d.far).Create(t.Context(), &note{Lines: []string{"first"}})
	must(t, err)
	_, read, err := d.stamped(d.near).Read(t.Context())
	must(t, err)
	if etag != read {
		t.Errorf("the creation has ETag %q, want %q", etag, read)
	}
}

func documentLostUnderLater(t *testing.T, d *desk) {
	_, err := d.stamped(d.near).Create(t.Context(), &note{Lines: []string{"first"}})
	must(t, err)
	d.lossy.Lose(1, func() {
		if _, _, err := d.stamped(d.near).Update(t.Context(), add("third")); err != nil {
			t.Error(err)
		}
	})
	n, etag, err := d.stamped(d.far).Update(t.Context(), add("second"))
	must(t, err)
	if !slices.Equal(n.Lines, []string{"first", "second"}) || etag != "" {
		t.Errorf("the update returned %q with ETag %q", n.Lines, etag)
	}
	d.hasLines(t, "first", "second", "third")
}

func documentLostBytes(t *testing.T, d *desk) {
	d.lossy.Lose(1, nil)
	etag, err := d.plain(d.far).Create(t.Context(), &note{Lines: []string{"first"}})
	must(t, err)
	d.lossy.Lose(1, nil)
	_, err = d.plain(d.far).Swap(t.Context(), &note{Lines: []string{"second"}}, etag)
	must(t, err)
	d.hasLines(t, "second")
}

func documentNoAnswer(t *testing.T, d *desk) {
	_, err := d.stamped(d.near).Create(t.Context(), &note{Lines: []string{"first"}})
	must(t, err)
	d.lossy.Lose(100, nil)
	_, _, err = d.stamped(d.far).Update(t.Context(), add("second"))
	must(t, err)
	d.hasLines(t, "first", "second")
}

func documentOvertaken(t *testing.T, d *desk) {
	etag, err := d.stamped(d.near).Create(t.Context(), &note{Lines: []string{"first"}})
	must(t, err)
	_, _, err = d.stamped(d.near).Update(t.Context(), add("second"))
	must(t, err)
	d.lossy.Lose(1, nil)
	_, err = d.stamped(d.far).Swap(t.Context(), &note{Lines: []string{"other"}}, etag)
	want(t, err, blob.ErrPrecondition)
	d.hasLines(t, "first", "second")
}
