package dataset

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// line is a record and where it starts.
type line struct {
	Number int
	Cells  []string
}

// readAll returns the records before the first error.
func readAll(r *csvReader) (lines []line, err error) {
	for {
		cells, number, err := r.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return lines, err
		}
		lines = append(lines, line{number, append([]string(nil), cells...)})
	}
}

func TestCSVRecords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []line
	}{
		"plain":              {"a,b\n1,2\n", []line{{1, []string{"a", "b"}}, {2, []string{"1", "2"}}}},
		"no last line break": {"a,b\n1,2", []line{{1, []string{"a", "b"}}, {2, []string{"1", "2"}}}},
		"CRLF":               {"a,b\r\n1,2\r\n", []line{{1, []string{"a", "b"}}, {2, []string{"1", "2"}}}},
		"byte order mark":    {"\xef\xbb\xbfa,b\n", []line{{1, []string{"a", "b"}}}},
		"empty lines":        {"\na\n\r\n\nb\n", []line{{2, []string{"a"}}, {5, []string{"b"}}}},
		"empty cells":        {",a,\n,,\n", []line{{1, []string{"", "a", ""}}, {2, []string{"", "", ""}}}},
		"quotes":             {`"a,b","c ""d""",e` + "\n", []line{{1, []string{"a,b", `c "d"`, "e"}}}},
		"empty quotes":       {`"",""` + "\n", []line{{1, []string{"", ""}}}},
		"line breaks in cells": {
			"a,\"x\ny\r\nz\"\nb,c\n", []line{{1, []string{"a", "x\ny\nz"}}, {4, []string{"b", "c"}}},
		},
		"quotes, CRLF": {
			"\"a\",b\r\nc,\"d\"\r\n", []line{{1, []string{"a", "b"}}, {2, []string{"c", "d"}}},
		},
		"quotes at the end":        {`"a","b"`, []line{{1, []string{"a", "b"}}}},
		"trailing comma in quotes": {`"a",` + "\nb,c\n", []line{{1, []string{"a", ""}}, {2, []string{"b", "c"}}}},
		"backslash is a character": {`"a\",b` + "\n", []line{{1, []string{`a\`, "b"}}}},
		"nothing":                  {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(newCSVReader(strings.NewReader(c.text)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			bytewise, err := readAll(newCSVReader(iotest.OneByteReader(strings.NewReader(c.text))))
			if diff := cmp.Diff(got, bytewise); diff != "" || err != nil {
				t.Errorf("read byte by byte: %v %s", err, diff)
			}
		})
	}
}

func TestCSVBackslashEscapesInTextualColumns(t *testing.T) {
	t.Parallel()
	r := newCSVReader(strings.NewReader(`"a\",b` + "\n"))
	if _, _, err := r.next(); err != nil {
		t.Error(err)
	}
	r = newCSVReader(strings.NewReader(`x,"say \"hi\", \\ or ""bye"" \n",y` + "\n"))
	r.escapes = []bool{false, true}
	got, err := readAll(r)
	want := []line{{1, []string{"x", `say "hi", \ or "bye" \n`, "y"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestCSVSyntaxErrorsHaveLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxRecord+1)
	for name, c := range map[string]struct {
		text, want string
		line       int
	}{
		"open quote":            {"a\n\"b\nc", "not closed", 2},
		"text behind a quote":   {"a\n\"b\"c\n", "text follows", 2},
		"quote inside a cell":   {"a\n\"x\",b\"c\n", "quote stands inside", 2},
		"quote in a plain line": {"a\nb\"c\n", "quote stands inside", 2},
		"endless line":          {"a\n" + long, "longer than", 2},
		"endless line, quoted":  {"a\n\"" + strings.Repeat("x\n", maxRecord/2+1), "longer than", 2},
		"endless plain cell":    {"a\n\"b\"," + long, "longer than", 2},
		"long finished line":    {"a\n" + long + "\n", "longer than", 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCSVReader(strings.NewReader(c.text))
			_, err := readAll(r)
			var syntax *csvError
			if !errors.As(err, &syntax) || !strings.Contains(err.Error(), c.want) || r.line != c.line {
				t.Errorf("got %v on line %d, want %q on line %d", err, r.line, c.want, c.line)
			}
			if len(r.buffer) > 8*maxRecord {
				t.Errorf("the buffer has grown to %d bytes", len(r.buffer))
			}
		})
	}
}

func TestCSVReportsTheSourcesFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	for _, text := range []string{"", "a,b\n", "a,b\n1,", "a\n\"b", "a\n\"b\"", "a\n\"b\","} {
		_, err := readAll(newCSVReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))))
		if !errors.Is(err, broken) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// FuzzCSVReader compares the reader with the standard library's: where both read a text they agree, line numbers
// included, and what the standard library refuses is refused.
func FuzzCSVReader(f *testing.F) {
	for _, text := range []string{"a,b\n1,2\r\n", "\"a\"\"b\",\"c\nd\"\n\ne,f", "a\"b\n", "\"a\"b\n", "\"a", "\r\n\r\r\n", "\"a\"\r"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readAll(newCSVReader(iotest.HalfReader(strings.NewReader(text))))
		var want []line
		standard := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\xef\xbb\xbf")))
		standard.FieldsPerRecord = -1
		for {
			cells, standardErr := standard.Read()
			if errors.Is(standardErr, io.EOF) {
				break
			}
			if standardErr != nil {
				if err == nil {
					t.Fatalf("read what the standard library refuses: %v", standardErr)
				}
				break
			}
			start, _ := standard.FieldPos(0)
			want = append(want, line{start, append([]string(nil), cells...)})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
