package codec

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
)

func TestCodecGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	w := NewWriter("sample", 3)
	w.Len(7)
	w.Float64(-0.25)
	w.Uvarints([]int64{0, 1, 300, math.MaxInt64})
	w.Int32s([]int32{0, 41})
	w.Float32s([]float32{1.5, -2})
	w.Strings([]string{"", "ß", "long enough"})

	r := NewReader(w.Bytes(), "sample", 3)
	if n := r.Len(7); n != 7 {
		t.Errorf("length %d", n)
	}
	if f := r.Float64(); f != -0.25 {
		t.Errorf("number %g", f)
	}
	if v := r.Uvarints(4); !slices.Equal(v, []int64{0, 1, 300, math.MaxInt64}) {
		t.Errorf("varints %v", v)
	}
	if v := r.Int32s(2, 42); !slices.Equal(v, []int32{0, 41}) {
		t.Errorf("indices %v", v)
	}
	if v := r.Float32s(2); !slices.Equal(v, []float32{1.5, -2}) {
		t.Errorf("numbers %v", v)
	}
	if v := r.Strings(3); !slices.Equal(v, []string{"", "ß", "long enough"}) {
		t.Errorf("texts %q", v)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	frame := NewWriter("sample", 1).Bytes()
	with := func(data ...byte) []byte { return append(slices.Clone(frame), data...) }
	for name, c := range map[string]struct {
		data []byte
		read func(*Reader)
	}{
		"no data":                  {nil, func(*Reader) {}},
		"another magic":            {append([]byte("HCNP"), frame[4:]...), func(*Reader) {}},
		"another kind":             {NewWriter("simple", 1).Bytes(), func(*Reader) {}},
		"another version":          {NewWriter("sample", 2).Bytes(), func(*Reader) {}},
		"a length above its limit": {with(9, 0, 0, 0), func(r *Reader) { r.Len(8) }},
		"more numbers than bytes":  {with(1, 2, 3, 4), func(r *Reader) { r.Float32s(math.MaxInt32) }},
		"more varints than bytes":  {with(1), func(r *Reader) { r.Uvarints(1 << 40) }},
		"a negative count":         {with(1), func(r *Reader) { r.Strings(-1) }},
		"an index out of range":    {with(5, 0, 0, 0), func(r *Reader) { r.Int32s(1, 5) }},
		"a varint without end":     {with(0x80), func(r *Reader) { r.Uvarints(1) }},
		"a varint beyond int64":    {with(binary.AppendUvarint(nil, 1<<63)...), func(r *Reader) { r.Uvarints(1) }},
		"a text beyond the end":    {with(200, 1, 'x'), func(r *Reader) { r.Strings(1) }},
		"not a number":             {with(0, 0, 0xc0, 0x7f), func(r *Reader) { r.Float32s(1) }},
		"bytes left over":          {with(0), func(*Reader) {}},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(c.data, "sample", 1)
			c.read(r)
			if err := r.Close(); !errors.Is(err, ErrCorrupt) {
				t.Errorf("error %v", err)
			}
		})
	}
}
