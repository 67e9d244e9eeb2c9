package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/minio/minio-go/v7"
)

// bodyRepeats bounds the retries of a read whose answer broke off in its body; the library retries only until the body
// begins.
const bodyRepeats = 4

// Get reads a whole object into memory.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, Info, error) {
	for attempt := 0; ; attempt++ {
		data, info, brokenOff, err := b.get(ctx, key)
		if brokenOff && attempt < bodyRepeats && retryPace.Wait(ctx, attempt) == nil {
			continue
		}
		return data, info, err
	}
}

func (b *Bucket) get(ctx context.Context, key string) (data []byte, info Info, brokenOff bool, err error) {
	body, object, _, err := b.client.core.GetObject(ctx, b.name, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, Info{}, false, wrap("reading", b.name, key, err)
	}
	defer body.Close()
	data = make([]byte, object.Size)
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, Info{}, true, wrap("reading", b.name, key, err)
	}
	return data, infoOf(key, object), false, nil
}

// Head describes an object without reading it.
func (b *Bucket) Head(ctx context.Context, key string) (Info, error) {
	object, err := b.client.core.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		return Info{}, wrap("looking up", b.name, key, err)
	}
	return infoOf(key, object), nil
}

// List goes through all objects whose keys begin with prefix, in the order of their keys (bytes), without metadata. It
// ends after the first error.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		// The client's iterator is fed by the pages it asks for; ending its context frees what a reader that breaks
		// off early leaves behind.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for object := range b.client.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			if object.Err != nil {
				yield(Info{}, wrap("listing", b.name, prefix, object.Err))
				return
			}
			info := infoOf(object.Key, object)
			info.Metadata = nil
			if !yield(info, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Info{}, wrap("listing", b.name, prefix, err))
		}
	}
}

// Reader reads one object. Read and Seek share a position and belong to one goroutine; ReadAt is independent of them
// and may be called concurrently. All of them see the object as it was when it was opened, and fail with
// [ErrPrecondition] once it is overwritten.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Open prepares to read an object piece by piece. The context must last as long as the reader is used.
func (b *Bucket) Open(ctx context.Context, key string) (Reader, Info, error) {
	info, err := b.Head(ctx, key)
	if err != nil {
		return nil, Info{}, err
	}
	return &reader{ctx: ctx, bucket: b, info: info}, info, nil
}

type reader struct {
	ctx      context.Context // of Open: the io interfaces have no place for one
	bucket   *Bucket
	info     Info
	position int64
	body     io.ReadCloser // an open answer at position; nil: none
	broken   int           // answers that broke off since the last byte
}

func (r *reader) Read(p []byte) (int, error) {
	if r.position >= r.info.Size {
		return 0, io.EOF
	}
	if r.body == nil {
		body, err := r.get(r.position, r.info.Size)
		if err != nil {
			return 0, err
		}
		r.body = body
	}
	n, err := r.body.Read(p)
	r.position += int64(n)
	if n > 0 {
		r.broken = 0
	}
	if err == nil {
		return n, nil
	}
	r.release()
	if r.position == r.info.Size {
		return n, io.EOF
	}
	// It broke off: the next Read goes on at the position.
	if r.broken++; r.broken <= bodyRepeats && retryPace.Wait(r.ctx, r.broken) == nil {
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, wrap("reading", r.bucket.name, r.info.Key, err)
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.position
	case io.SeekEnd:
		offset += r.info.Size
	}
	if offset < 0 {
		return 0, errors.New("seeking before the start of an object")
	}
	if offset != r.position {
		r.release()
		r.position = offset
	}
	return offset, nil
}

func (r *reader) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, errors.New("reading before the start of an object")
	}
	if offset >= r.info.Size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	end := min(offset+int64(len(p)), r.info.Size)
	body, err := r.get(offset, end)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p[:end-offset])
	if err != nil {
		return n, wrap("reading", r.bucket.name, r.info.Key, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *reader) Close() error {
	r.release()
	return nil
}

func (r *reader) release() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// get asks for the bytes from start up to, not including, end, of the version that was opened.
func (r *reader) get(start, end int64) (io.ReadCloser, error) {
	var options minio.GetObjectOptions
	if err := options.SetRange(start, end-1); err != nil {
		return nil, err
	}
	if err := options.SetMatchETag(r.info.ETag); err != nil {
		return nil, err
	}
	body, _, _, err := r.bucket.client.core.GetObject(r.ctx, r.bucket.name, r.info.Key, options)
	return body, wrap("reading", r.bucket.name, r.info.Key, err)
}

func infoOf(key string, object minio.ObjectInfo) Info {
	info := Info{
		Key:          key,
		Size:         object.Size,
		ETag:         strings.Trim(object.ETag, `"`),
		LastModified: object.LastModified,
		Metadata:     make(map[string]string, len(object.UserMetadata)),
	}
	for name, value := range object.UserMetadata {
		info.Metadata[strings.ToLower(name)] = value
	}
	return info
}
