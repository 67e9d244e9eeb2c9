package dataset

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/penchant-io/penchant/pkg/blob"
)

// A part is closed at a size, and earlier when what it was made of was much longer: readers hold one part in memory,
// and Parquet keeps the smallest and largest values of each row group as they are, however well the rest compresses.
const (
	partBytes     = 32 << 20
	partTextBytes = 64 << 20
)

// rowWriter is eventfile's InteractionWriter or EntityWriter.
type rowWriter[T any] interface {
	Write(rows ...T) error
	Close() error
}

// partsWriter streams rows into as many parts as they need.
type partsWriter[T any] struct {
	bucket *blob.Bucket
	key    func(n int) string
	open   func(io.Writer) (rowWriter[T], error)

	current *partWriter[T] // nil: none is open
	parts   []Part         // begun or finished, so that all of them can be discarded
}

// partWriter is one upload that is under way: rows → Parquet → pipe → bucket.
type partWriter[T any] struct {
	rows   rowWriter[T]
	buffer *bufio.Writer
	pipe   *io.PipeWriter
	bytes  int64
	text   int64 // bytes of the text of its rows
	// failure is what became of the upload, once uploaded is closed.
	failure  error
	uploaded chan struct{}
}

// write takes rows that had so many bytes of text.
func (w *partsWriter[T]) write(ctx context.Context, rows []T, text int) error {
	if len(rows) == 0 {
		return nil
	}
	if w.current == nil {
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	if err := w.current.rows.Write(rows...); err != nil {
		return fmt.Errorf("writing imported rows: %w", err)
	}
	w.parts[len(w.parts)-1].Rows += int64(len(rows))
	if w.current.text += int64(text); w.current.bytes >= partBytes || w.current.text >= partTextBytes {
		return w.finish()
	}
	return nil
}

func (w *partsWriter[T]) begin(ctx context.Context) error {
	key := w.key(len(w.parts))
	reader, pipe := io.Pipe()
	p := &partWriter[T]{pipe: pipe, uploaded: make(chan struct{})}
	p.buffer = bufio.NewWriterSize(p, 256<<10)
	var err error
	if p.rows, err = w.open(p.buffer); err != nil {
		return fmt.Errorf("beginning a file of imported rows: %w", err)
	}
	go func() {
		defer close(p.uploaded)
		p.failure = w.bucket.Upload(ctx, key, reader, blob.PutOptions{ContentType: "application/vnd.apache.parquet"})
		// Unblocks a writer whose upload has failed.
		_ = reader.CloseWithError(p.failure)
	}()
	w.current = p
	w.parts = append(w.parts, Part{Key: key})
	return nil
}

// Write counts what passes on its way to the pipe.
func (p *partWriter[T]) Write(data []byte) (int, error) {
	n, err := p.pipe.Write(data)
	p.bytes += int64(n)
	return n, err
}

// finish completes the current part.
func (w *partsWriter[T]) finish() error {
	p := w.current
	if err := p.rows.Close(); err != nil {
		return fmt.Errorf("finishing a file of imported rows: %w", err)
	}
	if err := p.buffer.Flush(); err != nil {
		return fmt.Errorf("finishing a file of imported rows: %w", err)
	}
	_ = p.pipe.Close() // never fails
	w.current = nil
	if <-p.uploaded; p.failure != nil {
		return fmt.Errorf("uploading imported rows: %w", p.failure)
	}
	w.parts[len(w.parts)-1].Bytes = p.bytes
	return nil
}

// close completes the last part and gives all of them.
func (w *partsWriter[T]) close() ([]Part, error) {
	if w.current != nil {
		if err := w.finish(); err != nil {
			return nil, err
		}
	}
	return w.parts, nil
}

// abort ends an upload that is under way, if there is one; the object doesn't appear.
func (w *partsWriter[T]) abort() {
	if w.current == nil {
		return
	}
	_ = w.current.pipe.CloseWithError(context.Canceled)
	<-w.current.uploaded
	w.current = nil
}
