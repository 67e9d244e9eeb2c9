package filter

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// number is a decimal to compare columns with: float columns with the nearest float64, integer columns exactly, which
// float64 cannot beyond 2^53.
type number struct {
	real float64
	// floor is the largest integer that is not above the number, and integral whether it is the number.
	floor    int64
	integral bool
	// beyond is -1 for a number below, and 1 for a number above all of int64; then floor means nothing.
	beyond int
}

var errNotNumber = errors.New("is not a number")

// parseNumber reads a decimal: a sign, digits with an optional fraction, and an optional exponent.
func parseNumber(text string) (number, error) {
	mantissa, exponentText, hasExponent := cutAny(text, "eE")
	unsigned := strings.TrimLeft(mantissa, "+-")
	whole, fraction, _ := strings.Cut(unsigned, ".")
	if len(mantissa)-len(unsigned) > 1 || whole == "" || !allDigits(whole) || !allDigits(fraction) {
		return number{}, errNotNumber
	}
	e := strings.TrimLeft(exponentText, "+-")
	if hasExponent && (e == "" || len(exponentText)-len(e) > 1 || !allDigits(e)) {
		return number{}, errNotNumber
	}
	real, err := strconv.ParseFloat(text, 64)
	if errors.Is(err, strconv.ErrRange) {
		return number{}, errors.New("is out of the range of a double")
	}
	if err != nil {
		return number{}, errNotNumber
	}
	n := number{real: real}
	n.setFloor(strings.HasPrefix(mantissa, "-"), whole, fraction, exponentText)
	return n, nil
}

// setFloor moves the decimal point by the exponent and cuts there.
func (n *number) setFloor(negative bool, whole, fraction, exponentText string) {
	significant := strings.TrimLeft(whole+fraction, "0")
	if significant == "" {
		n.integral = true
		return
	}
	exponent, err := strconv.Atoi(strings.TrimPrefix(exponentText, "+"))
	if exponentText == "" {
		exponent = 0
	} else if err != nil {
		// Only a number so small that its float64 is zero comes here: a larger one is out of range.
		exponent = math.MinInt32
	}
	point := len(whole) - (len(whole+fraction) - len(significant)) + exponent
	switch {
	case point <= 0:
		if negative {
			n.floor = -1
		}
		return
	case point > len("9223372036854775807"):
		n.beyond = 1
		if negative {
			n.beyond = -1
		}
		return
	}
	if missing := point - len(significant); missing > 0 {
		significant += strings.Repeat("0", missing)
	}
	magnitude, _ := strconv.ParseUint(significant[:point], 10, 64) // 19 digits always fit
	n.integral = strings.Trim(significant[point:], "0") == ""
	switch {
	case !negative && (magnitude > math.MaxInt64 || magnitude == math.MaxInt64 && !n.integral):
		n.beyond = 1
	case negative && (magnitude > 1<<63 || magnitude == 1<<63 && !n.integral):
		n.beyond = -1
	case !negative:
		n.floor = int64(magnitude)
	case n.integral:
		n.floor = -int64(magnitude) // also right for 2^63, which is its own negation
	default:
		n.floor = -int64(magnitude) - 1
	}
}

// integerNumber and realNumber are the numbers that columns hold.
func integerNumber(v int64) number {
	return number{real: float64(v), floor: v, integral: true}
}

func realNumber(v float64) number {
	n := number{real: v}
	switch floor := math.Floor(v); {
	case floor >= math.MaxInt64: // as a float64: 2^63
		n.beyond = 1
	case floor < math.MinInt64:
		n.beyond = -1
	default:
		n.floor, n.integral = int64(floor), floor == v
	}
	return n
}

// integerRange is the range, both ends included, of the integers that compare with the number as the operator says; a
// negated operator has the range of its opposite.
func (n number) integerRange(op operator) (low, high int64, ok bool) {
	low, high = math.MinInt64, math.MaxInt64
	if n.beyond != 0 {
		switch op {
		case less, lessOrEqual:
			return low, high, n.beyond > 0
		case greater, greaterOrEqual:
			return low, high, n.beyond < 0
		}
		return 0, 0, false
	}
	switch op {
	case less:
		if high = n.floor; n.integral {
			if high == math.MinInt64 {
				return 0, 0, false
			}
			high--
		}
	case lessOrEqual:
		high = n.floor
	case greater, greaterOrEqual:
		if low = n.floor; op == greater || !n.integral {
			if low == math.MaxInt64 {
				return 0, 0, false
			}
			low++
		}
	default:
		return n.floor, n.floor, n.integral
	}
	return low, high, true
}

// realRange is integerRange for float64.
func (n number) realRange(op operator) (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	switch op {
	case less:
		high = math.Nextafter(n.real, math.Inf(-1))
	case lessOrEqual:
		high = n.real
	case greater:
		low = math.Nextafter(n.real, math.Inf(1))
	case greaterOrEqual:
		low = n.real
	default:
		low, high = n.real, n.real
	}
	return low, high
}

func cutAny(text, separators string) (before, after string, found bool) {
	if i := strings.IndexAny(text, separators); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

func allDigits(text string) bool {
	for i := range len(text) {
		if !isDigit(text[i]) {
			return false
		}
	}
	return true
}

// attributeNumber finds the number that an attribute holds.
func attributeNumber(value any) (number, bool) {
	switch v := value.(type) {
	case int64:
		return integerNumber(v), true
	case float64:
		return realNumber(v), !math.IsNaN(v)
	}
	return number{}, false
}

// compares reports whether an attribute stands to the number as the operator says; a negated operator means its
// opposite.
func (n number) compares(value any, op operator) bool {
	switch v := value.(type) {
	case int64:
		low, high, ok := n.integerRange(op)
		return ok && v >= low && v <= high
	case float64:
		low, high := n.realRange(op)
		return v >= low && v <= high
	}
	return false
}
