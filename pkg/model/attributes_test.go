package model

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAttributes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expression string
		want       []Attribute
		refused    string // words of the error; "": accepted
	}{
		{
			`ITEMS.genres = "Comedy" AND ITEMS.genres = "Action"`,
			[]Attribute{{"GENRES", "Comedy"}, {"GENRES", "Action"}}, "",
		},
		{"items.YEAR=\"1999\"\n and Items . size = \"X L\"", []Attribute{{"YEAR", "1999"}, {"SIZE", "X L"}}, ""},
		{`ITEMS.title = "the \"best\" \\ of"`, []Attribute{{"TITLE", `the "best" \ of`}}, ""},
		{`ITEMS.title = "a AND b"`, []Attribute{{"TITLE", "a AND b"}}, ""},
		{``, nil, "ITEMS.<column> at position 1"},
		{`USERS.age = "3"`, nil, "ITEMS.<column> at position 1"},
		{`ITEMS.genres = Comedy`, nil, "double quotes at position 16"},
		{`ITEMS.genres != "Comedy"`, nil, "only comparison here at position 14"},
		{`ITEMS.genres = "Comedy" OR ITEMS.genres = "Action"`, nil, "AND or the end at position 25"},
		{`ITEMS.genres = "Comedy" AND`, nil, "ITEMS.<column> at position 28"},
		{`ITEMS.genres = "Comedy`, nil, "no closing quotation mark"},
		{`ITEMS = "Comedy"`, nil, "a dot"},
		{strings.Repeat(`ITEMS.a = "b" AND `, MaxAttributes) + `ITEMS.a = "b"`, nil, "more than 100 conditions"},
	} {
		got, err := ParseAttributes(c.expression)
		if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: error %v, want one with %q", c.expression, err, c.refused)
		}
		if err == nil && !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.expression, got, c.want)
		}
	}
}

func FuzzParseAttributes(f *testing.F) {
	f.Add(`ITEMS.genres = "Comedy" AND ITEMS.genres = "Act\"ion"`)
	f.Fuzz(func(t *testing.T, expression string) {
		all, err := ParseAttributes(expression)
		if err != nil {
			return
		}
		var again strings.Builder
		for k, a := range all {
			if k > 0 {
				again.WriteString(" AND ")
			}
			again.WriteString(
				"ITEMS." + a.Column + ` = "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Value) + `"`,
			)
		}
		if got, err := ParseAttributes(again.String()); err != nil || !slices.Equal(got, all) {
			t.Errorf("%q, written again as %q, reads %q, error %v", expression, again.String(), got, err)
		}
	})
}
