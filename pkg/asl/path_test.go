package asl

import (
	"errors"
	"strings"
	"testing"
)

const shop = `{"store":{"book":[
	{"title":"A","price":8.95,"tags":["x","y"]},
	{"title":"B","price":12.99,"isbn":"1"},
	{"title":"C","price":8.99,"isbn":"2"}],"open":true,"odd name":{"a.b":1},"none":null},"limit":10,"list":[0,1,2,3,4,5],"überall":"ja"}`

func TestPathsFind(t *testing.T) {
	t.Parallel()
	root, err := decodeValue([]byte(shop))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		`$.limit`:                              `10`,
		`$.store.book[0].title`:                `"A"`,
		`$['store']["book"][-1]['title']`:      `"C"`,
		`$.store['odd name']['a.b']`:           `1`,
		`$.store.none`:                         `null`,
		`$.überall`:                            `"ja"`,
		`$.store.book[*].title`:                `["A","B","C"]`,
		`$.store.book[0,2].title`:              `["A","C"]`,
		`$.store.book[0]['title','price','x']`: `{"title":"A","price":8.95}`,
		`$.list[1:3]`:                          `[1,2]`,
		`$.list[-2:]`:                          `[4,5]`,
		`$.list[:2]`:                           `[0,1]`,
		`$.list[::2]`:                          `[0,2,4]`,
		`$.list[4:100]`:                        `[4,5]`,
		`$.list[7:9]`:                          `[]`,
		`$..title`:                             `["A","B","C"]`,
		`$.store..isbn`:                        `["1","2"]`,
		`$..book[0].price`:                     `[8.95]`,
		`$.store.book[?(@.isbn)].title`:        `["B","C"]`,
		`$.store.book[?(!@.isbn)].title`:       `["A"]`,
		`$.store.book[?(@.price < 9)].title`:   `["A","C"]`,
		`$.store.book[?(@.price<$.limit && @.isbn)].title`:               `["C"]`,
		`$.store.book[?(@.title=='A' || @.title == "B")].title`:          `["A","B"]`,
		`$.store.book[?((@.price >= 8.99) && (@.price <= 12.99))].title`: `["B","C"]`,
		`$.store.book[?(@.title != 'A' && !(@.price > 10))].title`:       `["C"]`,
		`$.store.book[?(@.tags[0] == 'x')].title`:                        `["A"]`,
		`$.store.book[?(@.price == null)]`:                               `[]`,
		`$.list[?(@ > 3)]`:                                               `[4,5]`,
		`$.store.book[?(@.nothing)]`:                                     `[]`,
		`$.missing[*]`:                                                   `[]`,
		`$.store.book.length()`:                                          `3`,
		`$.list[1:].length()`:                                            `5`,
		`$`:                                                              shop,
	} {
		p, err := ParsePath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if v, err := p.find(root); err != nil || !sameJSON(t, string(encodeValue(v)), want) {
			t.Errorf("%s gives %s (%v), want %s", path, encodeValue(v), err, want)
		}
	}
	for _, path := range []string{`$.x`, `$.limit.x`, `$.list[6]`, `$.list[-7]`, `$.store[0]`, `$.list.name`, `$.limit.length()`, `$.x.length()`} {
		p, err := ParsePath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if v, err := p.find(root); !errors.Is(err, errAbsent) {
			t.Errorf("%s gives %v, %v; want it to be absent", path, v, err)
		}
	}
}

func TestPathsThatAreNone(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		``:                                       "must begin with $",
		`a`:                                      "must begin with $",
		`$a`:                                     "unexpected",
		`$.`:                                     "a name is missing",
		`$.a.`:                                   "a name is missing",
		`$[`:                                     "missing at position 3",
		`$[1`:                                    "']' is missing",
		`$['a]`:                                  "not closed",
		`$['a' 'b']`:                             "']' is missing",
		`$[1,]`:                                  "missing at position 5",
		`$[99999999999999999]`:                   "is no index",
		`$[1:2:0]`:                               "must be positive",
		`$.max()`:                                "there is no function max()",
		`$[?@.a]`:                                "a filter is written",
		`$[?(@.a ==)]`:                           "a path or a literal",
		`$[?(1)]`:                                "a comparison is missing",
		`$[?(@.a == 'b'`:                         "')' is missing",
		`$[?(@.a =~ /x/)]`:                       "')' is missing",
		`$.a b`:                                  "unexpected",
		`$` + strings.Repeat("[?(@", 60):         "nested too deeply",
		`$[?(` + strings.Repeat("!", 60) + `@)]`: "nested too deeply",
	} {
		if _, err := ParsePath(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want …%s…", path, err, want)
		}
	}
}

func TestManyDescentsAreBounded(t *testing.T) {
	t.Parallel()
	deep, err := decodeValue([]byte(strings.Repeat(`[[1,2],[3],`, 100) + `1` + strings.Repeat(`]`, 100)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePath(`$..*..*..*..*..*..*..*..*`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.find(deep); !errors.Is(err, errTooMany) {
		t.Errorf("got %v", err)
	}
}

func TestReferencePaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		`$`: true, `$.a.b`: true, `$['a b'][0]`: true, `$[-1]`: true,
		`$.*`: false, `$..a`: false, `$[0,1]`: false, `$[0:1]`: false, `$['a','b']`: false, `$[?(@.a)]`: false, `$.a.length()`: false,
	} {
		p, err := ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if p.reference() != want {
			t.Errorf("%s is a reference path: %v", path, !want)
		}
	}
}

func TestPutLeavesTheOriginal(t *testing.T) {
	t.Parallel()
	original, _ := decodeValue([]byte(`{"a":{"b":[1]}}`))
	p, _ := ParsePath(`$.a.b[0]`)
	changed, err := p.put(original, "x")
	if err != nil || string(encodeValue(changed)) != `{"a":{"b":["x"]}}` || string(encodeValue(original)) != `{"a":{"b":[1]}}` {
		t.Errorf("got %s (%v), the original is %s", encodeValue(changed), err, encodeValue(original))
	}
}
