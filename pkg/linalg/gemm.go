// Package linalg is dense linear algebra in single precision: products of matrices, Cholesky's factorisation with its
// solves and inverse, and a randomised singular value decomposition. The models that are trained by solving systems or
// by whole batches call it. Everything costly in it is made of Gemm, which spends its time in simd.MultiplyTile.
//
// A result depends on its operands alone, bit for bit, and not on the number of threads: each element is summed in one
// order. It differs between machines with and without AVX2, as package simd does. Mismatched shapes are programming
// errors and panic.
package linalg

import (
	"fmt"
	"sync"

	"github.com/penchant-io/penchant/pkg/simd"
)

// Matrix is a row-major matrix: element (i, j) is Data[i*Stride+j]. Its rows may lie apart, so parts of a matrix are
// matrices over the same memory.
type Matrix struct {
	Rows, Cols, Stride int
	Data               []float32
}

// New makes a matrix of zeros.
func New(rows, cols int) Matrix {
	return Matrix{rows, cols, cols, make([]float32, rows*cols)}
}

// Of makes a matrix of rows that lie one after the other.
func Of(data []float32, rows, cols int) Matrix {
	if len(data) < rows*cols {
		panic(fmt.Sprintf("linalg: %d elements are too few for %d by %d", len(data), rows, cols))
	}
	return Matrix{rows, cols, cols, data[:rows*cols]}
}

// Row is a row, over the matrix's memory.
func (m Matrix) Row(i int) []float32 {
	from := i * m.Stride
	return m.Data[from : from+m.Cols : from+m.Cols]
}

// Part is the rows from r0 and the columns from c0, up to r1 and c1, over the matrix's memory.
func (m Matrix) Part(r0, r1, c0, c1 int) Matrix {
	if r0 < 0 || r1 < r0 || r1 > m.Rows || c0 < 0 || c1 < c0 || c1 > m.Cols {
		panic(fmt.Sprintf(
			"linalg: rows %d to %d, columns %d to %d of a matrix of %d by %d", r0, r1, c0, c1, m.Rows, m.Cols,
		))
	}
	p := Matrix{Rows: r1 - r0, Cols: c1 - c0, Stride: m.Stride}
	if p.Rows > 0 && p.Cols > 0 {
		p.Data = m.Data[r0*m.Stride+c0 : (r1-1)*m.Stride+c1]
	}
	return p
}

// operand is a matrix, or its transpose, as a factor.
type operand struct {
	Matrix
	transposed bool
}

func (o operand) shape() (rows, cols int) {
	if o.transposed {
		return o.Cols, o.Rows
	}
	return o.Rows, o.Cols
}

// Gemm makes c = alpha a b + beta c. With beta 0 it does not read c, which must not overlap with a or b. threads is the
// most goroutines that it uses.
func Gemm(c, a, b Matrix, alpha, beta float32, threads int) {
	gemm(c, operand{a, false}, operand{b, false}, alpha, beta, threads)
}

// GemmTN is Gemm with a transposed: c = alpha aᵀ b + beta c.
func GemmTN(c, a, b Matrix, alpha, beta float32, threads int) {
	gemm(c, operand{a, true}, operand{b, false}, alpha, beta, threads)
}

// GemmNT is Gemm with b transposed: c = alpha a bᵀ + beta c.
func GemmNT(c, a, b Matrix, alpha, beta float32, threads int) {
	gemm(c, operand{a, false}, operand{b, true}, alpha, beta, threads)
}

// The sizes of what is packed at a time: a block of a stays in the second-level cache, a panel of b in the first, and a
// block of b in the third.
const (
	blockDepth   = 256
	blockRows    = 16 * simd.TileRows
	blockColumns = 64 * simd.TileColumns
	// minWork is the multiplications that are worth a goroutine.
	minWork = 1 << 20
)

// gemm gives each thread a strip of c. All strips are multiplied alike, and an element's sum does not depend on where
// in its strip it stands, so that the strips' sizes do not matter.
func gemm(c Matrix, a, b operand, alpha, beta float32, threads int) {
	rows, depth := a.shape()
	depthB, cols := b.shape()
	if c.Rows != rows || c.Cols != cols || depth != depthB {
		panic(fmt.Sprintf(
			"linalg: a product of %d by %d and %d by %d is not %d by %d", rows, depth, depthB, cols, c.Rows, c.Cols,
		))
	}
	if rows == 0 || cols == 0 {
		return
	}
	threads = max(1, min(threads, int(float64(rows)*float64(cols)*float64(depth)/minWork)))
	if threads == 1 {
		strip(c, a, b, alpha, beta)
		return
	}
	var all sync.WaitGroup
	size, unit := rows, simd.TileRows
	if cols > rows {
		size, unit = cols, simd.TileColumns
	}
	wide := (size + threads*unit - 1) / (threads * unit) * unit
	for from := 0; from < size; from += wide {
		to := min(from+wide, size)
		all.Go(func() {
			if cols > rows {
				strip(c.Part(0, rows, from, to), a, b.columns(from, to), alpha, beta)
			} else {
				strip(c.Part(from, to, 0, cols), a.rows(from, to), b, alpha, beta)
			}
		})
	}
	all.Wait()
}

// rows and columns are parts of an operand as it enters the product.
func (o operand) rows(from, to int) operand {
	if o.transposed {
		return operand{o.Part(0, o.Rows, from, to), true}
	}
	return operand{o.Part(from, to, 0, o.Cols), false}
}

func (o operand) columns(from, to int) operand {
	if o.transposed {
		return operand{o.Part(from, to, 0, o.Cols), true}
	}
	return operand{o.Part(0, o.Rows, from, to), false}
}

// packed is the memory of one strip.
type packed struct{ a, b []float32 }

var pool = sync.Pool{New: func() any {
	return &packed{make([]float32, blockDepth*blockRows), make([]float32, blockDepth*blockColumns)}
}}

func strip(c Matrix, a, b operand, alpha, beta float32) {
	scale(c, beta)
	_, depth := a.shape()
	if alpha == 0 || depth == 0 {
		return
	}
	p := pool.Get().(*packed)
	defer pool.Put(p)
	for j := 0; j < c.Cols; j += blockColumns {
		j1 := min(j+blockColumns, c.Cols)
		for d := 0; d < depth; d += blockDepth {
			d1 := min(d+blockDepth, depth)
			piece{b.Matrix, !b.transposed, j, j1, d, d1}.pack(p.b, simd.TileColumns, 1)
			for i := 0; i < c.Rows; i += blockRows {
				i1 := min(i+blockRows, c.Rows)
				piece{a.Matrix, a.transposed, i, i1, d, d1}.pack(p.a, simd.TileRows, alpha)
				tiles(c.Part(i, i1, j, j1), p, d1-d)
			}
		}
	}
}

func scale(c Matrix, beta float32) {
	if beta == 1 {
		return
	}
	for i := range c.Rows {
		row := c.Row(i)
		if beta == 0 {
			clear(row)
			continue
		}
		for k := range row {
			row[k] *= beta
		}
	}
}

// piece is lines from…end of an operand, at depths d0…d1. A line is a row of a or a column of b; along is true where
// the elements of one depth lie side by side in memory.
type piece struct {
	Matrix
	along     bool
	from, end int
	d0, d1    int
}

// pack writes the piece, times alpha, width lines a panel, the last filled up with zeros.
func (o piece) pack(to []float32, width int, alpha float32) {
	depth, d0, along := o.d1-o.d0, o.d0, o.along
	for line := o.from; line < o.end; line += width {
		panel := to[:depth*width]
		to = to[depth*width:]
		n := min(width, o.end-line)
		if n < width {
			clear(panel)
		}
		if along && n == simd.TileRows && width == simd.TileRows {
			for d := range depth { // as an array: a call of copy costs more than it copies
				*(*[simd.TileRows]float32)(panel[d*width:]) = [simd.TileRows]float32(o.Data[(d0+d)*o.Stride+line:])
			}
		} else if along {
			for d := range depth {
				copy(panel[d*width:][:n], o.Data[(d0+d)*o.Stride+line:])
			}
		} else if n == simd.TileRows && width == simd.TileRows {
			sixLines(panel, o.Matrix, line, d0, depth)
		} else {
			for k := range n {
				for d, v := range o.Data[(line+k)*o.Stride+d0:][:depth] {
					panel[d*width+k] = v
				}
			}
		}
		if alpha != 1 {
			for k := range panel {
				panel[k] *= alpha
			}
		}
	}
}

// sixLines packs a full panel of rows, all at once: stores that lie side by side cost a third of scattered ones.
func sixLines(panel []float32, m Matrix, line, d0, depth int) {
	row := func(k int) []float32 { return m.Data[(line+k)*m.Stride+d0:][:depth] }
	r0, r1, r2, r3, r4, r5 := row(0), row(1), row(2), row(3), row(4), row(5)
	for d := range r0 {
		to := (*[simd.TileRows]float32)(panel[d*simd.TileRows:])
		to[0], to[1], to[2], to[3], to[4], to[5] = r0[d], r1[d], r2[d], r3[d], r4[d], r5[d]
	}
}

// tiles multiplies packed blocks. Tiles that stick out of c are made beside it.
func tiles(c Matrix, p *packed, depth int) {
	var beside [simd.TileRows * simd.TileColumns]float32
	for j := 0; j < c.Cols; j += simd.TileColumns {
		b := p.b[j*depth:][:depth*simd.TileColumns]
		for i := 0; i < c.Rows; i += simd.TileRows {
			a := p.a[i*depth:][:depth*simd.TileRows]
			if i+simd.TileRows <= c.Rows && j+simd.TileColumns <= c.Cols {
				simd.MultiplyTile(c.Data[i*c.Stride+j:], c.Stride, a, b)
				continue
			}
			clear(beside[:])
			simd.MultiplyTile(beside[:], simd.TileColumns, a, b)
			for r := i; r < min(i+simd.TileRows, c.Rows); r++ {
				row := c.Row(r)[j:min(j+simd.TileColumns, c.Cols)]
				for k := range row {
					row[k] += beside[(r-i)*simd.TileColumns+k]
				}
			}
		}
	}
}
