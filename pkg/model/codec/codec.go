// Package codec writes the parts of trained models as bytes and reads them back: a frame that names the kind of part
// and the version of its layout, then numbers and texts. Readers bound what they allocate and never panic, whatever the
// bytes.
//
// The packages under pkg/model encode what they have learned with it, and pkg/ranking/exploration the novelty of items.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrCorrupt is wrapped by every error of a Reader: the bytes are not a part that this version of the code has written.
var ErrCorrupt = errors.New("corrupt model part")

// Every part begins with a frame: magic, the kind of part (length, text) and the version of its layout. Numbers are
// little endian.
const magic = "PNCH"

// Writer encodes one part.
type Writer struct{ data []byte }

// NewWriter starts a part with the frame that NewReader expects.
func NewWriter(kind string, version uint16) *Writer {
	w := &Writer{data: append([]byte(magic), byte(len(kind)))}
	w.data = append(w.data, kind...)
	w.data = binary.LittleEndian.AppendUint16(w.data, version)
	return w
}

// Bytes is what was written.
func (w *Writer) Bytes() []byte { return w.data }

// Len writes a count or dimension.
func (w *Writer) Len(n int) { w.data = binary.LittleEndian.AppendUint32(w.data, uint32(n)) }

// Float64 writes one number.
func (w *Writer) Float64(f float64) {
	w.data = binary.LittleEndian.AppendUint64(w.data, math.Float64bits(f))
}

// Uvarints writes numbers in as few bytes as each needs; their count is not written.
func (w *Writer) Uvarints(values []int64) {
	for _, v := range values {
		w.data = binary.AppendUvarint(w.data, uint64(v))
	}
}

// Int32s writes numbers; their count is not written.
func (w *Writer) Int32s(values []int32) {
	for _, v := range values {
		w.data = binary.LittleEndian.AppendUint32(w.data, uint32(v))
	}
}

// Int8s writes numbers; their count is not written.
func (w *Writer) Int8s(values []int8) {
	for _, v := range values {
		w.data = append(w.data, byte(v))
	}
}

// Float32s writes numbers; their count is not written.
func (w *Writer) Float32s(values []float32) {
	for _, v := range values {
		w.data = binary.LittleEndian.AppendUint32(w.data, math.Float32bits(v))
	}
}

// Strings writes texts; their count is not written.
func (w *Writer) Strings(values []string) {
	for _, s := range values {
		w.data = binary.AppendUvarint(w.data, uint64(len(s)))
		w.data = append(w.data, s...)
	}
}

// Reader decodes one part. It keeps the first error, after which all reads give zero values, and never allocates more
// than a small multiple of the part's size, whatever the part claims. The caller ends with Close.
type Reader struct {
	kind string
	data []byte
	err  error
}

// NewReader checks the frame: kind and version must be what the caller understands.
func NewReader(data []byte, kind string, version uint16) *Reader {
	r := &Reader{kind: kind, data: data}
	if got := string(r.take(len(magic))); r.err == nil && got != magic {
		r.Fail("magic %q, want %q", got, magic)
	}
	length := r.take(1)
	if r.err == nil {
		if got := string(r.take(int(length[0]))); r.err == nil && got != kind {
			r.Fail("kind %q", got)
		}
	}
	if b := r.take(2); r.err == nil && binary.LittleEndian.Uint16(b) != version {
		r.Fail("layout version %d, want %d", binary.LittleEndian.Uint16(b), version)
	}
	return r
}

// Fail notes a violated rule of the part's layout.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s: %s", ErrCorrupt, r.kind, fmt.Sprintf(format, args...))
	}
	r.data = nil
}

// Err is the first error so far.
func (r *Reader) Err() error { return r.err }

// Close is the first error, also if bytes are left over.
func (r *Reader) Close() error {
	if r.err == nil && len(r.data) > 0 {
		r.Fail("%d bytes too many", len(r.data))
	}
	return r.err
}

func (r *Reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.data) {
		r.Fail("%d bytes missing", n-len(r.data))
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

// room checks, before anything is allocated, that n values of at least the given size can follow.
func (r *Reader) room(n, size int) bool {
	if r.err == nil && (n < 0 || n > len(r.data)/size) {
		r.Fail("%d values do not fit into %d bytes", n, len(r.data))
	}
	return r.err == nil
}

// Len reads a count or dimension from 0 to limit.
func (r *Reader) Len(limit int) int {
	b := r.take(4)
	if r.err != nil {
		return 0
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(limit) {
		r.Fail("length %d is above %d", n, limit)
		return 0
	}
	return int(n)
}

// Float64 reads one number, which must be finite.
func (r *Reader) Float64() float64 {
	b := r.take(8)
	if r.err != nil {
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(b))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.Fail("a number is not finite")
		return 0
	}
	return f
}

// Uvarints reads n numbers from 0 to MaxInt64.
func (r *Reader) Uvarints(n int) []int64 {
	if !r.room(n, 1) {
		return nil
	}
	values := make([]int64, n)
	for i := range values {
		values[i] = r.uvarint()
	}
	return values
}

func (r *Reader) uvarint() int64 {
	v, size := binary.Uvarint(r.data)
	if r.err == nil && (size <= 0 || v > math.MaxInt64) {
		r.Fail("a varint is broken")
	}
	if r.err != nil {
		return 0
	}
	r.data = r.data[size:]
	return int64(v)
}

// Int32s reads n numbers from 0 to limit-1.
func (r *Reader) Int32s(n, limit int) []int32 {
	if !r.room(n, 4) {
		return nil
	}
	b, values := r.take(4*n), make([]int32, n)
	for i := range values {
		v := binary.LittleEndian.Uint32(b[4*i:])
		if uint64(v) >= uint64(limit) {
			r.Fail("index %d is not below %d", v, limit)
			return nil
		}
		values[i] = int32(v)
	}
	return values
}

// Int8s reads n numbers.
func (r *Reader) Int8s(n int) []int8 {
	if !r.room(n, 1) {
		return nil
	}
	b, values := r.take(n), make([]int8, n)
	for i := range values {
		values[i] = int8(b[i])
	}
	return values
}

// Float32s reads n numbers, which must be finite.
func (r *Reader) Float32s(n int) []float32 {
	if !r.room(n, 4) {
		return nil
	}
	b, values := r.take(4*n), make([]float32, n)
	for i := range values {
		bits := binary.LittleEndian.Uint32(b[4*i:])
		if bits&0x7f800000 == 0x7f800000 {
			r.Fail("a number is not finite")
			return nil
		}
		values[i] = math.Float32frombits(bits)
	}
	return values
}

// Strings reads n texts.
func (r *Reader) Strings(n int) []string {
	if !r.room(n, 1) {
		return nil
	}
	// One copy of the bytes holds all texts.
	text, start, values := string(r.data), len(r.data), make([]string, n)
	for i := range values {
		length := r.uvarint()
		if length > int64(len(r.data)) {
			r.Fail("a text of %d bytes does not fit into %d", length, len(r.data))
		}
		if r.err != nil {
			return nil
		}
		at := start - len(r.data)
		values[i] = text[at : at+int(length)]
		r.data = r.data[length:]
	}
	return values
}
