package awsapi

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	// defaultMaxBody is more than what most operations can use; MaxBody names the others.
	defaultMaxBody = 1 << 20
	// firstBuffer is what a call gets without asking, and the largest buffer that is kept between calls. Nearly all
	// bodies fit into it.
	firstBuffer = 64 << 10
	// maxHeldBodies bounds the memory of all bodies together that need more, so that many clients who send large bodies
	// slowly cannot fill the memory.
	maxHeldBodies = 64 << 20
)

// bodies reads the bodies of a Router's calls, within bounds for each and for all.
type bodies struct {
	// pool keeps buffers between calls. Decoded requests hold copies of what they need, never parts of a buffer.
	pool sync.Pool
	// held is the size of all buffers that are larger than firstBuffer.
	held atomic.Int64
}

type bodyBuffer struct{ data []byte }

var errBodyTooLarge = newError(CodeRequestTooLarge, "The request's body is too large.", nil)

// read reads a body of at most limit bytes. release gives the buffer back, and must be called unless there is an error.
func (b *bodies) read(req *http.Request, limit int) (body []byte, release func(), refusal *Error) {
	if req.ContentLength > int64(limit) {
		return nil, nil, errBodyTooLarge
	}
	buffer, _ := b.pool.Get().(*bodyBuffer)
	if buffer == nil {
		buffer = &bodyBuffer{}
	}
	release = func() { b.release(buffer) }
	if refusal := b.fill(buffer, req.Body, limit); refusal != nil {
		release()
		return nil, nil, refusal
	}
	return buffer.data, release, nil
}

func (b *bodies) fill(buffer *bodyBuffer, from io.Reader, limit int) *Error {
	buffer.data = buffer.data[:0]
	for {
		if len(buffer.data) == cap(buffer.data) {
			if refusal := b.grow(buffer, limit); refusal != nil {
				return refusal
			}
		}
		n, err := from.Read(buffer.data[len(buffer.data):cap(buffer.data)])
		buffer.data = buffer.data[:len(buffer.data)+n]
		switch {
		case len(buffer.data) > limit:
			return errBodyTooLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return newError(CodeSerialization, "The request's body could not be read.", nil)
		}
	}
}

// grow doubles a buffer, up to one byte more than the limit.
func (b *bodies) grow(buffer *bodyBuffer, limit int) *Error {
	size := min(max(512, 2*cap(buffer.data)), limit+1)
	if size > firstBuffer {
		more := int64(size - heldBy(buffer))
		if b.held.Add(more) > maxHeldBodies {
			b.held.Add(-more)
			return ServiceUnavailable("Too many large requests are under way.")
		}
	}
	buffer.data = append(make([]byte, 0, size), buffer.data...)
	return nil
}

// heldBy is what a buffer has taken of maxHeldBodies.
func heldBy(buffer *bodyBuffer) int {
	if cap(buffer.data) > firstBuffer {
		return cap(buffer.data)
	}
	return 0
}

func (b *bodies) release(buffer *bodyBuffer) {
	if held := heldBy(buffer); held > 0 {
		b.held.Add(-int64(held))
		return
	}
	b.pool.Put(buffer)
}
