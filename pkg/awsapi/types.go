package awsapi

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"time"
)

// Timestamp is a time on the wire: seconds since the Unix epoch, with a fraction. It is written with milliseconds and
// read from a number, a string that holds a number, or an ISO-8601 string.
type Timestamp float64

// At is t as a Timestamp.
func At(t time.Time) *Timestamp {
	ts := Timestamp(float64(t.UnixMilli()) / 1000)
	return &ts
}

// Time is the timestamp to the millisecond, in UTC.
func (t Timestamp) Time() time.Time {
	return time.UnixMilli(int64(math.Round(float64(t) * 1000))).UTC()
}

// MarshalJSON writes a number with at most three decimals.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(float64(t)*1000)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads a number, a numeric string or an ISO-8601 string.
func (t *Timestamp) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	text, kind := string(data), jsonKind(data)
	if data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err == nil && !math.IsInf(seconds, 0) && !math.IsNaN(seconds) {
		*t = Timestamp(seconds)
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			*t = Timestamp(float64(at.UnixMicro()) / 1e6)
			return nil
		}
	}
	// An error of this type learns from encoding/json which member it is about.
	return &json.UnmarshalTypeError{Value: kind, Type: reflect.TypeFor[Timestamp]()}
}

// jsonKind names the type of a JSON value as encoding/json does.
func jsonKind(data []byte) string {
	switch data[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	}
	return "number"
}

// JSONText is a member that carries JSON inside a JSON string, such as an event's properties. A client that sends the
// bare object instead is understood.
type JSONText string

// UnmarshalJSON keeps the text of the JSON inside.
func (j *JSONText) UnmarshalJSON(data []byte) error {
	switch {
	case len(data) == 0 || string(data) == "null":
		return nil
	case data[0] == '"':
		return json.Unmarshal(data, (*string)(j))
	case data[0] == '{':
		var compact bytes.Buffer
		if err := json.Compact(&compact, data); err != nil {
			return err
		}
		*j = JSONText(compact.String())
		return nil
	}
	return &json.UnmarshalTypeError{Value: jsonKind(data), Type: reflect.TypeFor[JSONText]()}
}

// Empty is the response of operations that answer nothing; its body is empty.
type Empty struct{}

// Operation is one operation of a service's model.
type Operation struct {
	Name string
	// Path is where the operation is posted to; the control plane's are all at "/" and told apart by X-Amz-Target.
	Path string
	// Errors are the exceptions that the model lists.
	Errors []string
}
