package eventfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxFooter is far above the footer of any file written here (some hundred bytes per column and row group).
const maxFooter = 64 << 20

var errFooter = errors.New("the footer is damaged")

// checkFooter walks over the footer's Thrift structure before the Parquet library reads it. The library allocates what
// a list's length asks for before it looks whether the bytes are there: one flipped bit could ask for more memory than
// the machine has, which no recover catches.
func checkFooter(r io.ReaderAt, size int64) error {
	const magic, tail = "PAR1", 8
	if size < int64(len(magic))+tail {
		return fmt.Errorf("%d bytes are too few for a file", size)
	}
	var end [tail]byte
	if _, err := r.ReadAt(end[:], size-tail); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the end: %w", err)
	}
	length := int64(binary.LittleEndian.Uint32(end[:4]))
	if string(end[4:]) != magic || length > size-tail-int64(len(magic)) || length > maxFooter {
		return errFooter
	}
	footer := make([]byte, length)
	if _, err := r.ReadAt(footer, size-tail-length); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the footer: %w", err)
	}
	w := &thriftWalker{rest: footer}
	w.structure(0)
	if w.damaged {
		return errFooter
	}
	return nil
}

// thriftWalker skips over values in Thrift's compact protocol
// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
type thriftWalker struct {
	rest    []byte
	damaged bool
}

// The compact protocol's types.
const (
	thriftStop = iota
	thriftTrue
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

const maxNesting = 32

func (w *thriftWalker) structure(depth int) {
	for !w.damaged {
		header := w.byte()
		typ := int(header & 0x0f)
		if w.damaged || typ == thriftStop {
			return
		}
		if header>>4 == 0 {
			w.varint() // the field's id in full
		}
		if typ != thriftTrue && typ != thriftFalse { // a field's boolean is its type
			w.value(typ, depth)
		}
	}
}

func (w *thriftWalker) value(typ, depth int) {
	if depth > maxNesting {
		w.damaged = true
		return
	}
	switch typ {
	case thriftTrue, thriftFalse, thriftByte:
		w.skip(1)
	case thriftI16, thriftI32, thriftI64:
		w.varint()
	case thriftDouble:
		w.skip(8)
	case thriftBinary:
		w.skip(w.varint())
	case thriftList, thriftSet:
		header := w.byte()
		length := uint64(header >> 4)
		if length == 15 {
			length = w.varint()
		}
		w.values(length, depth, int(header&0x0f))
	case thriftMap:
		if length := w.varint(); length > 0 {
			types := w.byte()
			w.values(length, depth, int(types>>4), int(types&0x0f))
		}
	case thriftStruct:
		w.structure(depth + 1)
	default:
		w.damaged = true
	}
}

// values walks over a list's elements, or a map's pairs; each takes one byte at least.
func (w *thriftWalker) values(length uint64, depth int, types ...int) {
	if length > uint64(len(w.rest)) {
		w.damaged = true
	}
	for range length {
		for _, typ := range types {
			if w.damaged {
				return
			}
			w.value(typ, depth+1)
		}
	}
}

func (w *thriftWalker) byte() byte {
	if len(w.rest) == 0 {
		w.damaged = true
		return 0
	}
	b := w.rest[0]
	w.rest = w.rest[1:]
	return b
}

func (w *thriftWalker) varint() uint64 {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 {
		w.damaged = true
		return 0
	}
	w.rest = w.rest[n:]
	return v
}

func (w *thriftWalker) skip(n uint64) {
	if n > uint64(len(w.rest)) {
		w.damaged = true
		return
	}
	w.rest = w.rest[n:]
}
