package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of values.
const (
	// MaxID is the length of user, item and action ids in characters.
	MaxID = 256
	// MaxCategorical is the length of a categorical value and of an impression list in characters, separators included.
	MaxCategorical = 1000
	// MaxSeconds bounds timestamps: a larger number is certainly in milliseconds.
	MaxSeconds = 100_000_000_000
)

var errNull = errors.New("is empty, and the field is not nullable")

// ParseText reads a CSV cell: a string, int64, float64 or bool, or nil for an empty cell of a nullable column. Errors
// state the rule ("is not an int") and leave naming the place to the caller; they never repeat the cell.
func (f Field) ParseText(cell string) (any, error) {
	if cell == "" {
		if f.Nullable {
			return nil, nil
		}
		return nil, errNull
	}
	switch f.Kind {
	case Int, Long:
		return box(f.ParseInteger(cell))
	case Float, Double:
		return box(f.ParseReal(cell))
	case Boolean:
		return parseBoolean(cell)
	default:
		return box(f.ParseString(cell))
	}
}

// box keeps the zero value of a failed parse from looking like a value.
func box[T any](value T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Convert turns a decoded JSON value (string, bool, nil, float64, json.Number or any Go number) into the column's type.
// Numbers in quotes and integral reals are taken where the column wants a number; numbers and booleans become text
// where it wants a string. Errors state the rule and leave naming the field to the caller.
func (f Field) Convert(value any) (any, error) {
	switch v := value.(type) {
	case nil:
		if f.Nullable {
			return nil, nil
		}
		return nil, errors.New("is null, and the field is not nullable")
	case string:
		return f.convertString(v)
	case bool:
		return f.convertBool(v)
	case json.Number:
		return f.convertNumber(v.String())
	case float64:
		return f.convertNumber(strconv.FormatFloat(v, 'g', -1, 64))
	case float32:
		return f.convertNumber(strconv.FormatFloat(float64(v), 'g', -1, 32))
	case int:
		return f.convertNumber(strconv.Itoa(v))
	case int32:
		return f.convertNumber(strconv.FormatInt(int64(v), 10))
	case int64:
		return f.convertNumber(strconv.FormatInt(v, 10))
	default:
		return nil, errors.New("must be a string, number, boolean or null, not a list or object")
	}
}

func (f Field) convertString(v string) (any, error) {
	switch f.Kind {
	case Int, Long, Float, Double:
		return f.convertNumber(v)
	case Boolean:
		return parseBoolean(v)
	default:
		return box(f.ParseString(v))
	}
}

func (f Field) convertBool(v bool) (any, error) {
	switch f.Kind {
	case Boolean:
		return v, nil
	case String:
		return strconv.FormatBool(v), nil
	default:
		return nil, fmt.Errorf("is a boolean, not %s", article(f.Kind))
	}
}

func (f Field) convertNumber(number string) (any, error) {
	switch f.Kind {
	case Int, Long:
		if v, err := strconv.ParseInt(number, 10, 64); err == nil {
			return box(f.checkInteger(v))
		}
		return f.convertIntegral(number)
	case Float, Double:
		return box(f.ParseReal(number))
	case String:
		return box(f.ParseString(plainNumber(number)))
	default:
		return nil, fmt.Errorf("is a number, not %s", article(f.Kind))
	}
}

// convertIntegral takes 3.0 and 1e3 as integers: JSON knows one kind of number only, and encoders write reals this way.
func (f Field) convertIntegral(number string) (any, error) {
	v, err := parseFloat(number)
	if err != nil || v != math.Trunc(v) {
		return nil, fmt.Errorf("is not %s", article(f.Kind))
	}
	// 2^63 is a float64, 2^63-1 is none.
	if v < math.MinInt64 || v >= math.MaxInt64 {
		return nil, fmt.Errorf("is out of the range of %s", article(f.Kind))
	}
	return box(f.checkInteger(int64(v)))
}

// plainNumber writes integral reals without exponent, so that an id sent as 1e3 reads 1000.
func plainNumber(number string) string {
	if v, err := strconv.ParseFloat(number, 64); err == nil && strings.ContainsAny(number, "eE") && math.Abs(v) < 1e21 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return number
}

// ParseInteger reads a non-empty cell of an Int or Long column; see ParseText.
func (f Field) ParseInteger(cell string) (int64, error) {
	v, err := strconv.ParseInt(cell, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("is out of the range of %s", article(f.Kind))
	}
	if err != nil {
		return 0, fmt.Errorf("is not %s", article(f.Kind))
	}
	return f.checkInteger(v)
}

func (f Field) checkInteger(v int64) (int64, error) {
	if f.Kind == Int && (v < math.MinInt32 || v > math.MaxInt32) {
		return 0, fmt.Errorf("is out of the range of %s", article(f.Kind))
	}
	if f.IsTimestamp() {
		if err := CheckSeconds(v); err != nil {
			return 0, err
		}
	}
	return v, nil
}

// IsTimestamp reports whether the column is one of Personalize's own in Unix seconds.
func (f Field) IsTimestamp() bool {
	switch f.Name {
	case "TIMESTAMP", "CREATION_TIMESTAMP", "ACTION_EXPIRATION_TIMESTAMP":
		return f.Kind == Long
	}
	return false
}

// CheckSeconds refuses timestamps that can only be milliseconds.
func CheckSeconds(v int64) error {
	if v > MaxSeconds || v < -MaxSeconds {
		return errors.New("must be in Unix seconds; this value looks like milliseconds")
	}
	return nil
}

// ParseReal reads a non-empty cell of a Float or Double column; see ParseText.
func (f Field) ParseReal(cell string) (float64, error) {
	v, err := parseFloat(cell)
	if errors.Is(err, strconv.ErrRange) || f.Kind == Float && math.Abs(v) > math.MaxFloat32 {
		return 0, fmt.Errorf("is out of the range of %s", article(f.Kind))
	}
	if err != nil {
		return 0, fmt.Errorf("is not %s", article(f.Kind))
	}
	return v, nil
}

// parseFloat takes decimal numbers only: strconv also knows NaN, infinities and hexadecimal.
func parseFloat(text string) (float64, error) {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, strconv.ErrSyntax
		}
	}
	return strconv.ParseFloat(text, 64)
}

func parseBoolean(text string) (any, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, errors.New("is not true or false")
}

// ParseString reads a non-empty cell of a String column; see ParseText.
func (f Field) ParseString(v string) (string, error) {
	if !utf8.ValidString(v) {
		return "", errors.New("is not valid UTF-8")
	}
	switch {
	case f.Textual:
		return CleanText(v), nil
	case f.isID():
		if err := CheckID(v); err != nil {
			return "", err
		}
	case f.Categorical || f.Name == "IMPRESSION":
		if longer(v, MaxCategorical) {
			return "", fmt.Errorf("has more than %d characters", MaxCategorical)
		}
	case f.Name == "EVENT_TYPE":
		if longer(v, MaxID) {
			return "", fmt.Errorf("has more than %d characters", MaxID)
		}
	}
	return v, nil
}

func (f Field) isID() bool {
	switch f.Name {
	case "USER_ID", "ITEM_ID", "ACTION_ID":
		return true
	}
	return false
}

// CheckID holds ids to 1–256 characters.
func CheckID(id string) error {
	if id == "" {
		return errors.New("is empty")
	}
	if longer(id, MaxID) {
		return fmt.Errorf("has more than %d characters", MaxID)
	}
	return nil
}

// The event types of action interactions.
const (
	ActionTaken    = "TAKEN"
	ActionNotTaken = "NOT_TAKEN"
	ActionViewed   = "VIEWED"
)

// ParseActionEventType reads the event type of an action interaction. Clients write the three there are in more than
// one way ("Not Taken", "not_taken"); what comes of them is one of the constants.
func ParseActionEventType(text string) (string, error) {
	canonical := strings.ToUpper(strings.ReplaceAll(text, " ", "_"))
	switch canonical {
	case ActionTaken, ActionNotTaken, ActionViewed:
		return canonical, nil
	}
	return "", fmt.Errorf("is not one of %s, %s, %s", ActionTaken, ActionNotTaken, ActionViewed)
}

// longer counts characters only where bytes leave it open.
func longer(text string, most int) bool {
	return len(text) > most && utf8.RuneCountInString(text) > most
}

func article(k Kind) string {
	if k == Int {
		return "an int"
	}
	return "a " + k.String()
}
