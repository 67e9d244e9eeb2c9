//go:build avo

// Command gen writes the AVX2 kernels of package simd: `go generate ./pkg/simd`. It stands behind a build tag so that
// an ordinary build does not compile the assembler.
//
// All kernels read with unaligned loads, keep their sums in registers in a fixed order (so results are repeatable) and
// finish with VZEROUPPER. Lengths called dim are multiples of 8: the Go side handles what is left over.
package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build" // avo programs read as assembly that way
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	lanes = 8         // float32 in a YMM register
	step  = 4 * lanes // bytes in a YMM register
)

func main() {
	ConstraintExpr("amd64,!purego")
	dot()
	axpy()
	matVec()
	addResiduals()
	multiplyTile()
	expSum()
	adam()
	Generate()
}

// dot: four accumulators hide the latency of the fused multiply-add.
func dot() {
	TEXT("dotAVX2", NOSPLIT, "func(x, y *float32, dim int) float32")
	Doc("dotAVX2 is the inner product of two vectors of dim (a multiple of 8) elements.")
	x, y, n := arg("x"), arg("y"), arg("dim")
	acc := zeros(4)

	Label("dot32")
	CMPQ(n, U8(4*lanes))
	JL(LabelRef("dot8"))
	for k, a := range acc {
		v := YMM()
		VMOVUPS(Mem{Base: x, Disp: k * step}, v)
		VFMADD231PS(Mem{Base: y, Disp: k * step}, v, a)
	}
	ADDQ(U8(4*step), x)
	ADDQ(U32(4*step), y)
	SUBQ(U8(4*lanes), n)
	JMP(LabelRef("dot32"))

	Label("dot8")
	CMPQ(n, U8(lanes))
	JL(LabelRef("dotSum"))
	v := YMM()
	VMOVUPS(Mem{Base: x}, v)
	VFMADD231PS(Mem{Base: y}, v, acc[0])
	ADDQ(U8(step), x)
	ADDQ(U8(step), y)
	SUBQ(U8(lanes), n)
	JMP(LabelRef("dot8"))

	Label("dotSum")
	VADDPS(acc[1], acc[0], acc[0])
	VADDPS(acc[3], acc[2], acc[2])
	VADDPS(acc[2], acc[0], acc[0])
	sum := sumLanes(acc[0])
	VZEROUPPER()
	Store(sum, ReturnIndex(0))
	RET()
}

func axpy() {
	TEXT("axpyAVX2", NOSPLIT, "func(a float32, x, y *float32, dim int)")
	Doc("axpyAVX2 adds a times x to y, both of dim (a multiple of 8) elements.")
	x, y, n := arg("x"), arg("y"), arg("dim")
	a := YMM()
	addr, err := Param("a").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(addr.Addr, a)

	Label("axpy32")
	CMPQ(n, U8(4*lanes))
	JL(LabelRef("axpy8"))
	var sums []reg.VecVirtual
	for k := range 4 {
		s := YMM()
		VMOVUPS(Mem{Base: y, Disp: k * step}, s)
		VFMADD231PS(Mem{Base: x, Disp: k * step}, a, s)
		sums = append(sums, s)
	}
	for k, s := range sums {
		VMOVUPS(s, Mem{Base: y, Disp: k * step})
	}
	ADDQ(U8(4*step), x)
	ADDQ(U8(4*step), y)
	SUBQ(U8(4*lanes), n)
	JMP(LabelRef("axpy32"))

	Label("axpy8")
	CMPQ(n, U8(lanes))
	JL(LabelRef("axpyEnd"))
	s := YMM()
	VMOVUPS(Mem{Base: y}, s)
	VFMADD231PS(Mem{Base: x}, a, s)
	VMOVUPS(s, Mem{Base: y})
	ADDQ(U8(step), x)
	ADDQ(U8(step), y)
	SUBQ(U8(lanes), n)
	JMP(LabelRef("axpy8"))

	Label("axpyEnd")
	VZEROUPPER()
	RET()
}

// matVec: four rows share each load of the vector.
func matVec() {
	TEXT("matVecAVX2", NOSPLIT, "func(out, m, x *float32, rows, stride, dim int)")
	Doc("matVecAVX2 writes the inner products of x with rows (a multiple of 4) rows of m, which lie stride "+
		"elements apart,",
		"over their first dim (a multiple of 8) elements.")
	out, m, x := arg("out"), arg("m"), arg("x")
	rows, stride, dim := arg("rows"), arg("stride"), arg("dim")
	SHLQ(U8(2), stride) // bytes
	SHLQ(U8(2), dim)
	wide := GP64() // the part that is read 16 elements at a time
	MOVQ(dim, wide)
	ANDQ(I8(-2*step), wide)

	Label("matVecRows")
	CMPQ(rows, U8(4))
	JL(LabelRef("matVecEnd"))
	r := fourRows(func(k int, p reg.GPVirtual) {
		if k == 0 {
			MOVQ(m, p)
		}
	}, stride)
	sums := fourDots("matVec", r, x, wide, dim)
	VMOVUPS(sums, Mem{Base: out})
	LEAQ(Mem{Base: m, Index: stride, Scale: 4}, m)
	ADDQ(U8(16), out)
	SUBQ(U8(4), rows)
	JMP(LabelRef("matVecRows"))

	Label("matVecEnd")
	VZEROUPPER()
	RET()
}

// fourRows makes the addresses of four rows that lie one after the other.
func fourRows(first func(int, reg.GPVirtual), stride reg.Register) [4]reg.GPVirtual {
	var r [4]reg.GPVirtual
	for k := range r {
		r[k] = GP64()
		first(k, r[k])
		if k > 0 {
			LEAQ(Mem{Base: r[k-1], Index: stride, Scale: 1}, r[k])
		}
	}
	return r
}

// addResiduals: each group of four rows is read from memory once: the inner products bring it into the first-level
// cache, the weighted sum finds it there.
func addResiduals() {
	TEXT(
		"addResidualsAVX2", NOSPLIT,
		"func(y, m *float32, index *int32, weights *float32, rows int, target float32, x *float32, dim int)",
	)
	Doc("addResidualsAVX2 adds weights[k] * (target - m[index[k]]·x) * m[index[k]] to y for k < rows (a multiple of "+
		"4), where",
		"rows of m have dim (a multiple of 8) elements.")
	y, m, index, weights := arg("y"), arg("m"), arg("index"), arg("weights")
	rows, x, dim := arg("rows"), arg("x"), arg("dim")
	target := XMM()
	addr, err := Param("target").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(addr.Addr, target)
	SHLQ(U8(2), dim)
	wide := GP64()
	MOVQ(dim, wide)
	ANDQ(I8(-2*step), wide)

	Label("residualRows")
	CMPQ(rows, U8(4))
	JL(LabelRef("residualEnd"))
	var r [4]reg.GPVirtual
	for k := range r {
		r[k] = GP64()
		MOVLQSX(Mem{Base: index, Disp: 4 * k}, r[k])
		IMULQ(dim, r[k])
		ADDQ(m, r[k])
	}
	sums := fourDots("residual", r, x, wide, dim)
	VSUBPS(sums, target, sums)
	VMULPS(Mem{Base: weights}, sums, sums)
	var c [4]reg.VecVirtual
	for k := range c {
		c[k] = YMM()
		lane := XMM()
		VPERMILPS(U8(k*0b01010101), sums, lane)
		VBROADCASTSS(lane, c[k])
	}

	at := GP64()
	XORQ(at, at)
	Label("residualAdd16")
	CMPQ(at, wide)
	JGE(LabelRef("residualAdd8"))
	s0, s1 := YMM(), YMM()
	VMOVUPS(Mem{Base: y, Index: at, Scale: 1}, s0)
	VMOVUPS(Mem{Base: y, Index: at, Scale: 1, Disp: step}, s1)
	for k := range r {
		VFMADD231PS(Mem{Base: r[k], Index: at, Scale: 1}, c[k], s0)
		VFMADD231PS(Mem{Base: r[k], Index: at, Scale: 1, Disp: step}, c[k], s1)
	}
	VMOVUPS(s0, Mem{Base: y, Index: at, Scale: 1})
	VMOVUPS(s1, Mem{Base: y, Index: at, Scale: 1, Disp: step})
	ADDQ(U8(2*step), at)
	JMP(LabelRef("residualAdd16"))
	Label("residualAdd8")
	CMPQ(at, dim)
	JGE(LabelRef("residualNext"))
	s := YMM()
	VMOVUPS(Mem{Base: y, Index: at, Scale: 1}, s)
	for k := range r {
		VFMADD231PS(Mem{Base: r[k], Index: at, Scale: 1}, c[k], s)
	}
	VMOVUPS(s, Mem{Base: y, Index: at, Scale: 1})

	Label("residualNext")
	ADDQ(U8(16), index)
	ADDQ(U8(16), weights)
	SUBQ(U8(4), rows)
	JMP(LabelRef("residualRows"))

	Label("residualEnd")
	VZEROUPPER()
	RET()
}

// multiplyTile keeps the tile's 12 registers while it goes through the panels: per step two loads and six broadcasts
// feed twelve multiply-adds, which is what the two units take in six cycles.
func multiplyTile() {
	const rows, columns = 6, 2 * lanes
	TEXT("multiplyTileAVX2", NOSPLIT, "func(c *float32, stride int, a, b *float32, depth int)")
	Doc("multiplyTileAVX2 adds the product of a panel of 6 rows and one of 16 columns to a tile of c, whose rows "+
		"lie stride",
		"elements apart. Panels are packed: a has 6 elements, and b has 16, for each of depth (at least 1) steps.")
	c, stride, a, b, depth := arg("c"), arg("stride"), arg("a"), arg("b"), arg("depth")
	SHLQ(U8(2), stride) // bytes
	var acc [rows][]reg.VecVirtual
	for r := range acc {
		acc[r] = zeros(2)
	}
	b0, b1 := YMM(), YMM()
	multiply := func(at int) {
		VMOVUPS(Mem{Base: b, Disp: at * 4 * columns}, b0)
		VMOVUPS(Mem{Base: b, Disp: at*4*columns + step}, b1)
		for r := range acc {
			v := YMM()
			VBROADCASTSS(Mem{Base: a, Disp: 4 * (at*rows + r)}, v)
			VFMADD231PS(b0, v, acc[r][0])
			VFMADD231PS(b1, v, acc[r][1])
		}
	}

	const unrolled = 4
	Label("tileSteps")
	CMPQ(depth, U8(unrolled))
	JL(LabelRef("tileStep"))
	for at := range unrolled {
		multiply(at)
	}
	ADDQ(U32(4*rows*unrolled), a)
	ADDQ(U32(4*columns*unrolled), b)
	SUBQ(U8(unrolled), depth)
	JMP(LabelRef("tileSteps"))
	Label("tileStep")
	TESTQ(depth, depth)
	JZ(LabelRef("tileAdd"))
	multiply(0)
	ADDQ(U8(4*rows), a)
	ADDQ(U8(4*columns), b)
	DECQ(depth)
	JMP(LabelRef("tileStep"))

	Label("tileAdd")
	for r := range acc {
		for half := range acc[r] {
			VADDPS(Mem{Base: c, Disp: half * step}, acc[r][half], acc[r][half])
			VMOVUPS(acc[r][half], Mem{Base: c, Disp: half * step})
		}
		if r < rows-1 {
			ADDQ(stride, c)
		}
	}
	VZEROUPPER()
	RET()
}

// expSum is expGo (which see) in eight lanes.
func expSum() {
	least, log2e := eight("expLeast", -87), eight("expLog2e", 1.44269504088896341)
	high, low := eight("expHigh", 0.693359375), eight("expLow", -2.12194440e-4)
	one, most, bias := eight("expOne", 1), eight("expMost", 88), eight("expBias", math.Float32frombits(127))
	var polynomial []Mem
	for k, c := range []float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		polynomial = append(polynomial, eight(fmt.Sprint("expPolynomial", k), c))
	}
	TEXT("expSumAVX2", NOSPLIT, "func(x *float32, shift float32, dim int) float32")
	Doc("expSumAVX2 replaces each of dim (a multiple of 8) elements by exp(element - shift) and returns their sum.")
	x, n := arg("x"), arg("dim")
	shift := YMM()
	addr, err := Param("shift").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(addr.Addr, shift)
	sum := zeros(1)[0]

	Label("expSum8")
	CMPQ(n, U8(lanes))
	JL(LabelRef("expSumEnd"))
	v, inside, whole, p := YMM(), YMM(), YMM(), YMM()
	VMOVUPS(Mem{Base: x}, v)
	VSUBPS(shift, v, v)
	VCMPPS(U8(0x1e), least, v, inside) // greater, and not a NaN
	VMINPS(most, v, v)
	VMULPS(log2e, v, whole)
	VROUNDPS(U8(0), whole, whole)
	VFNMADD231PS(high, whole, v)
	VFNMADD231PS(low, whole, v)
	VMOVUPS(polynomial[0], p)
	for _, c := range polynomial[1:] {
		VFMADD213PS(c, v, p)
	}
	VFMADD213PS(one, v, p)
	VFMADD213PS(one, v, p)
	VCVTPS2DQ(whole, whole)
	VPADDD(bias, whole, whole)
	VPSLLD(U8(23), whole, whole)
	VMULPS(whole, p, p)
	VANDPS(inside, p, p)
	VMOVUPS(p, Mem{Base: x})
	VADDPS(p, sum, sum)
	ADDQ(U8(step), x)
	SUBQ(U8(lanes), n)
	JMP(LabelRef("expSum8"))

	Label("expSumEnd")
	total := sumLanes(sum)
	VZEROUPPER()
	Store(total, ReturnIndex(0))
	RET()
}

// adam: a square root and a division for each register take most of its time, whatever stands around them.
func adam() {
	TEXT(
		"adamAVX2", NOSPLIT,
		"func(values, gradient, mean, square *float32, dim int, scale, freshMean, freshSquare, way, root float32)",
	)
	Doc("adamAVX2 takes dim (a multiple of 8) gradients into their moments and moves the values by these; see Adam.")
	values, gradient, mean, square, n := arg("values"), arg("gradient"), arg("mean"), arg("square"), arg("dim")
	scale, freshMean, freshSquare, way, root := lane("scale"), lane("freshMean"), lane("freshSquare"), lane("way"),
		lane("root")
	least := YMM()
	VMOVUPS(eight("leastRoot", 1e-8), least)

	Label("adam8")
	CMPQ(n, U8(lanes))
	JL(LabelRef("adamEnd"))
	g, m, q, d, v := YMM(), YMM(), YMM(), YMM(), YMM()
	VMULPS(Mem{Base: gradient}, scale, g)
	VMOVUPS(Mem{Base: mean}, m)
	VSUBPS(m, g, d) // g - m
	VFMADD231PS(d, freshMean, m)
	VMOVUPS(m, Mem{Base: mean})
	VMOVUPS(Mem{Base: square}, q)
	VMOVAPS(q, d)
	VFMSUB231PS(g, g, d) // g² - q
	VFMADD231PS(d, freshSquare, q)
	VMOVUPS(q, Mem{Base: square})
	VMULPS(root, q, q)
	VSQRTPS(q, q)
	VADDPS(least, q, q)
	VDIVPS(q, m, m)
	VMOVUPS(Mem{Base: values}, v)
	VFNMADD231PS(m, way, v)
	VMOVUPS(v, Mem{Base: values})
	for _, p := range []reg.Register{values, gradient, mean, square} {
		ADDQ(U8(step), p)
	}
	SUBQ(U8(lanes), n)
	JMP(LabelRef("adam8"))

	Label("adamEnd")
	VZEROUPPER()
	RET()
}

// lane is a float argument in all lanes.
func lane(name string) reg.VecVirtual {
	addr, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := YMM()
	VBROADCASTSS(addr.Addr, v)
	return v
}

// eight is a constant in all lanes.
func eight(name string, value float32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for k := range lanes {
		DATA(4*k, U32(math.Float32bits(value)))
	}
	return m
}

// fourDots is the inner products of x with four rows, in the four lanes of the result. Two accumulators a row keep both
// multiply-add units busy; wide is dim (in bytes) rounded down to 16 elements.
func fourDots(label string, r [4]reg.GPVirtual, x, wide, dim reg.Register) reg.VecVirtual {
	acc := zeros(8)
	at := GP64()
	XORQ(at, at)
	Label(label + "Dot16")
	CMPQ(at, wide)
	JGE(LabelRef(label + "Dot8"))
	for half := range 2 {
		v := YMM()
		VMOVUPS(Mem{Base: x, Index: at, Scale: 1, Disp: half * step}, v)
		for k := range r {
			VFMADD231PS(Mem{Base: r[k], Index: at, Scale: 1, Disp: half * step}, v, acc[4*half+k])
		}
	}
	ADDQ(U8(2*step), at)
	JMP(LabelRef(label + "Dot16"))
	Label(label + "Dot8")
	CMPQ(at, dim)
	JGE(LabelRef(label + "DotSum"))
	v := YMM()
	VMOVUPS(Mem{Base: x, Index: at, Scale: 1}, v)
	for k := range r {
		VFMADD231PS(Mem{Base: r[k], Index: at, Scale: 1}, v, acc[k])
	}
	Label(label + "DotSum")
	for k := range r {
		VADDPS(acc[4+k], acc[k], acc[k])
	}
	VHADDPS(acc[1], acc[0], acc[0])
	VHADDPS(acc[3], acc[2], acc[2])
	VHADDPS(acc[2], acc[0], acc[0])
	high := XMM()
	VEXTRACTF128(U8(1), acc[0], high)
	VADDPS(high, acc[0].AsX(), acc[0].AsX())
	return acc[0].AsX().(reg.VecVirtual)
}

func arg(name string) reg.Register { return Load(Param(name), GP64()) }

func zeros(n int) []reg.VecVirtual {
	acc := make([]reg.VecVirtual, n)
	for i := range acc {
		acc[i] = YMM()
		VXORPS(acc[i], acc[i], acc[i])
	}
	return acc
}

// sumLanes adds up the eight lanes of v.
func sumLanes(v reg.VecVirtual) reg.Register {
	high := XMM()
	VEXTRACTF128(U8(1), v, high)
	sum := v.AsX()
	VADDPS(high, sum, sum)
	VHADDPS(sum, sum, sum)
	VHADDPS(sum, sum, sum)
	return sum
}
