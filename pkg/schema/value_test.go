package schema

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseText(t *testing.T) {
	t.Parallel()
	word := Field{Name: "WORD", Kind: String}
	category := Field{Name: "GENRES", Kind: String, Categorical: true}
	id := Field{Name: "ITEM_ID", Kind: String}
	shown := Field{Name: "IMPRESSION", Kind: String}
	when := Field{Name: "TIMESTAMP", Kind: Long}
	for _, c := range []struct {
		field  Field
		cell   string
		want   any
		broken string
	}{
		{field: word, cell: "a b", want: "a b"},
		{field: word, cell: "", broken: "not nullable"},
		{field: word, cell: "\xff", broken: "not valid UTF-8"},
		{field: Field{Kind: String, Nullable: true}, cell: "", want: nil},
		{field: Field{Kind: Int, Nullable: true}, cell: "", want: nil},

		{field: Field{Kind: Int}, cell: "-12", want: int64(-12)},
		{field: Field{Kind: Int}, cell: "2147483647", want: int64(2147483647)},
		{field: Field{Kind: Int}, cell: "2147483648", broken: "out of the range of an int"},
		{field: Field{Kind: Int}, cell: "1.0", broken: "not an int"},
		{field: Field{Kind: Int}, cell: " 1", broken: "not an int"},
		{field: Field{Kind: Long}, cell: "2147483648", want: int64(2147483648)},
		{field: Field{Kind: Long}, cell: "9223372036854775808", broken: "out of the range of a long"},
		{field: Field{Kind: Long}, cell: "abc", broken: "not a long"},

		{field: Field{Kind: Float}, cell: "4.99", want: 4.99},
		{field: Field{Kind: Float}, cell: "1e3", want: 1000.0},
		{field: Field{Kind: Float}, cell: "1e39", broken: "out of the range of a float"},
		{field: Field{Kind: Double}, cell: "1e39", want: 1e39},
		{field: Field{Kind: Double}, cell: "1e400", broken: "out of the range of a double"},
		{field: Field{Kind: Float}, cell: "NaN", broken: "not a float"},
		{field: Field{Kind: Float}, cell: "Infinity", broken: "not a float"},
		{field: Field{Kind: Float}, cell: "0x1p4", broken: "not a float"},
		{field: Field{Kind: Float}, cell: "1,5", broken: "not a float"},

		{field: Field{Kind: Boolean}, cell: "true", want: true},
		{field: Field{Kind: Boolean}, cell: "false", want: false},
		{field: Field{Kind: Boolean}, cell: "TRUE", broken: "not true or false"},
		{field: Field{Kind: Boolean}, cell: "1", broken: "not true or false"},

		{field: id, cell: strings.Repeat("é", MaxID), want: strings.Repeat("é", MaxID)},
		{field: id, cell: strings.Repeat("é", MaxID+1), broken: "more than 256"},
		{field: category, cell: strings.Repeat("é", MaxCategorical), want: strings.Repeat("é", MaxCategorical)},
		{field: category, cell: strings.Repeat("x", MaxCategorical+1), broken: "more than 1000"},
		{field: shown, cell: strings.Repeat("x", MaxCategorical+1), broken: "more than 1000"},
		{field: word, cell: strings.Repeat("x", MaxCategorical+1), want: strings.Repeat("x", MaxCategorical+1)},

		{field: when, cell: "100000000000", want: int64(100000000000)},
		{field: when, cell: "100000000001", broken: "milliseconds"},
		{field: Field{Name: "CREATION_TIMESTAMP", Kind: Long}, cell: "1700000000000", broken: "milliseconds"},
		{field: Field{Name: "ACTION_EXPIRATION_TIMESTAMP", Kind: Long}, cell: "1700000000000", broken: "milliseconds"},
		{field: Field{Name: "ACTION_ID", Kind: String}, cell: strings.Repeat("é", MaxID+1), broken: "more than 256"},
		{field: Field{Name: "USER_ID", Kind: String}, cell: strings.Repeat("é", MaxID+1), broken: "more than 256"},
		{field: Field{Name: "BARCODE", Kind: Long}, cell: "1700000000000", want: int64(1700000000000)},
		{field: Field{Name: "D", Kind: String, Textual: true}, cell: "<b>good</b>", want: "good"},
	} {
		got, err := c.field.ParseText(c.cell)
		check(t, c.field, c.cell, got, err, c.want, c.broken)
	}
}

func TestConvert(t *testing.T) {
	t.Parallel()
	number := func(s string) json.Number { return json.Number(s) }
	for _, c := range []struct {
		field  Field
		value  any
		want   any
		broken string
	}{
		{field: Field{Kind: Int}, value: 3.0, want: int64(3)},
		{field: Field{Kind: Int}, value: number("3"), want: int64(3)},
		{field: Field{Kind: Int}, value: number("3.0"), want: int64(3)},
		{field: Field{Kind: Int}, value: number("3.5"), broken: "not an int"},
		{field: Field{Kind: Int}, value: "3", want: int64(3)},
		{field: Field{Kind: Int}, value: "three", broken: "not an int"},
		{field: Field{Kind: Int}, value: number("3e9"), broken: "out of the range of an int"},
		{field: Field{Kind: Int}, value: true, broken: "is a boolean, not an int"},
		{field: Field{Kind: Long}, value: number("9007199254740993"), want: int64(9007199254740993)},
		{field: Field{Kind: Long}, value: 1e19, broken: "out of the range of a long"},
		{field: Field{Kind: Long}, value: 7, want: int64(7)},
		{field: Field{Name: "CREATION_TIMESTAMP", Kind: Long}, value: 1.7e12, broken: "milliseconds"},

		{field: Field{Kind: Float}, value: 4.5, want: 4.5},
		{field: Field{Kind: Float}, value: number("4"), want: 4.0},
		{field: Field{Kind: Float}, value: "4.5", want: 4.5},
		{field: Field{Kind: Float}, value: number("1e300"), broken: "out of the range of a float"},
		{field: Field{Kind: Double}, value: number("1e300"), want: 1e300},
		{field: Field{Kind: Float}, value: "NaN", broken: "not a float"},

		{field: Field{Kind: Boolean}, value: true, want: true},
		{field: Field{Kind: Boolean}, value: "false", want: false},
		{field: Field{Kind: Boolean}, value: "yes", broken: "not true or false"},
		{field: Field{Kind: Boolean}, value: 1.0, broken: "is a number, not a boolean"},

		{field: Field{Kind: String}, value: "a", want: "a"},
		{field: Field{Kind: String}, value: number("12"), want: "12"},
		{field: Field{Kind: String}, value: number("1e3"), want: "1000"},
		{field: Field{Kind: String}, value: 1234567.0, want: "1234567"},
		{field: Field{Kind: String}, value: 1e6 + 1e21, want: "1.000000000000001e+21"},
		{field: Field{Kind: String}, value: true, want: "true"},
		{field: Field{Kind: String, Categorical: true}, value: strings.Repeat("x", 1001), broken: "more than 1000"},
		{field: Field{Kind: String}, value: []any{"a"}, broken: "not a list or object"},
		{field: Field{Kind: String}, value: map[string]any{}, broken: "not a list or object"},

		{field: Field{Kind: Int, Nullable: true}, value: nil, want: nil},
		{field: Field{Kind: Int}, value: nil, broken: "not nullable"},
	} {
		got, err := c.field.Convert(c.value)
		check(t, c.field, c.value, got, err, c.want, c.broken)
	}
}

func check(t *testing.T, f Field, input, got any, err error, want any, broken string) {
	t.Helper()
	switch {
	case broken != "":
		if err == nil || !strings.Contains(err.Error(), broken) || got != nil {
			t.Errorf("%v of %#v: got %v, %v; want an error with %q", f, input, got, err, broken)
		}
	case err != nil:
		t.Errorf("%v of %#v: %v", f, input, err)
	default:
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v of %#v: %s", f, input, diff)
		}
	}
}

func TestCleanText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                           "plain",
		"  two\t\n words ":                "two words",
		"<p>one</p><p>two</p>":            "one two",
		`<a href="x">link</a> &amp; more`: "link & more",
		"a < b and c > d":                 "a < b and c > d",
		"<!-- hidden > --> seen":          "seen",
		"5 <3":                            "5 <3",
		"open <b":                         "open <b",
		strings.Repeat("x", MaxText+5):    strings.Repeat("x", MaxText),
		strings.Repeat("語", MaxText):      strings.Repeat("語", MaxTextIdeal),
		strings.Repeat("x", 2*MaxTextIdeal) + "語": strings.Repeat("x", 2*MaxTextIdeal) + "語",
	} {
		if got := CleanText(text); got != want {
			t.Errorf("CleanText(%.40q): got %.60q (%d), want %.60q", text, got, len(got), want)
		}
	}
}

func TestCamelCase(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"GENRES": "genres", "CREATION_TIMESTAMP": "creationTimestamp", "num_ratings": "numRatings", "A__B": "aB", "_X": "x", "L2": "l2",
	} {
		if got := CamelCase(name); got != want {
			t.Errorf("CamelCase(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestActionEventTypes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"TAKEN": ActionTaken, "Taken": ActionTaken, "Not Taken": ActionNotTaken, "NOT_TAKEN": ActionNotTaken, "viewed": ActionViewed,
		"": "", "click": "", "NOTTAKEN": "", " TAKEN": "",
	} {
		if got, err := ParseActionEventType(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}
