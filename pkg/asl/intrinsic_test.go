package asl

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const callInput = `{"name":"Ada","n":3,"neg":-2,"list":[1,2,3,4,5],"dup":[1,"1",1.0,{"a":1},{"a":1.0},null,null],"o":{"a":1,"b":{"c":[true,null]}},
	"p":{"b":2,"d":4},"text":"{\"x\": 1}","blank":"  ","b64":"RGF0YQ==","half":1.5,"long":"` + "`" + `"}`

func call(t *testing.T, text string) (any, error) {
	t.Helper()
	e, err := parseExpression(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	input, err := decodeValue([]byte(callInput))
	if err != nil {
		t.Fatal(err)
	}
	return e.value(&scope{input: input, context: map[string]any{"State": map[string]any{"Name": "S"}}, random: &source{seed: "x"}})
}

func TestIntrinsicFunctions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`States.Format('Hello, {}!', $.name)`:                            `"Hello, Ada!"`,
		`States.Format('{} {} {}', 1.50, true, null)`:                    `"1.50 true null"`,
		`States.Format('no arguments')`:                                  `"no arguments"`,
		`States.Format('\{\} \' \\ {}', $.n)`:                            `"{} ' \\ 3"`,
		`States.Format('{}', $.o)`:                                       `"{a=1, b={c=[true, null]}}"`,
		`States.Format($.name)`:                                          `"Ada"`,
		`States.Format('{}', 'it\'s \{x\}')`:                             `"it's {x}"`,
		`States.Format('{}', $$.State.Name)`:                             `"S"`,
		`States.StringToJson($.text)`:                                    `{"x":1}`,
		`States.StringToJson($.blank)`:                                   `null`,
		`States.StringToJson('[1, \'2\'')`:                               `!`,
		`States.StringToJson($.n)`:                                       `!must be a string`,
		`States.JsonToString($.o)`:                                       `"{\"a\":1,\"b\":{\"c\":[true,null]}}"`,
		`States.JsonToString('a')`:                                       `"\"a\""`,
		`States.Array()`:                                                 `[]`,
		`States.Array(1, 'a', $.name, null, States.Array(2))`:            `[1,"a","Ada",null,[2]]`,
		`States.ArrayPartition($.list, 2)`:                               `[[1,2],[3,4],[5]]`,
		`States.ArrayPartition($.list, 100)`:                             `[[1,2,3,4,5]]`,
		`States.ArrayPartition(States.Array(), 3)`:                       `[]`,
		`States.ArrayPartition($.list, 0)`:                               `!must be positive`,
		`States.ArrayPartition($.n, 1)`:                                  `!must be an array`,
		`States.ArrayContains($.list, 3)`:                                `true`,
		`States.ArrayContains($.list, 3.0)`:                              `true`,
		`States.ArrayContains($.list, '3')`:                              `false`,
		`States.ArrayContains(States.Array($.o), $.o)`:                   `true`,
		`States.ArrayRange(1, 9, 2)`:                                     `[1,3,5,7,9]`,
		`States.ArrayRange(3, 0, -1)`:                                    `[3,2,1,0]`,
		`States.ArrayRange(3, 0, 1)`:                                     `[]`,
		`States.ArrayRange(0, 1000, 1)`:                                  `!more than 1000`,
		`States.ArrayRange(0, 1, 0)`:                                     `!must not be 0`,
		`States.ArrayRange(9223372036854775806, 9223372036854775807, 1)`: `[9223372036854775806,9223372036854775807]`,
		`States.ArrayGetItem($.list, 4)`:                                 `5`,
		`States.ArrayGetItem($.list, 5)`:                                 `!outside of the array`,
		`States.ArrayGetItem($.list, -1)`:                                `!outside of the array`,
		`States.ArrayLength($.list)`:                                     `5`,
		`States.ArrayLength($.name)`:                                     `!must be an array`,
		`States.ArrayUnique($.dup)`:                                      `[1,"1",{"a":1},null]`,
		`States.Base64Encode('Data')`:                                    `"RGF0YQ=="`,
		`States.Base64Decode($.b64)`:                                     `"Data"`,
		`States.Base64Decode('%')`:                                       `!no Base64`,
		`States.Base64Encode(1)`:                                         `!must be a string`,
		`States.Hash('input data', 'SHA-1')`:                             `"aaff4a450a104cd177d28d18d74485e8cae074b7"`,
		`States.Hash('abc', 'MD5')`:                                      `"900150983cd24fb0d6963f7d28e17f72"`,
		`States.Hash('abc', 'SHA-256')`:                                  `"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`,
		`States.Hash('abc', 'SHA-384')`:                                  `"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"`,
		`States.Hash('abc', 'SHA-512')`:                                  `"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"`,
		`States.Hash($.o, 'MD5')`:                                        `"2e8e82122611d786683e6fccdf612e60"`,
		`States.Hash('abc', 'CRC')`:                                      `!there is no algorithm CRC`,
		`States.JsonMerge($.o, $.p, false)`:                              `{"a":1,"b":2,"d":4}`,
		`States.JsonMerge($.o, $.p, true)`:                               `!must be false`,
		`States.JsonMerge($.o, $.list, false)`:                           `!must be objects`,
		`States.JsonMerge($.o, $.p, 'x')`:                                `!must be a boolean`,
		`States.MathAdd(111, -1)`:                                        `110`,
		`States.MathAdd(-1.5, 0)`:                                        `-1`,
		`States.MathAdd(-0.5, 0)`:                                        `0`,
		`States.MathAdd($.half, 0.4)`:                                    `2`,
		`States.MathAdd(9223372036854775807, 1)`:                         `!out of range`,
		`States.MathAdd('1', 1)`:                                         `!must be a number`,
		`States.StringSplit('1,2;;3', ',;')`:                             `["1","2","3"]`,
		`States.StringSplit('This.is+a-test', '.+-')`:                    `["This","is","a","test"]`,
		`States.StringSplit('', ',')`:                                    `[]`,
		`States.MathRandom(5, 5)`:                                        `!must be less`,
		`States.Array( States.ArrayLength($.list) , $.list[?(@ > 3)] , $.list.length() )`: `[5,[4,5],5]`,
	} {
		t.Run(text, func(t *testing.T) {
			v, err := call(t, text)
			if message, failing := strings.CutPrefix(want, "!"); failing {
				if err == nil || !strings.Contains(err.Error(), message) {
					t.Errorf("got %s, %v; want an error with %q", encodeValue(v), err, message)
				}
			} else if err != nil || !sameJSON(t, string(encodeValue(v)), want) {
				t.Errorf("got %s, %v; want %s", encodeValue(v), err, want)
			}
		})
	}
}

func TestRandomNumbers(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	random := &source{seed: "x"}
	for range 300 {
		v, err := mathRandom(&scope{random: random}, []any{number(1), number(4)})
		if err != nil {
			t.Fatal(err)
		}
		seen[string(v.(json.Number))] = true
	}
	if len(seen) != 3 || !seen["1"] || !seen["2"] || !seen["3"] {
		t.Errorf("from 1 to 4 came %v, want 1, 2 and 3", seen)
	}
	a, _ := call(t, `States.MathRandom(0, 1000000, 7)`)
	b, _ := call(t, `States.MathRandom(0, 1000000, 7)`)
	c, _ := call(t, `States.MathRandom(0, 1000000, 8)`)
	if a != b || a == c {
		t.Errorf("the seed 7 gave %v and %v, the seed 8 %v", a, b, c)
	}
}

func TestUUIDs(t *testing.T) {
	t.Parallel()
	v, err := call(t, `States.Array(States.UUID(), States.UUID())`)
	if err != nil {
		t.Fatal(err)
	}
	ids := v.([]any)
	pattern := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, id := range ids {
		if !pattern.MatchString(id.(string)) {
			t.Errorf("%v is no UUID of version 4", id)
		}
	}
	if ids[0] == ids[1] {
		t.Error("both ids are the same")
	}
}

// TestRandomValuesFollowFromTheExecution: a repeated step, after a crash, draws the same; another execution does not.
func TestRandomValuesFollowFromTheExecution(t *testing.T) {
	t.Parallel()
	definition := single(`{"Type":"Pass","End":true,"Parameters":{"id.$":"States.UUID()","n.$":"States.MathRandom(0,1000000)"}}`)
	m := mustParse(t, definition)
	output := func(secret string) string {
		info := testInfo
		info.Secret = secret
		x, _, err := m.Start(info, json.RawMessage(`{}`), clockStart)
		if err != nil {
			t.Fatal(err)
		}
		return string(x.Output)
	}
	first, again, other := output("a"), output("a"), output("b")
	if first != again || first == other {
		t.Errorf("got %s, %s and %s", first, again, other)
	}
}

func TestCallsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`States.Nothing()`:      "there is no function 'States.Nothing'",
		`Format('a')`:           "there is no function 'Format'",
		`States.Array`:          "'(' is missing",
		`States.Array(`:         "is no argument",
		`States.Array(1`:        "',' or ')' is missing",
		`States.Array(1) x`:     "unexpected",
		`States.Array('a`:       "not closed",
		`States.Array('\a')`:    "is no escape",
		`States.Array({"a":1})`: "is no argument",
		`States.Array("a")`:     "strings stand in single quotes",
		`States.Array($.)`:      "a name is missing",
		`States.ArrayLength()`:  "takes 1 arguments, not 0",
		`States.MathRandom(1)`:  "takes 2 to 3 arguments, not 1",
		`States.Format()`:       "takes 1 arguments or more",
		strings.Repeat("States.Array(", 11) + strings.Repeat(")", 11): "nest deeper than 10",
	} {
		if _, err := parseExpression(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want …%s…", text, err, want)
		}
	}
	if _, err := parseExpression(strings.Repeat("States.Array(", 10) + strings.Repeat(")", 10)); err != nil {
		t.Errorf("ten calls in one another: %v", err)
	}
	for _, text := range []string{`States.Format('{')`, `States.Format('}')`, `States.Format('{} {}', 1)`, `States.Format('{}', 1, 2)`, `States.Format(1)`} {
		if v, err := call(t, text); err == nil {
			t.Errorf("%s gives %v", text, v)
		}
	}
}
