package awsapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"
)

// decode reads and validates a request.
func decode(body []byte, req any) *Error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	// encoding/json would put replacement characters in the place of what is not UTF-8, and make different ids one.
	if !utf8.Valid(body) {
		return newError(CodeSerialization, "The body is not the expected JSON: it is not UTF-8 text", nil)
	}
	if len(body) > firstBuffer && values(body) > maxValues {
		return InvalidInput("The body holds more than %d values.", maxValues)
	}
	if err := json.Unmarshal(body, req); err != nil {
		return undecodable(err)
	}
	if checked, ok := req.(interface{ Validate() error }); ok {
		if err := checked.Validate(); err != nil {
			var refusal *Error
			if !errors.As(err, &refusal) {
				refusal = InvalidInput("%s", err.Error())
			}
			return refusal
		}
	}
	return nil
}

// maxValues is more than any request within the API model's limits holds, in a body too large to keep small what it
// decodes to: of `[{},{},…` each three bytes become a struct of a hundred.
const maxValues = 20_000

// values counts the values of a JSON text by the commas and openings outside of its strings.
func values(text []byte) (n int) {
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == '{' || c == '['):
			n++
		}
	}
	return n
}

func undecodable(err error) *Error {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return newError(CodeSerialization, "The body is not the expected JSON: "+err.Error(), nil)
	}
	found := withArticle(mismatch.Value)
	if mismatch.Field == "" {
		return newError(CodeSerialization, "The body is not the expected JSON: it must be an object, not "+found, nil)
	}
	return InvalidInput("The member '%s' must be %s, not %s.", mismatch.Field, expected(mismatch.Type), found)
}

// expected says what a member of a type looks like in JSON.
func expected(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Timestamp]():
		return "a time, in seconds since the Unix epoch or in ISO-8601"
	case reflect.TypeFor[JSONText]():
		return "a string that holds a JSON object"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int64:
		return "a whole number of 64 bits"
	case reflect.Float64:
		return "a number of 64 bits"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a string"
}

// shownMismatch bounds how much of a value a message repeats, in bytes: a number can be as long as the body.
const shownMismatch = 64

// withArticle is what encoding/json says of a value: its type, and the number itself where it is one.
func withArticle(value string) string {
	if len(value) > shownMismatch {
		value = strings.ToValidUTF8(value[:shownMismatch], "") + "…"
	}
	if value == "array" || value == "object" {
		return "an " + value
	}
	return "a " + value
}
