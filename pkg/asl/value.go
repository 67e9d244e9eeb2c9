package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// A jsonValue is what JSON decodes to: nil, bool, json.Number, string, jsonArray or jsonObject. Numbers keep their
// text, so that what a state only passes on comes out as it went in.
type (
	jsonValue  = any
	jsonArray  = []any
	jsonObject = map[string]any
)

// maxData is the largest input, output or result of a state, in bytes.
const maxData = 256 << 10

// decodeValue reads one JSON value and nothing behind it.
func decodeValue(data []byte) (jsonValue, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v jsonValue
	if err := decoder.Decode(&v); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading JSON: there is more behind the value")
	}
	return v, nil
}

// stored decodes what this package has encoded, or checked, before.
func stored(data json.RawMessage) jsonValue {
	if len(data) == 0 {
		return nil
	}
	v, err := decodeValue(data)
	if err != nil {
		panic(fmt.Sprintf("asl: an execution's state holds no JSON: %v", err))
	}
	return v
}

// encodeValue writes a value, members sorted by name.
func encodeValue(v jsonValue) json.RawMessage {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Sprintf("asl: encoding a value: %v", err)) // values hold nothing else than JSON
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

// clone copies a value, so that changing one leaves the other.
func clone(v jsonValue) jsonValue {
	switch v := v.(type) {
	case jsonObject:
		c := make(jsonObject, len(v))
		for name, member := range v {
			c[name] = clone(member)
		}
		return c
	case jsonArray:
		c := make(jsonArray, len(v))
		for i, element := range v {
			c[i] = clone(element)
		}
		return c
	}
	return v
}

// equal compares numbers by what they are worth.
func equal(a, b jsonValue) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && compareNumbers(a, b) == 0
	case jsonArray:
		b, ok := b.(jsonArray)
		return ok && slices.EqualFunc(a, b, equal)
	case jsonObject:
		b, ok := b.(jsonObject)
		return ok && maps.EqualFunc(a, b, equal)
	}
	switch b.(type) {
	case json.Number, jsonArray, jsonObject:
		return false
	}
	return a == b
}

func compareNumbers(a, b json.Number) int {
	x, y := rational(a), rational(b)
	return x.Cmp(y)
}

// rational is a number's exact value. Exponents beyond what a double has are cut: nobody may have us write out
// 10^999999999.
func rational(n json.Number) *big.Rat {
	text := string(n)
	if strings.ContainsAny(text, "eE") {
		f, err := n.Float64()
		if err != nil {
			f = maxDouble
			if strings.HasPrefix(text, "-") {
				f = -maxDouble
			}
		}
		return new(big.Rat).SetFloat64(f)
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return new(big.Rat)
	}
	return r
}

const maxDouble = 0x1p1023 * (1 + (1 - 0x1p-52))

// wholeNumber is a number without a fraction that fits into 64 bits.
func wholeNumber(v jsonValue) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	r := rational(n)
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}

func number(n int64) json.Number { return json.Number(fmt.Sprint(n)) }

// typeName names a value's type in messages.
func typeName(v jsonValue) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case jsonArray:
		return "an array"
	}
	return "an object"
}

// sortedKeys are an object's names in the order in which everything walks through it.
func sortedKeys[V any](object map[string]V) []string { return slices.Sorted(maps.Keys(object)) }
